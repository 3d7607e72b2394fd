"""Filtering of an image with a kernel of any shape, by the fast Fourier transform."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def filtered(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return the correlation of each channel with a kernel, borders reflected without their outermost pixel.

    What basicsr's `filter2D` gives (github.com/XPixelGroup/BasicSR at 8d56e3a, basicsr/utils/img_process_util.py),
    to about 1e-6; images that are smaller than the kernel's half are reflected again and again.

    Args:
        image: (channels, height, width), float32.
        kernel: (size, size), size odd, float32, on the image's device.

    Returns:
        (channels, height, width).
    """
    import torch

    size = kernel.shape[-1]
    height, width = image.shape[-2:]
    rows, columns = quick_length(height + size - 1), quick_length(width + size - 1)
    spectrum = torch.fft.rfft2(_reflected(image, size // 2, rows, columns))
    spectrum *= torch.fft.rfft2(kernel, s=(rows, columns)).conj()
    found: torch.Tensor = torch.fft.irfft2(spectrum, s=(rows, columns))
    return found[:, :height, :width]


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
    for axis, before, total in ((1, margin, rows), (2, margin, columns)):
        period = max(1, 2 * (image.shape[axis] - 1))
        places = np.abs((np.arange(total) - before + period // 2) % period - period // 2)
        image = image.index_select(axis, torch.from_numpy(places).to(image.device))
    return image
