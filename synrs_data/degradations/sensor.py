"""`sensor`: what an imaging satellite would have recorded, by optics, detector, noise and quantisation.

In this order, for each band:

1. Shift of the whole LR grid and of the band against it, point spread of the optics and integration over the
   square of the LR pixel, in one kernel (`point_spread`), borders mirrored.
2. Noise with the variance gain * signal + read^2, in shares of full scale, drawn from a normal distribution: shot
   noise grows with the signal, read noise does not. gain = ((reference / snr)^2 - read^2) / reference makes the
   SNR at the reference signal what the preset says. A normal distribution stands for Poisson's, from which it
   cannot be told at the thousands of electrons of such detectors.
3. Quantisation to n bits of full scale, clipped at both ends.
4. Storing as 8 bits: rounded after quantisation, halves up. 8 bits hide most of what 12 bits keep.

White, 255, stands for full scale and light for grey levels: the HR image is taken as linear. A preset is data;
`sensor_preset.SensorPreset` says what is in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.degradations.base import Image, Parameters
from synrs_data.degradations.distributions import Distribution, Uniform
from synrs_data.degradations.point_spread import kernel, sigma_of
from synrs_data.degradations.sensor_preset import BANDS, load_preset, preset_digest
from synrs_data.models.memory import memory_errors
from synrs_data.recipe import path_option
from synrs_data.resampling import half_up, matrix

if TYPE_CHECKING:
    import torch

_SEEDS = 2**53
"""JSON readers keep whole numbers below this exact."""


class SensorOptions(BaseModel):
    """Options of `sensor`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: int = Field(4, ge=2, le=16, description="How many HR pixels one LR pixel covers along a side.")
    preset: str = path_option("sentinel2-like", description="Shipped preset of the kind `sensor`, or a file.")


class Sensor:
    """An imaging satellite by a preset."""

    Options: ClassVar[type[BaseModel]] = SensorOptions

    def __init__(self, options: SensorOptions) -> None:
        self._scale = options.scale
        self._preset = load_preset(options.preset)
        self._device = "cpu"

    @property
    def scale(self) -> int:
        """How many HR pixels one LR pixel covers along a side."""
        return self._scale

    def digest(self) -> str:
        """Return the sha256 over the preset's numbers."""
        return preset_digest(self._preset)

    def load(self, device: str) -> None:
        """Compute on a device; noise is drawn on the CPU wherever that is."""
        self._device = device

    def draw(self, seed: int, height: int, width: int) -> dict[str, str | int | float | bool]:
        """Return the parameters of one image: all that `degrade` needs beside the scale.

        `shift.x`, `shift.y`, `band_shift.r.x` ... in LR pixels, right and down; `psf.r.sigma` in LR pixels, with
        `psf.r.mtf` where the preset gives that; `noise.r.gain` and `noise.r.read` in shares of full scale, with
        `noise.r.snr`, and `noise.seed`; `quantisation.bits`.
        """
        random = np.random.default_rng(seed)
        drawn: dict[str, str | int | float | bool] = {}
        for name, (low, high) in self._ranges().items():
            # A draw is spent on constants too: a range that is narrowed to a number moves no other parameter.
            drawn[name] = min(low + (high - low) * random.random(), high)
        for name in BANDS:
            band = self._preset.bands[name]
            if band.mtf is not None:
                drawn[f"psf.{name}.sigma"] = sigma_of(float(drawn[f"psf.{name}.mtf"]), self._scale)
            if band.snr is not None:
                noise = band.reference / float(drawn[f"noise.{name}.snr"])
                gain = max(noise**2 - band.read**2, 0.0) / band.reference
                drawn |= {f"noise.{name}.gain": gain, f"noise.{name}.read": band.read}
        drawn["noise.seed"] = int(random.integers(_SEEDS))
        drawn["quantisation.bits"] = self._preset.bits
        return drawn

    def prepare(self, images: Sequence[Image]) -> list[Image]:
        """Return the HR images as they are."""
        return list(images)

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each HR image; see `Degradation.degrade`.

        Every image has kernels of its own and is computed alone, so that others change no byte of it.
        """
        with memory_errors():
            return [self._one(image, drawn) for image, drawn in zip(images, parameters, strict=True)]

    def distributions(self) -> Mapping[str, Distribution]:
        """Return the range of each parameter that is drawn, `noise.seed` aside."""
        return {
            name: Uniform.between(low, high) for name, (low, high) in self._ranges().items() if low < high
        }

    def _ranges(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and highest value of each parameter, in the order of the draws."""
        whole, band = self._preset.shift, self._preset.misregistration
        ranges = {"shift.x": (-whole, whole), "shift.y": (-whole, whole)}
        for name in BANDS:
            ranges |= {f"band_shift.{name}.x": (-band, band), f"band_shift.{name}.y": (-band, band)}
        for name in BANDS:
            values = self._preset.bands[name]
            for key, spread in (("mtf", values.mtf), ("sigma", values.sigma)):
                if spread is not None:
                    ranges[f"psf.{name}.{key}"] = spread
        for name in BANDS:
            spread = self._preset.bands[name].snr
            if spread is not None:
                ranges[f"noise.{name}.snr"] = spread
        return ranges

    def _one(self, image: Image, drawn: Parameters) -> Image:
        import torch

        signal = self._signal(image, drawn)
        variance = torch.stack(
            [
                signal[place] * float(drawn.get(f"noise.{name}.gain", 0.0))
                + float(drawn.get(f"noise.{name}.read", 0.0)) ** 2
                for place, name in enumerate(BANDS)
            ]
        )
        generator = torch.Generator("cpu").manual_seed(int(drawn["noise.seed"]))
        noise = torch.randn(signal.shape, generator=generator, dtype=torch.float64).to(self._device)
        levels = 2 ** int(drawn["quantisation.bits"]) - 1
        recorded = torch.round((signal + variance.sqrt() * noise) * levels).clamp(0, levels) / levels
        stored = half_up(recorded * 255).to(torch.uint8)
        return np.asarray(stored.permute(1, 2, 0).contiguous().cpu().numpy())

    def _signal(self, image: Image, drawn: Parameters) -> torch.Tensor:
        """Return what each band's detector collects, (3, height / scale, width / scale), in shares of full scale."""
        import torch

        scene = torch.from_numpy(image.copy()).to(self._device).permute(2, 0, 1).double() / 255
        bands = []
        for place, name in enumerate(BANDS):
            rows = torch.from_numpy(self._axis("y", name, image.shape[0], drawn)).to(self._device)
            columns = torch.from_numpy(self._axis("x", name, image.shape[1], drawn)).to(self._device)
            bands.append(rows @ scene[place] @ columns.T)
        return torch.stack(bands)

    def _axis(self, axis: str, band: str, size: int, drawn: Parameters) -> NDArray[np.float64]:
        shift = float(drawn[f"shift.{axis}"]) + float(drawn[f"band_shift.{band}.{axis}"])
        offsets, row = kernel(float(drawn[f"psf.{band}.sigma"]), shift, self._scale)
        return matrix(offsets, row, size, self._scale)
