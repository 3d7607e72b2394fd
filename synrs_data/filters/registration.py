"""How far one image lies beside another, to a few hundredths of a pixel, by phase correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BAND = 0.35
"""Highest frequency that is used, in cycles per pixel. Above it, aliasing and noise say little about shifts: Stone
et al., "A fast direct Fourier-based algorithm for subpixel registration of images", IEEE TGRS 39 (2001)."""

_STEPS = 30


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift between two images, in pixels.

    Attributes:
        x: To the right.
        y: Downwards.
        error: Standard error along the worse direction; infinite if there is nothing to measure.
    """

    x: float
    y: float
    error: float


NO_SHIFT = Shift(0.0, 0.0, float("inf"))


def shift_between(reference: NDArray[np.float64], moved: NDArray[np.float64]) -> Shift:
    """Return by how many pixels `moved` shows the scene to the right of and below `reference`.

    Both images are taken less their mean and under a Hann window. Their cross-power spectrum is whitened by half
    (amplitudes to the power 0.5): whitening in full, as in phase correlation proper (Kuglin and Hines, 1975),
    gives noise the weight of signal, and none at all lets the lowest frequencies and with them the borders rule.
    The peak of its transform is the whole-pixel shift; from there, Newton's method goes to the maximum of the
    trigonometric polynomial itself, so that no grid and no fitted curve limits the precision.

    The standard error comes from the spread of the phases about the plane that the shift stands for. With a flat
    image it is infinite; with images that share no structure it is about half a pixel, and the shift says nothing.

    Args:
        reference: Grey levels, (height, width).
        moved: Grey levels of the same shape.
    """
    cross = _spectrum(moved) * np.conj(_spectrum(reference))
    height, width = reference.shape
    rows, columns = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    radius = np.hypot(rows, columns)
    used = (radius > 0) & (radius <= _BAND)
    amplitude = np.abs(cross)
    # A spectrum of rounding errors is that of a flat image.
    if not used.any() or amplitude[used].max() < 1e-6:
        return NO_SHIFT
    weighted = np.zeros_like(cross)
    weighted[used] = cross[used] / np.sqrt(np.maximum(amplitude[used], 1e-12))
    start = np.unravel_index(np.fft.ifft2(weighted).real.argmax(), cross.shape)
    place = np.array([_signed(int(at), size) for at, size in zip(start, cross.shape, strict=True)])
    waves = 2 * np.pi * np.stack([rows[used], columns[used]], axis=1)
    return _refine(weighted[used], waves, place)


def _spectrum(image: NDArray[np.float64]) -> NDArray[np.complex128]:
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in image.shape))
    centred = image - (image * window).sum() / window.sum()
    return np.fft.fft2(centred * window)


def _refine(
    weighted: NDArray[np.complex128], waves: NDArray[np.float64], place: NDArray[np.float64]
) -> Shift:
    """Return the maximum near `place`, rows first."""
    for _ in range(_STEPS):
        turned = weighted * np.exp(1j * (waves @ place))
        curvature = (waves.T * turned.real) @ waves
        if np.linalg.eigvalsh(curvature)[0] <= 0:
            return NO_SHIFT
        step = np.linalg.solve(curvature, turned.imag @ waves)
        step *= min(1.0, 0.5 / max(np.abs(step).max(), 1e-12))
        place = place - step
        if np.abs(step).max() < 1e-7:
            break
    return Shift(float(place[1]), float(place[0]), _error(turned, waves, curvature))


def _error(
    turned: NDArray[np.complex128], waves: NDArray[np.float64], curvature: NDArray[np.float64]
) -> float:
    """Return the standard error of the worse direction, by the sandwich formula of least squares.

    Every frequency is there twice, and the Hann window makes neighbours in each direction alike: its equivalent
    noise bandwidth is 1.5 bins (Harris, Proc. IEEE 66, 1978, table 1).
    """
    inverse = np.linalg.inv(curvature)
    spread = (waves.T * turned.imag**2) @ waves
    variance = inverse @ spread @ inverse * 2 * 1.5**2
    return float(np.sqrt(np.linalg.eigvalsh(variance)[-1]))


def _signed(place: int, size: int) -> float:
    return float(place - size if place > size // 2 else place)
