"""Bring images down by a whole factor: MATLAB's bicubic kernel and the box mean, as weight matrices.

A row of a weight matrix holds what one low-resolution pixel takes from the high-resolution pixels of its
column (or row), so that an image comes down by two products. Weights and sums are of 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kernel = Literal["matlab", "area"]

_TIE = 1e-9
"""Sums of whole numbers with rational weights fall on ties, exactly or a rounding error beside one. Ties are
moved off the edge by more than any rounding error, so that the order of the sums, which differs between batch
sizes and devices, decides no pixel."""


@lru_cache(maxsize=64)
def weights(kernel: Kernel, size: int, scale: int) -> NDArray[np.float64]:
    """Return the weight matrix of one axis, (size / scale, size); rows add up to 1.

    "area" is the mean over `scale` pixels. "matlab" is the cubic convolution kernel of Keys (IEEE Trans. ASSP
    29, 1981, eq. 15) with a = -0.5, stretched by `scale` (imresize's `Antialiasing`), its rows normalised, with
    borders mirrored about the edge of the outermost pixel: MATLAB's imresize.m, function `contributions`, as
    ported in github.com/fatheral/matlab_imresize.

    Raises:
        ValueError: `scale` does not divide `size`.
    """
    if size % scale:
        raise ValueError(f"{size} pixels are no multiple of {scale}")
    if kernel == "area":
        offsets, row = np.arange(scale), np.full(scale, 1.0 / scale)
    else:
        offsets = np.arange(-2 * scale, 3 * scale)
        row = _cubic((offsets + 0.5) / scale - 0.5)
        row /= row.sum()
    return matrix(offsets, row, size, scale)


def matrix(
    offsets: NDArray[np.integer], row: NDArray[np.float64], size: int, scale: int
) -> NDArray[np.float64]:
    """Return the matrix that applies one kernel at every `scale`-th pixel, borders mirrored.

    Args:
        offsets: Pixels of the kernel, counted from the first pixel that a low-resolution pixel covers.
        row: Weight of each.
        size: High-resolution pixels of the axis.
        scale: How many of them one low-resolution pixel covers.
    """
    count = size // scale
    places = np.arange(count)[:, None] * scale + offsets[None, :]
    places = places % (2 * size)
    places = np.where(places < size, places, 2 * size - 1 - places)
    found = np.zeros((count, size))
    np.add.at(found, (np.arange(count)[:, None], places), row[None, :])
    return found


def shrink(
    images: Sequence[NDArray[np.uint8]], kernel: Kernel, scale: int, device: str = "cpu"
) -> list[NDArray[np.uint8]]:
    """Return images brought down by `scale`, each (height / scale, width / scale, 3).

    Halves are rounded up. For "matlab", values are rounded and clipped after the rows and again after the
    columns, as MATLAB does with 8-bit images (github.com/fatheral/matlab_imresize, `imresizemex`).

    Args:
        images: RGB images, (height, width, 3), both sides multiples of `scale`; they need not be of one size.
        kernel: "matlab" or "area", see `weights`.
        scale: Factor, from 1.
        device: Where torch computes. Sums are kept off ties so that neither it nor the other images decide a byte.
    """
    import torch

    found: list[NDArray[np.uint8]] = [np.empty(0, dtype=np.uint8)] * len(images)
    for places in by_size(images):
        height, width = images[places[0]].shape[:2]
        batch = np.stack([images[place] for place in places])
        with torch.inference_mode():
            pixels = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).double()
            rows = torch.from_numpy(weights(kernel, height, scale)).to(device)
            columns = torch.from_numpy(weights(kernel, width, scale)).to(device)
            pixels = torch.matmul(rows, pixels)
            if kernel == "matlab":
                pixels = half_up(pixels)
            pixels = half_up(torch.matmul(pixels, columns.T))
            small = pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        for place, image in zip(places, small, strict=True):
            found[place] = image
    return found


def half_up(pixels: Any) -> Any:
    """Return a tensor of levels rounded, halves up, and clipped to 0 to 255."""
    import torch

    return torch.floor(pixels + (0.5 + _TIE)).clamp(0, 255)


def by_size(images: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
    """Return the places of the images of each size."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        groups.setdefault(image.shape, []).append(place)
    return list(groups.values())


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
