"""PSNR and SSIM of a super-resolved image, on luma or on RGB, as published super-resolution tables take them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError

Image = NDArray[np.uint8]
"""RGB, (height, width, 3), 0 to 255."""

LUMA_601 = (65.481, 128.553, 24.966)
"""Weights of red, green and blue of 0 to 1 in the luma of ITU-R BT.601 with its offset of 16 and range of 16 to 235:
MATLAB's rgb2ycbcr.m, as in github.com/chaofengc/IQA-PyTorch, pyiqa/utils/color_util.py, `rgb2ycbcr`."""

EPSILON = 1e-8
"""Added to the mean squared error of levels of 0 to 1, so that equal images have 80 dB and not infinitely many: as in
pyiqa/archs/psnr_arch.py. It takes 0.0004 dB from a PSNR of 40 dB, 0.004 dB from one of 50 dB."""

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(image: Image) -> NDArray[np.float64]:
    """Return the BT.601 luma of an image, (height, width), 16 to 235, not rounded."""
    levels: NDArray[np.float64] = 16 + image.astype(np.float64) @ (np.array(LUMA_601) / 255)
    return levels


def cropped(image: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
    """Return an image without `border` pixels at each side.

    Raises:
        UserError: Nothing would be left.
    """
    if border and min(image.shape[:2]) <= 2 * border:
        raise UserError(
            f"an image of {image.shape[1]} x {image.shape[0]} pixels has nothing inside a border of {border}",
            fix="use larger test images, or metrics with a smaller crop",
        )
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def psnr(image: Image, reference: Image, *, on_luma: bool, border: int = 0) -> float:
    """Return the peak signal-to-noise ratio in dB, at most 80.

    10 log10(1 / (MSE + 1e-8)), with the mean squared error of levels divided by 255 over all pixels and channels, the
    luma not rounded: pyiqa/archs/psnr_arch.py, with `test_y_channel=True, color_space="ycbcr"` for luma.

    Args:
        image: What is measured.
        reference: Of the same shape.
        on_luma: On BT.601 luma; else on RGB.
        border: Pixels that are cut off at each side first.

    Raises:
        UserError: The shapes differ, or nothing is left inside the border.
    """
    first, second = _inside(image, reference, border)
    error = luma(first) - luma(second) if on_luma else first.astype(np.float64) - second
    return 10 * math.log10(1 / (float((error**2).mean()) / 255**2 + EPSILON))


def ssim(image: Image, reference: Image, *, on_luma: bool, border: int = 0) -> float:
    """Return the mean structural similarity, 0 to 1.

    Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13 (2004), equations 13 to 16: Gaussian window of 11 x 11 with sigma
    1.5, K1 = 0.01, K2 = 0.03, L = 255, biased variances, over every place where the window lies inside the image; the
    mean over channels on RGB. As pyiqa/archs/ssim_arch.py has it, which agrees with MATLAB on 8-bit images, luma is
    rounded to whole levels, nothing is brought down first, and contrast-structure terms below 0 count as 0.

    Args:
        image: What is measured.
        reference: Of the same shape.
        on_luma: On BT.601 luma; else on RGB.
        border: Pixels that are cut off at each side first.

    Raises:
        UserError: The shapes differ, or less than 11 pixels are left inside the border.
    """
    first, second = _inside(image, reference, border)
    if min(first.shape[:2]) < _WINDOW:
        raise UserError(
            f"SSIM needs {_WINDOW} pixels a side, and {first.shape[1]} x {first.shape[0]} are left",
            fix="use larger test images, or metrics with a smaller crop",
        )
    a, b = (np.rint(luma(x)) if on_luma else x.astype(np.float64) for x in (first, second))
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    structure = np.maximum((2 * covariance + _C2) / (variance_a + variance_b + _C2), 0)
    return float(((2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1) * structure).mean())


def _inside(image: Image, reference: Image, border: int) -> tuple[Image, Image]:
    if image.shape != reference.shape:
        raise UserError(
            f"an image of {image.shape[1]} x {image.shape[0]} pixels is compared with one of "
            f"{reference.shape[1]} x {reference.shape[0]}",
            fix="give super-resolved images of the size of their references",
        )
    return cropped(image, border), cropped(reference, border)


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-(places**2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        count = image.shape[axis] - _WINDOW + 1
        found = np.zeros(
            (count, *image.shape[1:]) if axis == 0 else (image.shape[0], count, *image.shape[2:])
        )
        for start, weight in enumerate(window):
            part = image[start : start + count] if axis == 0 else image[:, start : start + count]
            found += weight * part
        image = found
    return image
