"""Enlarging by bicubic and Lanczos kernels: MATLAB's as written out and as pyiqa ports it, Pillow's, no shift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from synrs_data.evaluate.super_resolution.enlarge import Kernel, enlarge, weights
from synrs_data.filters.grey import grey
from synrs_data.filters.registration import shift_between
from tests.evaluate.sr_images import scene


def keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2 if abs(x) < 3 else 0.0


def imresize_column(column: list[int], scale: int, kernel: Kernel) -> list[int]:
    """MATLAB's imresize of one column as its source says it: indices from 1, borders mirrored."""
    function, reach = (keys, 2) if kernel == "bicubic" else (lanczos, 3)
    found = []
    for out in range(1, len(column) * scale + 1):
        centre = out / scale + 0.5 * (1 - 1 / scale)
        total = share = 0.0
        for place in range(math.floor(centre - reach) - 1, math.ceil(centre + reach) + 2):
            weight = function(centre - place)
            mirrored = place
            while not 1 <= mirrored <= len(column):
                mirrored = 1 - mirrored if mirrored < 1 else 2 * len(column) + 1 - mirrored
            total += weight * column[mirrored - 1]
            share += weight
        found.append(min(max(math.floor(round(total / share, 9) + 0.5), 0), 255))
    return found


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matlab_is_imresize_with_rows_before_columns(kernel: Kernel, scale: int) -> None:
    image = scene(0, 32)[:9, :7]
    rows = np.stack(
        [[imresize_column(list(image[:, x, c]), scale, kernel) for c in range(3)] for x in range(7)]
    )
    tall = rows.transpose(2, 0, 1)
    expected = np.stack(
        [[imresize_column(list(tall[y, :, c]), scale, kernel) for c in range(3)] for y in range(9 * scale)]
    ).transpose(0, 2, 1)
    assert np.array_equal(enlarge(image, scale, kernel), expected)


def test_bicubic_weights_agree_with_the_port_in_pyiqa() -> None:
    pytest.importorskip("pyiqa", reason="the extra `iqa` is not installed")
    import torch
    from pyiqa.matlab_utils import imresize

    image = scene(1, 32)[:24].astype(np.float64)
    theirs = imresize(torch.from_numpy(image.transpose(2, 0, 1))[None] / 255, scale=4)[0].numpy() * 255
    rows, columns = weights("bicubic", 24, 4), weights("bicubic", 32, 4)
    ours = np.einsum("yh,xw,hwc->cyx", rows, columns, image)
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
def test_pillow_is_pillows_and_differs_from_matlab_at_borders_alone(kernel: Kernel) -> None:
    # Far from 0 and 255: MATLAB's way cuts what overshoots there between rows and columns.
    image = scene(2, 32) // 4 + np.uint8(96)
    image[:, 0], image[:, 1] = 60, 190
    filters = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
    found = enlarge(image, 4, kernel, "pillow")
    assert np.array_equal(found, np.asarray(Image.fromarray(image).resize((128, 128), filters[kernel])))
    difference = np.abs(found.astype(int) - enlarge(image, 4, kernel))
    assert difference[16:-16, 16:-16].max() <= 2
    assert difference.max() > 2


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
def test_nothing_is_shifted_or_made_brighter(kernel: Kernel) -> None:
    image = scene(3, 64)
    large = enlarge(image, 2, kernel)
    plain = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    shift = shift_between(grey(plain), grey(large))
    assert abs(shift.x) < 0.02
    assert abs(shift.y) < 0.02
    assert abs(float(large.mean()) - float(image.mean())) < 0.5
    assert np.array_equal(enlarge(np.full((5, 4, 3), 77, np.uint8), 3, kernel), np.full((15, 12, 3), 77))


def test_a_scale_of_one_changes_nothing() -> None:
    image = scene(4, 16)
    assert np.array_equal(enlarge(image, 1, "bicubic"), image)
