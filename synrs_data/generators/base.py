"""The protocol of generators."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from synrs_data.image_sources import SourceImage
from synrs_data.sample import GeneratorIdentity, Inputs, Request

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


@runtime_checkable
class ConditionedGenerator(Generator, Protocol):
    """A generator whose images start from other images: real ones, edges, maps."""

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """Names of the fields that every sample has beside the usual ones, such as "control.png".

        A name is lower-case letters, digits and underscores, a dot, and `png`, `jpg` or `webp`. It is known
        before `load`.
        """
        ...

    def inputs(self, request: Request) -> Inputs:
        """Return what shapes the image of a request, the same each time; called after `load`, and cheap.

        Its `fields` are those of `extra_fields`.
        """
        ...


@runtime_checkable
class SourcedGenerator(ConditionedGenerator, Protocol):
    """A generator whose images are made from real ones, which are checked when a build is planned."""

    @property
    def evaluation(self) -> str | None:
        """Folder of the real images of an evaluation, none of which may be a source; None if there is none."""
        ...

    def sources(self, labels: Sequence[str]) -> Sequence[Path | SourceImage]:
        """Return every real image from which images of these labels may start.

        Raises:
            UserError: A label has too few.
        """
        ...


def draw(what: str, request: Request, count: int) -> int:
    """Return a number below `count` that is a hash of the request's seed, another for each `what`."""
    digest = hashlib.blake2b(f"{what}/{request.seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
