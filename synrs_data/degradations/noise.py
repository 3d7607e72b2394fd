"""Gaussian and Poisson noise: in each channel, the same in all, or correlated among them.

What the noise is: github.com/XPixelGroup/BasicSR at 8d56e3a, basicsr/data/degradations.py
(`add_gaussian_noise_pt`, `add_poisson_noise_pt`); correlated noise: github.com/cszn/BSRGAN at 5ce1a9c,
utils/utils_blindsr.py (`add_Gaussian_noise`). All functions change the image that they are given.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_LUMA = (0.2989, 0.587, 0.114)
"""Of gray Poisson noise: `rgb_to_grayscale` of torchvision, which basicsr uses."""

_COLUMNS = 512
"""Counts from 0 to 511: with at most 256 expected, 512 or more have a probability below 1e-40."""

_BITS = 22
"""Of the thresholds of the alias tables: probabilities are right to 2^-22 / 512 = 5e-10."""


def add_gaussian(
    image: torch.Tensor, sigma: float, *, gray: bool, generator: torch.Generator
) -> torch.Tensor:
    """Add normal noise and clip.

    Args:
        image: (3, height, width), 0 to 1.
        sigma: Standard deviation in grey levels of 255.
        gray: Whether all channels get the same noise.
        generator: Of the image's device.
    """
    import torch

    shape = (1, *image.shape[1:]) if gray else image.shape
    noise = torch.randn(shape, generator=generator, device=image.device)
    return image.add_(noise, alpha=sigma / 255).clamp_(0, 1)


def add_correlated(
    image: torch.Tensor, covariance: NDArray[np.float64], generator: torch.Generator
) -> torch.Tensor:
    """Add normal noise with a covariance among the channels, and clip.

    Args:
        image: (3, height, width), 0 to 1.
        covariance: (3, 3), of values from 0 to 1.
        generator: Of the image's device.
    """
    import torch

    # Signs of an indefinite matrix count as if they were positive, as in NumPy's multivariate_normal.
    values, vectors = np.linalg.eigh(covariance)
    root = torch.from_numpy((vectors * np.sqrt(np.abs(values))) @ vectors.T).float().to(image.device)
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    return image.add_((root @ noise.flatten(1)).view_as(image)).clamp_(0, 1)


def covariance_of(powers: NDArray[np.float64], mix: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the covariance of correlated noise, (3, 3), of values from 0 to 1.

    |sigma^2 U^T D U|, element by element, with D = diag(powers) and U an orthonormal basis of the columns of `mix`.
    The absolute value makes the signs of U's columns meaningless.

    Args:
        powers: Three numbers, 0 to 1.
        mix: (3, 3).
        sigma: In grey levels of 255.
    """
    basis = np.linalg.svd(mix)[0]
    return np.asarray(np.abs((sigma / 255) ** 2 * basis.T @ np.diag(powers) @ basis))


def add_poisson(image: torch.Tensor, scale: float, *, gray: bool, generator: torch.Generator) -> torch.Tensor:
    """Add `scale` times Poisson noise and clip.

    The noise is P(v x) / v - x, where x is the image rounded to 8 bits, v the number of different values that it has,
    raised to a power of two, and P draws from Poisson's distribution. Gray noise is that of the image in gray.

    P draws from tables of Walker's alias method (Electronics Letters 10, 1974), one for each of the 256 possible
    values: about ten times as fast as `torch.poisson` on a CPU, and right to 5e-10.

    Args:
        image: (3, height, width), 0 to 1.
        scale: What the noise is multiplied by.
        gray: Whether all channels get the same noise.
        generator: Of the image's device.
    """
    import torch

    if gray:
        luma = torch.tensor([_LUMA], device=image.device)
        source = (luma @ image.reshape(3, -1)).view(1, *image.shape[1:])
    else:
        source = image
    levels = (source * 255).round_().clamp_(0, 255).to(torch.int32)
    values = int((torch.bincount(levels.flatten(), minlength=256) > 0).sum())
    steps = 1 << (values - 1).bit_length()
    counts = _counts(levels, torch.from_numpy(_alias_tables(steps)).to(image.device), generator)
    noise = counts.float().mul_(scale / steps).sub_(levels, alpha=scale / 255)
    return image.add_(noise).clamp_(0, 1)


def _counts(levels: torch.Tensor, tables: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a Poisson count for each level, int32."""
    import torch

    bits = torch.empty(levels.shape, dtype=torch.int32, device=levels.device).random_(generator=generator)
    column = bits & (_COLUMNS - 1)
    cells = torch.index_select(tables, 0, levels.mul(_COLUMNS).add_(column).flatten()).view_as(levels)
    kept = bits.bitwise_right_shift_(9) < (cells >> 9)
    return torch.where(kept, column, cells.bitwise_and_(_COLUMNS - 1))


@lru_cache(maxsize=16)
def _alias_tables(steps: int) -> NDArray[np.int32]:
    """Return the alias tables of Poisson's distribution with the mean steps * level / 255, for levels 0 to 255.

    Returns:
        (256 * 512): entry `level * 512 + column` holds the threshold of a column in the upper bits, the other
        count in the lower 9.
    """
    logs = np.array([math.lgamma(count + 1) for count in range(_COLUMNS)])
    counts = np.arange(_COLUMNS)
    tables = np.empty((256, _COLUMNS), dtype=np.int32)
    for level in range(256):
        mean = steps * level / 255
        chances = np.exp(counts * math.log(mean) - mean - logs) if level else (counts == 0).astype(float)
        tables[level] = _alias_table(chances / chances.sum())
    return tables.ravel()


def _alias_table(chances: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the packed table of one distribution, by Vose's method (IEEE Trans. Software Eng. 17, 1991)."""
    heights = (chances * len(chances)).tolist()
    other = list(range(len(heights)))
    low = [place for place, height in enumerate(heights) if height < 1]
    high = [place for place, height in enumerate(heights) if height >= 1]
    while low and high:
        small, large = low.pop(), high[-1]
        other[small] = large
        heights[large] -= 1 - heights[small]
        if heights[large] < 1:
            low.append(high.pop())
    most = (1 << _BITS) - 1
    # What is left in either list has the height 1 but for rounding: its own count stands in both places.
    thresholds = np.minimum(np.round(np.array(heights) * (1 << _BITS)), most).astype(np.int32)
    return np.asarray(thresholds << 9 | np.array(other, dtype=np.int32))
