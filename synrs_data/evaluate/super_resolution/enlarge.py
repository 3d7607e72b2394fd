"""Enlarge images by a whole factor with fixed kernels, in MATLAB's definition and in Pillow's."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kernel = Literal["bicubic", "lanczos"]
Definition = Literal["matlab", "pillow"]

_REACH: dict[Kernel, int] = {"bicubic": 2, "lanczos": 3}

_TIE = 1e-9
"""Moves sums of rational weights off ties, as in `synrs_data.resampling`."""


def enlarge(
    image: NDArray[np.uint8], scale: int, kernel: Kernel, definition: Definition = "matlab"
) -> NDArray[np.uint8]:
    """Return an image made larger, (height * scale, width * scale, 3).

    "bicubic" is the kernel of Keys (IEEE Trans. ASSP 29, 1981, eq. 15) with a = -0.5, "lanczos" the sinc of three lobes
    under a sinc window. Both definitions centre pixels, so that nothing shifts; enlarging, neither filters first
    (MATLAB's `Antialiasing` acts on what gets smaller alone). They differ where the kernel leaves the image, and in
    rounding:

    - "matlab" mirrors the image about the edge of its outermost pixel and rounds to 8 bits after rows and again after
      columns, halves up: imresize.m, as ported in github.com/fatheral/matlab_imresize.
    - "pillow" leaves out what lies beyond the border: Pillow's `Image.resize`, src/libImaging/Resample.c.

    Args:
        image: RGB, (height, width, 3), 0 to 255.
        scale: Factor, from 1.
        kernel: Which kernel.
        definition: Whose.
    """
    height, width = image.shape[:2]
    if definition == "pillow":
        from PIL import Image as PillowImage

        filters = {
            "bicubic": PillowImage.Resampling.BICUBIC,
            "lanczos": PillowImage.Resampling.LANCZOS,
        }
        large = PillowImage.fromarray(image).resize((width * scale, height * scale), filters[kernel])
        return np.asarray(large)
    rows, columns = weights(kernel, height, scale), weights(kernel, width, scale)
    pixels = _half_up(np.tensordot(rows, image.astype(np.float64), axes=1))
    pixels = _half_up(np.einsum("ow,hwc->hoc", columns, pixels, optimize=True))
    return pixels.astype(np.uint8)


@lru_cache(maxsize=64)
def weights(kernel: Kernel, size: int, scale: int) -> NDArray[np.float64]:
    """Return the matrix that enlarges one axis, (size * scale, size), borders mirrored; rows add up to 1."""
    reach = _REACH[kernel]
    centres = (np.arange(size * scale) + 0.5) / scale - 0.5
    places = np.floor(centres)[:, None].astype(np.int64) + np.arange(1 - reach, reach + 1)[None, :]
    values = _keys(centres[:, None] - places) if kernel == "bicubic" else _sinc(centres[:, None] - places)
    values /= values.sum(axis=1, keepdims=True)
    places = places % (2 * size)
    places = np.where(places < size, places, 2 * size - 1 - places)
    found = np.zeros((size * scale, size))
    np.add.at(found, (np.arange(size * scale)[:, None], places), values)
    return found


def _keys(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _half_up(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.floor(pixels + (0.5 + _TIE)), 0, 255)
