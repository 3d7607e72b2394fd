"""The protocol of degradations: from a high-resolution image (HR) to its low-resolution partner (LR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from synrs_data.degradations.distributions import Distribution

Image = NDArray[np.uint8]
"""One RGB image, (height, width, 3), 0 to 255."""

Parameters = Mapping[str, str | int | float | bool]
"""What was drawn for one image: a flat JSON object, such as `{"blur1.kind": "iso", "blur1.sigma_x": 1.2}`.

A parameter that does not apply to an image is left out. Together with the stored HR they decide the LR: noise
is drawn from a seed that is one of them.
"""


class Degradation(Protocol):
    """Makes low-resolution images. An instance is cheap until `load`, which only workers call."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any) -> None: ...

    @property
    def scale(self) -> int:
        """How many HR pixels one LR pixel covers along a side; both sides of HR images are multiples of it."""
        ...

    def digest(self) -> str:
        """Return the sha256 over the files that decide the images, empty if there are none.

        Raises:
            SynrsError: One of them is missing.
        """
        ...

    def load(self, device: str) -> None:
        """Make ready on a device ("cpu", "cuda", "cuda:1")."""
        ...

    def draw(self, seed: int, height: int, width: int) -> dict[str, str | int | float | bool]:
        """Return the parameters of one image: a function of the seed and the size alone.

        Args:
            seed: Seed of this image alone, 0 to 2**63 - 1.
            height: Rows of the HR image.
            width: Columns of the HR image.
        """
        ...

    def prepare(self, images: Sequence[Image]) -> list[Image]:
        """Return the HR images as they are stored: sharpened, or as they are."""
        ...

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each prepared HR image, (height / scale, width / scale, 3).

        The same image and parameters give the same bytes on a device class, alone or together with others.

        Raises:
            MemoryError: The device has too little memory for so many images together.
        """
        ...

    def distributions(self) -> Mapping[str, Distribution]:
        """Return what each random parameter is drawn from, given that it applies to an image."""
        ...
