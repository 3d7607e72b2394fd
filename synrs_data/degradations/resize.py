"""Interpolation of an image at another size: the ways of torch, of OpenCV and of MATLAB.

| mode | is |
|---|---|
| nearest, bilinear | `torch.nn.functional.interpolate`, corners not aligned; its bilinear is OpenCV's |
| area, bicubic | what that function gives, to about 1e-6: means over whole pixels; a = -0.75 without antialiasing, as OpenCV's |
| exact_area | OpenCV's `INTER_AREA`: means over exact areas; a kind of bilinear where the image grows |
| antialiased_bicubic | MATLAB's `imresize`: a = -0.5, stretched where the image shrinks |
"""  # noqa: E501 (a table)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synrs_data.degradations.banded import Taps, mapped

if TYPE_CHECKING:
    import torch

HEEDS_FACTOR = ("nearest", "bilinear", "bicubic")
"""Modes for which the distance of pixels can be another than that of the sizes."""

Floats = NDArray[np.floating]


def resized(
    image: torch.Tensor, size: tuple[int, int], mode: str, *, factor: float | None = None
) -> torch.Tensor:
    """Return an image at another size.

    Args:
        image: (channels, height, width), float32.
        size: Height and width to give it.
        mode: See above.
        factor: Distance of the old pixels in new ones, if it is not that of the sizes; `HEEDS_FACTOR` alone do so.

    Returns:
        (channels, *size).
    """
    from torch.nn import functional

    if tuple(image.shape[-2:]) == size and factor in (None, 1.0):
        return image
    if mode in ("bilinear", "nearest"):
        given: dict[str, Any] = {"size": size} if factor is None else {"scale_factor": factor}
        return functional.interpolate(image[None], mode=mode, **given)[0]
    shrinks = image.shape[-2] >= size[0] and image.shape[-1] >= size[1]
    rows, columns = (
        taps(mode, old, new, shrinks=shrinks, factor=factor)
        for old, new in zip(image.shape[-2:], size, strict=True)
    )
    return mapped(image, rows, columns)


def taps(mode: str, old: int, new: int, *, shrinks: bool, factor: float | None = None) -> Taps:
    """Return what each new pixel of an axis takes from the old ones.

    Args:
        mode: All but "bilinear" and "nearest".
        old: Pixels before.
        new: Pixels after.
        shrinks: Whether no axis of the image grows: OpenCV's area is a mean only then.
        factor: See `resized`.
    """
    if mode == "area":
        return _area(old, new)
    if mode == "bicubic":
        return _bicubic(old, new, factor)
    if mode == "antialiased_bicubic":
        return _antialiased(old, new)
    return _exact_area(old, new) if shrinks else _area_grown(old, new)


def _area(old: int, new: int) -> Taps:
    """Means over all pixels that an area touches (ATen/native/AdaptiveAveragePooling.cpp)."""
    at = np.arange(new)
    first, end = at * old // new, -(-(at + 1) * old // new)
    counts = (end - first)[:, None]
    offsets = np.arange(int(counts.max()))
    return Taps(np.minimum(first[:, None] + offsets, old - 1), np.where(offsets < counts, 1 / counts, 0.0))


def _bicubic(old: int, new: int, factor: float | None) -> Taps:
    """Cubic convolution with a = -0.75, borders repeated (ATen/native/UpSample.h, also in its precision)."""
    pitch = np.float32(old / new if factor is None else 1 / factor)
    centres = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * pitch - np.float32(0.5)
    first = np.floor(centres)
    offsets = np.arange(-1, 3)
    values = _cubic((centres - first)[:, None] - offsets, -0.75)
    return Taps(np.clip(first.astype(np.int64)[:, None] + offsets, 0, old - 1), values)


def _antialiased(old: int, new: int) -> Taps:
    """MATLAB's imresize, borders mirrored about their edge (imresize.m, function `contributions`)."""
    ratio = old / new
    stretch = max(1.0, ratio)
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    first = np.floor(centres - 2 * stretch).astype(np.int64)
    places = first[:, None] + np.arange(int(np.ceil(4 * stretch)) + 2)
    values = _cubic((centres[:, None] - places) / stretch, -0.5)
    places %= 2 * old
    return Taps(np.minimum(places, 2 * old - 1 - places), values / values.sum(axis=1, keepdims=True))


def _exact_area(old: int, new: int) -> Taps:
    """Means weighted by the area that is covered (OpenCV, modules/imgproc/src/resize.cpp, `computeResizeAreaTab`)."""
    ratio = old / new
    begin, end = np.arange(new)[:, None] * ratio, np.arange(1, new + 1)[:, None] * ratio
    places = np.floor(begin).astype(np.int64) + np.arange(int(np.ceil(ratio)) + 1)
    values = np.clip(np.minimum(places + 1, end) - np.maximum(places, begin), 0, None)
    return Taps(np.minimum(places, old - 1), values / values.sum(axis=1, keepdims=True))


def _area_grown(old: int, new: int) -> Taps:
    """What OpenCV's `INTER_AREA` does where an image grows (the same file, `resize`, `interpolation == INTER_AREA`)."""
    at = np.arange(new)
    growth = new / old
    first = np.floor(at * (1 / growth)).astype(np.int64)
    part = ((at + 1) - (first + 1) * growth).astype(np.float32)
    part = np.where(part <= 0, 0, part - np.floor(part))
    places = np.minimum(np.stack([first, first + 1], axis=1), old - 1)
    return Taps(places, np.stack([1 - part, part], axis=1))


def _cubic(x: Floats, a: float) -> Floats:
    """Return the cubic convolution kernel of Keys (IEEE Trans. ASSP 29, 1981, eq. 15; a is -0.5 there)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
