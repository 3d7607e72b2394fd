"""JPEG compression and decompression, 4:2:0, without the file: what is lost is lost, and nothing is encoded.

| codec | is | differs from the other in |
|---|---|---|
| diffjpeg | `DiffJPEG(differentiable=False)` of basicsr | values stay fractions of 1/255; tables scaled by a fractional quality, that of luma transposed; black beyond the borders; chroma repeated |
| libjpeg | libjpeg-turbo as Pillow and OpenCV call it | 8-bit values at every stage; tables of whole numbers; borders repeated; chroma interpolated ("fancy upsampling") |

Sources: github.com/XPixelGroup/BasicSR at 8d56e3a, basicsr/utils/diffjpeg.py; github.com/libjpeg-turbo/libjpeg-turbo,
jcparam.c (`jpeg_quality_scaling`, `std_luminance_quant_tbl`), jccolor.c, jcsample.c (`h2v2_downsample`), jdsample.c
(`h2v2_fancy_upsample`). Its integer cosine transforms (jfdctint.c, jidctint.c) are exact ones here, so that a few
values differ by a little: tests/degradations/test_jpeg.py says how little.
"""  # noqa: E501 (a table)

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Codec = Literal["diffjpeg", "libjpeg"]
Array = NDArray[np.float64]

# ITU-T T.81, tables K.1 and K.2: rows are vertical frequencies.
_LUMA = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
], dtype=np.float64)  # fmt: skip
_CHROMA = np.full((8, 8), 99.0)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# ITU-T T.871, clause 7.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]])

_TIE = 1e-4
"""Whole numbers with rational weights often end on a half, or a rounding error below it."""


def compressed(images: torch.Tensor, qualities: list[float], codec: Codec) -> torch.Tensor:
    """Return images after compression by JPEG.

    Args:
        images: (count, 3, height, width), RGB, float32; clipped to 0 to 1 first.
        qualities: Of each image, 1 to 100.
        codec: See above; "libjpeg" takes the whole part.

    Returns:
        (count, 3, height, width), 0 to 1.
    """
    one = _diffjpeg if codec == "diffjpeg" else _libjpeg
    tables = [quantisation(quality, codec) for quality in qualities]
    return one(images.clamp(0, 1), [pair[0] for pair in tables], [pair[1] for pair in tables])


