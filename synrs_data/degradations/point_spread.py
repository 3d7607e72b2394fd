"""The kernel of one axis of a detector behind Gaussian optics, shifted by any part of a pixel.

The scene is what the HR image shows: each HR pixel an even square of light. Optics blur it with a Gaussian of
`sigma` LR pixels, and an LR pixel collects what falls on its square. The weight of an HR pixel is therefore the
integral of Gaussian * box over it: exact for every shift, never negative, and of sum 1. With `sigma` 0 and no
shift it is the box mean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_REACH = 6.5
"""Standard deviations of the Gaussian beyond which weights are left out: 8e-11 of the light."""

_STEPS = 60


def kernel(sigma: float, shift: float, scale: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which HR pixels one LR pixel sees, and the weight of each.

    Args:
        sigma: Standard deviation of the optics in LR pixels, from 0.
        shift: How far the LR image shows the scene to the right (or below) of where the HR image has it, in LR
            pixels: an LR pixel looks that far to the left.
        scale: HR pixels in one LR pixel.

    Returns:
        Offsets from the first HR pixel of the LR pixel, and weights, which add up to 1.
    """
    spread, centre = sigma * scale, scale / 2 - shift * scale
    reach = scale / 2 + _REACH * spread + 1
    first, last = math.floor(centre - reach), math.ceil(centre + reach)
    edges = [_collected(edge - centre, spread, scale) for edge in range(first, last + 1)]
    row = np.diff(edges)
    return np.arange(first, last), row / row.sum()


def transfer(sigma: float, scale: int, frequency: float = 0.5) -> float:
    """Return the MTF of the unshifted kernel.

    Args:
        sigma: Standard deviation of the optics in LR pixels.
        scale: HR pixels in one LR pixel.
        frequency: In cycles per LR pixel; 0.5 is Nyquist.
    """
    offsets, row = kernel(sigma, 0.0, scale)
    return float(abs((row * np.exp(-2j * np.pi * frequency / scale * offsets)).sum()))


def sigma_of(mtf: float, scale: int) -> float:
    """Return the optics' sigma in LR pixels for which the whole system has an MTF at the LR Nyquist frequency.

    A Gaussian of sigma LR pixels has MTF(f) = exp(-2 pi^2 sigma^2 f^2), so optics alone would need
    sigma = sqrt(-2 ln(mtf)) / pi at f = 0.5. The detector's square multiplies by sinc(f), 2 / pi = 0.637 at
    Nyquist, and the HR pixels' own squares by sinc(f / scale) and its aliases. What is asked is their product,
    and it is solved for on the kernel itself, to 1e-9.

    Raises:
        ValueError: The detector alone has less.
    """
    alone = math.log(transfer(0.0, scale))
    if not 0 < mtf <= math.exp(alone):
        raise ValueError(f"no optics give an MTF of {mtf} at Nyquist")
    # ln MTF is close to a straight line in sigma^2, so that the secant through two points leads to it in few steps.
    square, value = 0.0, alone - math.log(mtf)
    following = value * 2 / math.pi**2
    for _ in range(_STEPS):
        if abs(value) < 1e-10:
            break
        before, square = square, following
        last, value = value, math.log(transfer(math.sqrt(square), scale)) - math.log(mtf)
        if value != last:
            following = max(square - value * (square - before) / (value - last), square / 4)
    return math.sqrt(square)


def _collected(x: float, spread: float, width: int) -> float:
    """Return the integral up to x of a Gaussian of standard deviation `spread` * a box of `width`, centred."""
    return (_ramp(x + width / 2, spread) - _ramp(x - width / 2, spread)) / width


def _ramp(x: float, spread: float) -> float:
    """Return the integral up to x of a Gaussian's distribution function."""
    if spread == 0:
        return max(x, 0.0)
    z = x / spread
    tail = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return spread * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + tail)
