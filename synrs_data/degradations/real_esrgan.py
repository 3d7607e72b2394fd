"""`real-esrgan`: blind degradation by chains of random blur, resizing, noise and JPEG, as published.

One engine runs what a preset says; `real-esrgan-x4` and `real-esrgan-x2` are the second-order degradation of
Real-ESRGAN, `resshift` that of ResShift's journal version, and `bsrgan` the shuffled one of BSRGAN, without its
camera model, which is not published with its code. A preset is data: `second_order_preset.SecondOrderPreset` says
what is in one, and every shipped file says where its numbers come from.

It is that of the published codes but for this: every image draws all of its own values from its own seed, where they
share resize factors, modes and kinds of noise over a training batch; the sharpened image is rounded to 8 bits
before it is degraded, since it is stored so; and images smaller than a kernel, which they cannot filter, are
reflected again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.degradations.base import Image, Parameters
from synrs_data.degradations.distributions import Distribution
from synrs_data.degradations.second_order import centre_shift, run, to_image, to_tensor
from synrs_data.degradations.second_order_distributions import marginals
from synrs_data.degradations.second_order_draws import draw, taken
from synrs_data.degradations.second_order_preset import SecondOrderPreset, load_preset, preset_digest
from synrs_data.degradations.sharpen import sharpened
from synrs_data.models.memory import memory_errors
from synrs_data.recipe import path_option


class RealEsrganOptions(BaseModel):
    """Options of `real-esrgan`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    preset: str = path_option(
        "real-esrgan-x4",
        description="Shipped preset of the kind `second-order`, or a file; it has the scale.",
    )
    sharpen: bool | None = Field(
        None, description="Whether HR images are sharpened first, and stored so; null: as the preset says."
    )


class RealEsrgan:
    """Second-order degradation by a preset."""

    Options: ClassVar[type[BaseModel]] = RealEsrganOptions

    def __init__(self, options: RealEsrganOptions) -> None:
        self._options = options
        self._device = "cpu"

    @cached_property
    def _preset(self) -> SecondOrderPreset:
        return load_preset(self._options.preset)

    @property
    def scale(self) -> int:
        """How many HR pixels one LR pixel covers along a side: the preset says."""
        return self._preset.scale

    def digest(self) -> str:
        """Return the sha256 over the preset's file."""
        return preset_digest(self._options.preset)

    def load(self, device: str) -> None:
        """Compute and draw noise on a device."""
        self._device = device

    def draw(self, seed: int, height: int, width: int) -> dict[str, str | int | float | bool]:
        """Return all that is drawn for one image, which its size does not change, and the shift that follows.

        `<step>.<value>` with the names that the preset gives its steps, for example `blur1.kind`, `blur1.sigma_x`,
        `resize1.scale`, `noise2.poisson_scale`, `jpeg1.quality`, `final.order`. Standard deviations of kernels are in
        pixels, angles in radians, those of noise in grey levels of 255. `shift.x` and `shift.y` are not drawn: they say
        where the middle of the scene lies, in LR pixels right of and below the middle of the LR image, see
        `centre_shift`.
        """
        steps = self._preset.steps
        drawn = draw(steps, np.random.Generator(np.random.PCG64(seed)))
        down, right = centre_shift(taken(steps, drawn), drawn, (height, width), self.scale)
        return drawn | {"shift.x": right, "shift.y": down}

    def prepare(self, images: Sequence[Image]) -> list[Image]:
        """Return the HR images as they are stored: sharpened, or as they are.

        Raises:
            MemoryError: The device has too little memory.
        """
        import torch

        chosen = self._options.sharpen
        if not (self._preset.sharpen if chosen is None else chosen):
            return list(images)
        usm = self._preset.usm
        with memory_errors(), torch.inference_mode():
            return [
                to_image(sharpened(to_tensor(image, self._device), usm.weight, usm.radius, usm.threshold))
                for image in images
            ]

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each HR image; see `Degradation.degrade`.

        Every image has sizes and kernels of its own and is computed alone, so that others change no byte of it.
        """
        import torch

        # Made first, together: small arrays that stay among large ones that go would tear the heap apart, and
        # memory would grow with the number of images, seven times as fast as the results.
        results = [
            np.empty((image.shape[0] // self.scale, image.shape[1] // self.scale, 3), dtype=np.uint8)
            for image in images
        ]
        with memory_errors(), torch.inference_mode():
            for result, image, drawn in zip(results, images, parameters, strict=True):
                pixels = to_tensor(image, self._device)
                result[:] = to_image(run(pixels, taken(self._preset.steps, drawn), drawn, self.scale))
        return results

    def distributions(self) -> Mapping[str, Distribution]:
        """Return what each parameter is drawn from given that it applies, the seeds of noise aside."""
        return marginals(self._preset.steps)
