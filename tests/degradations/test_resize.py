"""Resizing agrees with torch, OpenCV and Pillow, mode by mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from synrs_data.degradations.resize import resized, taps

SHAPE = (60, 83)
FACTORS = [0.15, 0.31, 0.5, 0.77, 1.0003, 1.2, 1.5]


def picture(height: int = SHAPE[0], width: int = SHAPE[1]) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(0).random((3, height, width), dtype=np.float32))


def scaled(factor: float) -> tuple[int, int]:
    return int(SHAPE[0] * factor), int(SHAPE[1] * factor)


@pytest.mark.parametrize("mode", ["area", "bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("factor", FACTORS)
def test_sizes_give_what_torch_gives_for_sizes(mode: str, factor: float) -> None:
    from torch.nn import functional

    image = picture()
    theirs = functional.interpolate(image[None], size=scaled(factor), mode=mode)[0]
    assert resized(image, scaled(factor), mode).numpy() == pytest.approx(theirs.numpy(), abs=2e-5)


@pytest.mark.parametrize("mode", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("factor", FACTORS)
def test_factors_give_what_torch_gives_for_scale_factors(mode: str, factor: float) -> None:
    from torch.nn import functional

    image = picture()
    theirs = functional.interpolate(image[None], scale_factor=factor, mode=mode)[0]
    found = resized(image, scaled(factor), mode, factor=factor)
    assert found.shape == theirs.shape
    assert found.numpy() == pytest.approx(theirs.numpy(), abs=2e-5)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_factor_is_not_the_ratio_of_whole_sizes(mode: str) -> None:
    image = picture()
    by_size = resized(image, scaled(0.31), mode)
    assert (resized(image, scaled(0.31), mode, factor=0.31) - by_size).abs().max() > 0.01


@pytest.mark.parametrize(
    ("mode", "name"), [("bilinear", "LINEAR"), ("bicubic", "CUBIC"), ("exact_area", "AREA")]
)
@pytest.mark.parametrize("factor", FACTORS)
def test_sizes_give_what_opencv_gives(mode: str, name: str, factor: float) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = picture()
    height, width = scaled(factor)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    theirs = cv2.resize(pixels, (width, height), interpolation=getattr(cv2, f"INTER_{name}"))
    found = resized(image, (height, width), mode).permute(1, 2, 0).numpy()
    assert found == pytest.approx(theirs, abs=2e-5)


def test_opencvs_area_is_met_at_sizes_where_its_rounding_picks_the_pixel() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    for old, new in ((40, 45), (52, 53), (61, 95), (76, 99), (88, 122)):
        image = picture(old, old)
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        theirs = cv2.resize(pixels, (new, new), interpolation=cv2.INTER_AREA)
        found = resized(image, (new, new), "exact_area").permute(1, 2, 0).numpy()
        assert found == pytest.approx(theirs, abs=2e-5), (old, new)


def test_the_two_areas_differ_where_sizes_do_not_divide() -> None:
    image = picture()
    assert (resized(image, (37, 51), "area") - resized(image, (37, 51), "exact_area")).abs().max() > 0.05
    same = resized(image, (30, 83), "area") - resized(image, (30, 83), "exact_area")
    assert same.abs().max() < 1e-6


def test_antialiased_bicubic_is_pillows_away_from_the_borders() -> None:
    image = picture(64, 96)
    found = resized(image, (32, 48), "antialiased_bicubic").numpy()
    for channel, mine in zip(image.numpy(), found, strict=True):
        theirs = PillowImage.fromarray(channel).resize((48, 32), PillowImage.Resampling.BICUBIC)
        assert mine[3:-3, 3:-3] == pytest.approx(np.asarray(theirs)[3:-3, 3:-3], abs=1e-5)


def test_antialiased_bicubic_mirrors_its_borders() -> None:
    image = picture(16, 16)
    mirrored = np.pad(image.numpy(), ((0, 0), (8, 8), (8, 8)), mode="symmetric")
    import torch

    whole = resized(torch.from_numpy(mirrored), (16, 16), "antialiased_bicubic")[:, 4:-4, 4:-4]
    assert resized(image, (8, 8), "antialiased_bicubic").numpy() == pytest.approx(whole.numpy(), abs=1e-6)


def test_picking_every_fourth_pixel_starts_with_the_first() -> None:
    image = picture(64, 96)
    assert np.array_equal(resized(image, (16, 24), "nearest").numpy(), image.numpy()[:, ::4, ::4])


@pytest.mark.parametrize("mode", ["area", "bicubic", "exact_area", "antialiased_bicubic"])
@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 5), (7, 1), (16, 16), (33, 20), (20, 33)])
def test_weights_add_up_to_one_at_any_size(mode: str, old: int, new: int) -> None:
    matrix = taps(mode, old, new, shrinks=old >= new).matrix(old)
    assert matrix.shape == (new, old)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(new), abs=1e-5)


@pytest.mark.parametrize("mode", ["area", "bilinear", "bicubic", "nearest", "exact_area"])
def test_the_same_size_changes_nothing(mode: str) -> None:
    image = picture()
    assert np.array_equal(resized(image, SHAPE, mode).numpy(), image.numpy())
