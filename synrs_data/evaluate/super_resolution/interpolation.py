"""Interpolation by a fixed kernel: what every super-resolution model has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synrs_data.evaluate.super_resolution.enlarge import Definition, Kernel, enlarge
from synrs_data.evaluate.super_resolution.upscalers import Image, UpscalerRecord


class InterpolationOptions(BaseModel):
    """Options of `bicubic` and `lanczos`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    definition: Definition = Field(
        "matlab", description="Whose: `matlab` (imresize, as in published tables) or `pillow` (Image.resize)."
    )


class Bicubic:
    """Bicubic interpolation; see `enlarge`.

    Args:
        options: Whose definition.
        device: Unused: it runs on the CPU.
    """

    Options: ClassVar[type[BaseModel]] = InterpolationOptions
    kernel: ClassVar[Kernel] = "bicubic"

    def __init__(self, options: InterpolationOptions, device: str) -> None:
        self._definition = options.definition
        self.name = self.kernel if options.definition == "matlab" else f"{self.kernel}-{options.definition}"

    def record(self) -> UpscalerRecord:
        """Return kernel and definition; it was trained on nothing."""
        return UpscalerRecord(
            name=self.name,
            method=self.kernel,
            model="",
            weights_sha256=None,
            preprocessing={"kernel": self.kernel, "definition": self._definition},
            trained_on=(),
        )

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Yield each image made larger; see `Upscaler.enlarge`."""
        for image in images:
            yield enlarge(image, scale, self.kernel, self._definition)


class Lanczos(Bicubic):
    """Interpolation by a windowed sinc of three lobes; see `enlarge`."""

    kernel: ClassVar[Kernel] = "lanczos"
