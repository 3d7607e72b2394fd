"""Filtering of an image with a kernel, borders reflected without their outermost pixel.

What basicsr's `filter2D` gives (github.com/XPixelGroup/BasicSR at 8d56e3a, basicsr/utils/img_process_util.py), to
about 1e-6. Images that are smaller than half of the kernel are reflected again and again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synrs_data.degradations.banded import Taps, mapped

if TYPE_CHECKING:
    import torch


def filtered(image: torch.Tensor, kernel: NDArray[np.float64]) -> torch.Tensor:
    """Return the correlation of each channel with a kernel, by the fast Fourier transform.

    Args:
        image: (channels, height, width), float32.
        kernel: (size, size), size odd.

    Returns:
        (channels, height, width).
    """
    import torch

    size = len(kernel)
    height, width = image.shape[-2:]
    rows, columns = quick_length(height + size - 1), quick_length(width + size - 1)
    spectrum = torch.fft.rfft2(_reflected(image, size // 2, rows, columns))
    weights = torch.from_numpy(kernel.astype(np.float32)).to(image.device)
    spectrum *= torch.fft.rfft2(weights, s=(rows, columns)).conj()
    found: torch.Tensor = torch.fft.irfft2(spectrum, s=(rows, columns))
    return found[:, :height, :width]


def filtered_separably(image: torch.Tensor, line: NDArray[np.float64]) -> torch.Tensor:
    """Return the correlation of each channel with the kernel line^T line.

    Args:
        image: (channels, height, width), float32.
        line: (size,), size odd.
    """
    margin = len(line) // 2
    rows, columns = (
        Taps(
            _mirrored(np.arange(length)[:, None] + np.arange(-margin, margin + 1), length),
            np.broadcast_to(line, (length, len(line))),
        )
        for length in image.shape[-2:]
    )
    return mapped(image, rows, columns)


@lru_cache(maxsize=4096)
def quick_length(least: int) -> int:
    """Return the smallest even length from `least` whose only prime factors are 2, 3 and 5."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return places inside 0 to length - 1, reflected at both ends as often as needed."""
    last = length - 1
    return np.asarray(last - np.abs(places % (2 * last) - last)) if last else np.zeros_like(places)


def _reflected(image: torch.Tensor, margin: int, rows: int, columns: int) -> torch.Tensor:
    """Return an image with `margin` more pixels above and left, and as many below and right as make up its size.

    Pixels more than `margin` away from the image, below and right, do not count and may have any value.
    """
    import torch
    from torch.nn import functional

    height, width = image.shape[-2:]
    below, right = rows - height - margin, columns - width - margin
    if max(below, margin) < height and max(right, margin) < width:
        return functional.pad(image, (margin, right, margin, below), mode="reflect")
    for axis, total in ((1, rows), (2, columns)):
        places = _mirrored(np.arange(total) - margin, image.shape[axis])
        image = image.index_select(axis, torch.from_numpy(places).to(image.device))
    return image
