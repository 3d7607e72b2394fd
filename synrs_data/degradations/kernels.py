"""Blur kernels: Gaussian, generalised Gaussian, plateau-shaped and sinc.

Formulas: github.com/XPixelGroup/BasicSR at 8d56e3a, basicsr/data/degradations.py (`bivariate_Gaussian`,
`bivariate_generalized_Gaussian`, `bivariate_plateau`, `circular_lowpass_kernel`).
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float64]

_SHARPEST = 1e-6
"""Standard deviations below this are this: the kernel is then its centre alone, as the limit is."""


def gaussian(
    size: int,
    sigma_x: float,
    sigma_y: float | None = None,
    rotation: float = 0.0,
    *,
    shape: str = "gaussian",
    beta: float = 1.0,
) -> Kernel:
    """Return a kernel that falls off with q, the squared distance in standard deviations.

    exp(-q / 2) for "gaussian", exp(-q^beta / 2) for "generalized", 1 / (1 + q^beta) for "plateau".

    Args:
        size: Pixels along a side, odd.
        sigma_x: Standard deviation along the first axis, in pixels.
        sigma_y: Along the second; None for the same.
        rotation: Radians from the x axis (columns, to the right) towards the y axis (rows, down).
        shape: "gaussian", "generalized" or "plateau".
        beta: Shape of the last two.

    Returns:
        (size, size); the sum is 1.
    """
    at = np.arange(size) - size // 2
    x, y = at[None, :], at[:, None]
    cosine, sine = math.cos(rotation), math.sin(rotation)
    first = (cosine * x + sine * y) / max(sigma_x, _SHARPEST)
    second = (cosine * y - sine * x) / max(sigma_x if sigma_y is None else sigma_y, _SHARPEST)
    q = first**2 + second**2
    if shape == "plateau":
        return _normal(1 / (1 + q**beta))
    return _normal(np.exp(-0.5 * (q if shape == "gaussian" else q**beta)))


def sinc(size: int, omega_c: float) -> Kernel:
    """Return the ideal low-pass filter with a circular pass band, cut off at the kernel's borders.

    omega_c J1(omega_c r) / (2 pi r), and omega_c^2 / (4 pi) at r = 0.

    Args:
        size: Pixels along a side, odd.
        omega_c: Cut-off frequency in radians a pixel, at most pi.

    Returns:
        (size, size); the sum is 1.
    """
    import torch

    at = np.arange(size) - size // 2
    radius = np.hypot(at[None, :], at[:, None])
    bessel = torch.special.bessel_j1(torch.from_numpy(omega_c * radius)).numpy()
    with np.errstate(invalid="ignore"):
        kernel = omega_c * bessel / (2 * math.pi * radius)
    kernel[size // 2, size // 2] = omega_c**2 / (4 * math.pi)
    return _normal(kernel)


def shifted(kernel: Kernel, shift: float) -> Kernel:
    """Return a kernel moved right and down by linear interpolation, its borders repeated; the sum is 1.

    Convolution with the kernel moved by minus `shift` (github.com/cszn/BSRGAN at 5ce1a9c, utils/utils_blindsr.py,
    `shift_pixel`) is correlation with this one, for a kernel that is symmetric about its centre.
    """
    last = len(kernel) - 1
    places = np.clip(np.arange(len(kernel)) - shift, 0, last)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, last)
    part = places - low
    rows = kernel[low] * (1 - part)[:, None] + kernel[high] * part[:, None]
    return _normal(rows[:, low] * (1 - part) + rows[:, high] * part)


def _normal(kernel: Kernel) -> Kernel:
    return cast(Kernel, kernel / kernel.sum())
