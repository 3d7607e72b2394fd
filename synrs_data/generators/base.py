"""The protocol of generators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from synrs_data.sample import GeneratorIdentity, Request

Image = NDArray[np.uint8]
"""One RGB image, (height, width, 3), 0 to 255."""


class Generator(Protocol):
    """Makes images. An instance is cheap until `load`, which only workers call."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any) -> None: ...

    @property
    def batch_size(self) -> int:
        """Images made together: the unit of noise, fixed by the recipe."""
        ...

    def digest(self) -> str:
        """Return the sha256 over the weights, without loading them.

        Raises:
            WeightsError: They are missing.
        """
        ...

    def load(self, device: str) -> GeneratorIdentity:
        """Load the weights onto a device ("cpu", "cuda", "cuda:1") and say what was loaded.

        Raises:
            WeightsError: They are missing, truncated, or would be loaded in part.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request. The same requests together give the same images on a device class.

        Raises:
            MemoryError: The device has too little memory for so many requests together.
        """
        ...
