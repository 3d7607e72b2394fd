"""Interpolation of an image at another size: the ways of torch, of OpenCV and of MATLAB.

| mode | is |
|---|---|
| area, bilinear, bicubic, nearest | `torch.nn.functional.interpolate`, corners not aligned, without antialiasing; its bilinear and bicubic (a = -0.75) are OpenCV's too |
| exact_area | OpenCV's `INTER_AREA`: means over exact areas; a kind of bilinear where the image grows |
| antialiased_bicubic | MATLAB's `imresize`: bicubic with a = -0.5, stretched where the image shrinks |
"""  # noqa: E501 (a table)

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Weights = NDArray[np.float64]


def resized(
    image: torch.Tensor, size: tuple[int, int], mode: str, *, factor: float | None = None
) -> torch.Tensor:
    """Return an image at another size.

    Args:
        image: (channels, height, width), float32.
        size: Height and width to give it.
        mode: See above.
        factor: Distance of the old pixels in new ones, if it is not that of the sizes (torch's modes alone).

    Returns:
        (channels, *size).
    """
    import torch
    from torch.nn import functional

    if tuple(image.shape[-2:]) == size and factor in (None, 1.0):
        return image
    if mode in ("exact_area", "antialiased_bicubic"):
        shrinks = image.shape[-2] >= size[0] and image.shape[-1] >= size[1]
        rows, columns = (
            torch.from_numpy(axis_weights(mode, old, new, shrinks)).float().to(image.device)
            for old, new in zip(image.shape[-2:], size, strict=True)
        )
        return torch.matmul(torch.matmul(rows, image), columns.T)
    given = {"size": size} if factor is None else {"scale_factor": factor}
    return functional.interpolate(image[None], mode=mode, **given)[0]


@lru_cache(maxsize=64)
def axis_weights(mode: str, old: int, new: int, shrinks: bool) -> Weights:
    """Return what each new pixel of an axis takes from the old ones, (new, old); rows add up to 1.

    Args:
        mode: "exact_area" or "antialiased_bicubic".
        old: Pixels before.
        new: Pixels after.
        shrinks: Whether no axis of the image grows: OpenCV's area is a mean only then (modules/imgproc/src/resize.cpp,
            `computeResizeAreaTab`, and the comment that true area interpolation is only done for this case).
    """
    ratio = old / new
    at = np.arange(new)
    if mode == "antialiased_bicubic":
        stretch = max(1.0, ratio)
        centres = (at + 0.5) * ratio - 0.5
        first = np.floor(centres - 2 * stretch).astype(int)
        places = first[:, None] + np.arange(int(np.ceil(4 * stretch)) + 2)
        values = _cubic((centres[:, None] - places) / stretch)
        places = places % (2 * old)
        places = np.minimum(places, 2 * old - 1 - places)
    elif shrinks:
        places = np.floor(at * ratio).astype(int)[:, None] + np.arange(int(np.ceil(ratio)) + 1)
        begin, end = (at * ratio)[:, None], ((at + 1) * ratio)[:, None]
        values = np.clip(np.minimum(places + 1, end) - np.maximum(places, begin), 0, None)
        places = np.minimum(places, old - 1)
    else:
        first = np.floor(at * ratio).astype(int)
        part = (at + 1) - (first + 1) / ratio
        part = np.where(part <= 0, 0, part - np.floor(part))
        places = np.minimum(np.stack([first, first + 1], axis=1), old - 1)
        values = np.stack([1 - part, part], axis=1)
    found = np.zeros((new, old))
    np.add.at(found, (at[:, None], places), values)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _cubic(x: Weights) -> Weights:
    """Return the cubic convolution kernel of Keys (IEEE Trans. ASSP 29, 1981, eq. 15), a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