def quantisation(quality: float, codec: Codec) -> tuple[Array, Array]:
    """Return the tables of luma and chroma, (8, 8) each."""
    if codec == "diffjpeg":
        factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
        # At quality 100 its tables would be 0; it cannot do that, and its presets stop at 95.
        factor = max(factor, 1e-3)
        return _LUMA.T * factor, _CHROMA * factor
    whole = int(quality)
    percent = 5000 // whole if whole < 50 else 200 - 2 * whole
    luma, chroma = (np.clip((table * percent + 50) // 100, 1, 255) for table in (_LUMA, _CHROMA))
    return luma, chroma


def _diffjpeg(images: torch.Tensor, luma: list[Array], chroma: list[Array]) -> torch.Tensor:
    import torch
    from torch.nn import functional

    count, _, height, width = images.shape
    rows, columns = -height % 16, -width % 16
    if rows or columns:
        images = functional.pad(images, (0, columns, 0, rows))
    whole = images.shape[-2:]
    ycc = torch.matmul(_matrix("to_ycc", images), images.flatten(2)).view(count, 3, *whole)
    # Offsets of luma and chroma: 128 before the transform and 128 after it cancel for chroma.
    light = _quantised(ycc[:, :1].sub(128), luma, "two", exact=True).add_(128)
    colour = _quantised(ycc[:, 1:], chroma, "halved", exact=True)
    both = torch.cat([light, colour], 1).flatten(2)
    found = torch.matmul(_matrix("to_rgb", images), both).clamp_(0, 1).view_as(ycc)
    return found[:, :, :height, :width]


def _quantised(planes: torch.Tensor, tables: list[Array], kind: str, *, exact: bool) -> torch.Tensor:
    """Return planes after the cosine transform of 8 x 8 blocks, quantisation, and back.

    The planes are transformed 16 rows and 16 columns at a time, by a matrix that holds two transforms ("two"), or
    one of means of two pixels ("halved"), whose inverse repeats each pixel twice. So chroma is brought down and up
    again with no step of its own.

    Args:
        planes: (count, channels, height, width), sides multiples of 16; of 8 with the kind "one".
        tables: Quantisation of each image.
        kind: "one", "two" or "halved".
        exact: Quantise the coefficients as they are, halves to even; otherwise in eighths, halves away from 0.
    """
    import torch

    count, channels, height, width = planes.shape
    there, back = _matrix(kind, planes), _matrix(f"{kind}_back", planes)
    side, short = there.shape[1], there.shape[0]
    found = torch.matmul(there, planes.reshape(-1, side, width))
    found = torch.matmul(found.view(-1, side), there.T)
    found = found.view(count, channels, height * short // side // 8, 8, width * short // side)
    table = np.stack([np.tile(table, found.shape[-1] // 8) for table in tables]).astype(np.float32)
    steps = torch.from_numpy(table).to(planes.device)[:, None, None]
    if exact:
        found.div_(steps).round_().mul_(steps)
    else:
        whole = _half_up(found.mul_(8)).div_(steps.mul(8))
        found = _half_up(whole.abs()).mul_(whole.sign()).mul_(steps)
    found = torch.matmul(found.view(-1, short), back.T)
    return torch.matmul(back, found.view(-1, short, width)).view(count, channels, height, width)


@lru_cache(maxsize=64)
def _cached(name: str, device: torch.device) -> torch.Tensor:
    import torch

    angles = (2 * np.arange(8)[None, :] + 1) * np.arange(8)[:, None] * np.pi / 16
    cosine = np.cos(angles) / 2
    cosine[0] /= np.sqrt(2)
    repeat = np.kron(np.eye(8), np.ones((2, 1)))
    matrices = {
        "to_ycc": _TO_YCC * 255,
        "to_rgb": _TO_RGB / 255,
        "one": cosine,
        "one_back": cosine.T,
        "two": np.kron(np.eye(2), cosine),
        "two_back": np.kron(np.eye(2), cosine.T),
        "halved": cosine @ repeat.T / 2,
        "halved_back": repeat @ cosine.T,
    }
    return torch.from_numpy(np.ascontiguousarray(matrices[name], dtype=np.float32)).to(device)


def _matrix(name: str, like: torch.Tensor) -> torch.Tensor:
    return _cached(name, like.device)


def _libjpeg(images: torch.Tensor, luma: list[Array], chroma: list[Array]) -> torch.Tensor:
    import torch

    count, _, height, width = images.shape
    pixels = _half_up(images * 255).flatten(2)
    ycc = torch.matmul(_matrix("to_ycc", images) / 255, pixels).view(count, 3, height, width)
    light = _repeated(_half_up(ycc[:, :1]).sub_(128), -height % 8, -width % 8)
    light = _half_up(_quantised(light, luma, "one", exact=False)[:, :, :height, :width])
    # jccolor.c lets halves of chroma fall, and jcsample.c adds 1 and 2 in turn before it divides by 4.
    colour = _repeated(_half_up(ycc[:, 1:] - 2 * _TIE).add_(128), height % 2, -width % 16)
    sums = colour[:, :, 0::2] + colour[:, :, 1::2]
    sums = sums[..., 0::2] + sums[..., 1::2]
    sums[..., 0::2] += 1
    sums[..., 1::2] += 2
    tall, wide = (height + 1) // 2, (width + 1) // 2
    small = _repeated(sums.div_(4).floor_().sub_(128), -tall % 8, 0)
    small = _half_up(_quantised(small, chroma, "one", exact=False)[:, :, :tall, :wide]).clamp_(-128, 127)
    colour = _interpolated(small.add_(128))[:, :, :height, :width].sub(128)
    both = torch.cat([light.add_(128).clamp_(0, 255), colour], 1).flatten(2)
    found = _half_up(torch.matmul(_matrix("to_rgb", images) * 255, both)).clamp_(0, 255).div_(255)
    return found.view(count, 3, height, width)


def _half_up(values: torch.Tensor) -> torch.Tensor:
    """Return values rounded, halves up, whatever rounding errors they have."""
    return (values + (0.5 + _TIE)).floor_()


def _repeated(planes: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return planes with their last row and column repeated."""
    from torch.nn import functional

    return functional.pad(planes, (0, columns, 0, rows), mode="replicate") if rows or columns else planes


def _interpolated(planes: torch.Tensor) -> torch.Tensor:
    """Return planes twice as high and wide: 3/4 of the nearest pixel and 1/4 of the next, along both axes.

    Planes of one or two columns are repeated, as libjpeg-turbo does.
    """
    import torch

    if planes.shape[-1] <= 2:
        return planes.repeat_interleave(2, 2).repeat_interleave(2, 3)
    above = torch.cat([planes[:, :, :1], planes[:, :, :-1]], 2)
    below = torch.cat([planes[:, :, 1:], planes[:, :, -1:]], 2)
    tall = torch.stack([3 * planes + above, 3 * planes + below], 3).flatten(2, 3)
    left = torch.cat([tall[..., :1], tall[..., :-1]], 3)
    right = torch.cat([tall[..., 1:], tall[..., -1:]], 3)
    wide = torch.stack([3 * tall + left + 8, 3 * tall + right + 7], 4).flatten(3)
    return wide.div_(16).floor_()
