"""SSIM and PSNR of two images, in NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PSNR_CAP = 100.0
"""PSNR of equal images, in dB, which would be infinite. Unequal 8-bit RGB images of up to 50,000 pixels stay below."""

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def structural_similarity(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the mean SSIM over the channels of two images, at most 1.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE TIP 13 (2004), equations 13 to 16: Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255,
    biased variances, over every place where the window lies inside the image. The window of images that are smaller
    is their largest odd one.

    Args:
        first: Levels of 0 to 255, (height, width) or (height, width, channels).
        second: Levels of the same shape.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    window = _window(min(_WINDOW, *(size - 1 + size % 2 for size in first.shape[:2])))
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    variance_a = _blur(a * a, window) - mean_a**2
    variance_b = _blur(b * b, window) - mean_b**2
    covariance = _blur(a * b, window) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    bottom = (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return float((top / bottom).mean())


def signal_to_noise(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the PSNR over all channels together, in dB, at most `PSNR_CAP`."""
    error = float(((first.astype(np.float64) - second) ** 2).mean())
    return PSNR_CAP if error == 0 else min(10 * math.log10(255**2 / error), PSNR_CAP)


def _window(size: int) -> NDArray[np.float64]:
    places = np.arange(size) - size // 2
    window = np.exp(-(places**2) / (2 * _SIGMA**2))
    normalised: NDArray[np.float64] = window / window.sum()
    return normalised


def _blur(image: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (0, 1):
        count = image.shape[axis] - len(window) + 1
        slices = (np.take(image, range(start, start + count), axis=axis) for start in range(len(window)))
        image = sum((weight * part for weight, part in zip(window, slices, strict=True)), start=np.zeros(()))
    return image
