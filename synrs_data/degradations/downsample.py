"""`bicubic` and `area`: the low-resolution image by one known kernel, nothing drawn.

They are the degradation of most published super-resolution tables and the reference that blind ones are
compared with. Both filter before they sample (antialiasing): each low-resolution pixel sees all of its own
high-resolution pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.degradations.base import Image, Parameters
from synrs_data.degradations.distributions import Distribution
from synrs_data.models.memory import memory_errors
from synrs_data.resampling import shrink


class AreaOptions(BaseModel):
    """Options of `area`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: int = Field(4, ge=2, le=16, description="How many HR pixels one LR pixel covers along a side.")


class BicubicOptions(AreaOptions):
    """Options of `bicubic`."""

    kernel: Literal["matlab", "pillow"] = Field(
        "matlab",
        description="Whose bicubic: MATLAB's imresize, as in published tables, or Pillow's resize.",
    )


class Area:
    """The mean over `scale` x `scale` pixels, halves rounded up: an ideal square detector without optics."""

    Options: ClassVar[type[BaseModel]] = AreaOptions

    def __init__(self, options: AreaOptions) -> None:
        self._scale = options.scale
        self._device = "cpu"

    @property
    def scale(self) -> int:
        """How many HR pixels one LR pixel covers along a side."""
        return self._scale

    def digest(self) -> str:
        """Return nothing: no file decides the images."""
        return ""

    def load(self, device: str) -> None:
        """Compute on a device."""
        self._device = device

    def draw(self, seed: int, height: int, width: int) -> dict[str, str | int | float | bool]:
        """Return nothing: the options alone decide the image."""
        return {}

    def prepare(self, images: Sequence[Image]) -> list[Image]:
        """Return the HR images as they are."""
        return list(images)

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each HR image; see `Degradation.degrade`."""
        with memory_errors():
            return shrink(images, "area", self._scale, self._device)

    def distributions(self) -> Mapping[str, Distribution]:
        """Return nothing: nothing is drawn."""
        return {}


class Bicubic(Area):
    """Bicubic interpolation with antialiasing, in one of the two ways that data sets were made with.

    Both use the kernel of Keys (1981) with a = -0.5, stretched by the scale, and halves rounded up. They differ
    at the borders and in precision:

    - "matlab" mirrors the image at its borders and computes in 64 bits, with values rounded to 8 bits between
      rows and columns: MATLAB's imresize (`synrs_data.resampling.weights` names the source).
    - "pillow" leaves out what lies beyond the border and normalises the rest, in fixed point with 22-bit
      weights, columns first: Pillow's `Image.resize`, src/libImaging/Resample.c (`precompute_coeffs`,
      `bicubic_filter`). It runs on the CPU.

    Neither is the bicubic of OpenCV or of `torch.nn.functional.interpolate` without `antialias`, which use
    a = -0.75 and alias.
    """

    Options: ClassVar[type[BaseModel]] = BicubicOptions

    def __init__(self, options: BicubicOptions) -> None:
        super().__init__(options)
        self._kernel = options.kernel

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each HR image; see `Degradation.degrade`."""
        if self._kernel == "pillow":
            return [self._pillow(image) for image in images]
        with memory_errors():
            return shrink(images, "matlab", self._scale, self._device)

    def _pillow(self, image: Image) -> Image:
        from PIL import Image as PillowImage

        size = (image.shape[1] // self._scale, image.shape[0] // self._scale)
        small = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BICUBIC)
        return np.asarray(small)
