"""Run the steps of a second-order degradation on one image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from synrs_data.degradations import kernels
from synrs_data.degradations.base import Image, Parameters
from synrs_data.degradations.filtering import filtered, filtered_separably
from synrs_data.degradations.jpeg import compressed
from synrs_data.degradations.noise import add_correlated, add_gaussian, add_poisson, covariance_of
from synrs_data.degradations.resize import HEEDS_FACTOR, resized
from synrs_data.degradations.second_order_draws import MIXES, POWERS
from synrs_data.degradations.steps import Blur, Jpeg, Leaf, Noise, Resize

if TYPE_CHECKING:
    import torch


def to_tensor(image: Image, device: str) -> torch.Tensor:
    """Return an image as (3, height, width), float32, 0 to 1."""
    import torch

    # A copy, since decoded images may be read-only, which `from_numpy` warns of.
    pixels = torch.tensor(image, device=device)
    return pixels.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def to_image(pixels: torch.Tensor) -> Image:
    """Return pixels of 0 to 1 as an image of 8 bits, rounded and clipped."""
    import torch

    levels = (pixels * 255).round_().clamp_(0, 255).to(torch.uint8)
    return np.asarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


def run(image: torch.Tensor, steps: Iterable[Leaf], drawn: Parameters, scale: int) -> torch.Tensor:
    """Return an image after some steps.

    Args:
        image: The HR image, (3, height, width), 0 to 1; it may be changed.
        steps: The steps in their order for this image.
        drawn: What was drawn for it.
        scale: HR pixels that one LR pixel covers along a side.
    """
    height, width = image.shape[-2:]
    for step in steps:
        image = apply(image, step, drawn, (height / scale, width / scale))
    return image


def apply(
    image: torch.Tensor, step: Leaf, drawn: Parameters, low_resolution: tuple[float, float]
) -> torch.Tensor:
    """Return an image after one step; `low_resolution` are height and width of the LR image."""
    if isinstance(step, Blur):
        kernel = kernel_of(step, drawn)
        if drawn[f"{step.name}.kind"] == "iso" and not step.shift:
            return filtered_separably(image, kernel.sum(axis=0))
        return filtered(image, kernel)
    if isinstance(step, Resize):
        return _resize(image, step, drawn, low_resolution)
    if isinstance(step, Noise):
        return _noise(image, step, drawn)
    assert isinstance(step, Jpeg)
    return compressed(image[None], [float(drawn[f"{step.name}.quality"])], step.codec)[0]


def kernel_of(step: Blur, drawn: Parameters) -> kernels.Kernel:
    """Return the kernel that was drawn for a blur."""

    def number(key: str, default: float) -> float:
        return float(drawn.get(f"{step.name}.{key}", default))

    kind, _, turned = str(drawn[f"{step.name}.kind"]).rpartition("_")
    size = int(drawn[f"{step.name}.size"])
    if turned == "sinc":
        return kernels.sinc(size, float(drawn[f"{step.name}.omega_c"]))
    along = [number(f"sigma_{axis}", math.sqrt(number(f"variance_{axis}", 0.0))) for axis in "xy"]
    kernel = kernels.gaussian(
        size,
        along[0],
        along[1] if turned == "aniso" else None,
        number("rotation", 0.0),
        shape=kind or "gaussian",
        beta=number("beta", 1.0),
    )
    return kernels.shifted(kernel, step.shift) if step.shift else kernel


def centre_shift(
    steps: Iterable[Leaf], drawn: Parameters, size: tuple[int, int], scale: int
) -> tuple[float, float]:
    """Return how far the middle of the scene lies from the middle of the LR image: down and right, in LR pixels.

    A resizing that keeps the drawn factor and rounds the size down, as `interpolate(scale_factor=...)` does, cuts a
    strip off the right and the lower border, so that the scene comes out a little enlarged.

    Args:
        steps: What `taken` gives.
        drawn: What was drawn.
        size: Height and width of the HR image.
        scale: The preset's.
    """
    down, right = size[0] / 2, size[1] / 2
    sides = size
    for step in steps:
        if isinstance(step, Resize):
            new, factor = _target(step, drawn, sides, (size[0] / scale, size[1] / scale))
            kept = factor if drawn[f"{step.name}.mode"] in HEEDS_FACTOR else None
            down *= new[0] / sides[0] if kept is None else kept
            right *= new[1] / sides[1] if kept is None else kept
            sides = new
    return down - sides[0] / 2, right - sides[1] / 2


def _target(
    step: Resize, drawn: Parameters, sides: tuple[int, int], low_resolution: tuple[float, float]
) -> tuple[tuple[int, int], float | None]:
    """Return the size after a resizing of an image with these sides, and the factor if it is kept as drawn."""
    if step.divisor is not None:
        factor = 1 / float(drawn[f"{step.name}.divisor"])
    else:
        factor = float(drawn.get(f"{step.name}.scale", 1.0 if step.factor is None else step.factor))
    height, width = low_resolution if step.relative_to == "lr" else sides
    # Tiny images may be left without a pixel; one is kept.
    size = (max(1, int(height * factor)), max(1, int(width * factor)))
    whole = step.grid == "factor" and min(height * factor, width * factor) >= 1
    return size, factor if whole else None


def _resize(
    image: torch.Tensor, step: Resize, drawn: Parameters, low_resolution: tuple[float, float]
) -> torch.Tensor:
    size, factor = _target(step, drawn, (image.shape[-2], image.shape[-1]), low_resolution)
    image = resized(image, size, str(drawn[f"{step.name}.mode"]), factor=factor)
    return image.clamp(0, 1) if step.clip else image


def _noise(image: torch.Tensor, step: Noise, drawn: Parameters) -> torch.Tensor:
    import torch

    image = image.contiguous()
    generator = torch.Generator(image.device).manual_seed(int(drawn[f"{step.name}.seed"]))
    channels = drawn[f"{step.name}.channels"]
    if drawn[f"{step.name}.kind"] == "poisson":
        poisson_scale = float(drawn[f"{step.name}.poisson_scale"])
        return add_poisson(image, poisson_scale, gray=channels == "gray", generator=generator)
    if channels == "correlated":
        assert step.correlated_sigma is not None, "the preset's check has seen to it"
        powers, mix = (
            np.array([float(drawn[f"{step.name}.{key}"]) for key in keys]) for keys in (POWERS, MIXES)
        )
        return add_correlated(
            image, covariance_of(powers, mix.reshape(3, 3), step.correlated_sigma), generator
        )
    sigma = float(drawn[f"{step.name}.sigma"])
    return add_gaussian(image, sigma, gray=channels == "gray", generator=generator)
