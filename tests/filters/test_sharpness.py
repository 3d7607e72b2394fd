"""`sharpness`: known values, and real images against blurred ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from synrs_data.filters.base import Batch
from synrs_data.filters.sharpness import Sharpness, SharpnessOptions
from synrs_data.recipe import Threshold
from synrs_data.registry import lookup
from synrs_data.resources import shipped
from synrs_data.vocabulary import load_label_set
from tests.real_textures import ucmerced

Pixels = NDArray[np.uint8]


def score(*images: Pixels) -> dict[str, list[float]]:
    scorer = Sharpness(SharpnessOptions(), load_label_set("eurosat"))
    batch = Batch(images=images, captions=[""] * len(images), labels=[0] * len(images), device="cpu")
    return {name: [float(value) for value in values] for name, values in scorer.score(batch).items()}


def grey(levels: NDArray[np.float64]) -> Pixels:
    return np.repeat(np.rint(levels).astype(np.uint8)[..., None], 3, axis=2)


def wave(frequency: float) -> Pixels:
    return grey(127.5 + 100 * np.cos(2 * np.pi * frequency * np.arange(64)) * np.ones((64, 1)))


def blurred(image: Pixels, sigma: float) -> Pixels:
    return np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def eurosat() -> list[Pixels]:
    files: list[Path] = sorted(shipped("builders", "sources", "eurosat").glob("*/*.jpg"))[::4]
    assert len(files) > 20
    return [np.array(Image.open(file).convert("RGB")) for file in files]


def test_flat_images_and_ramps_have_none() -> None:
    flat = np.full((32, 32, 3), 90, dtype=np.uint8)
    ramp = grey(np.arange(64.0) * 3 * np.ones((64, 1)))
    assert score(flat, ramp)["sharpness_laplacian"] == [pytest.approx(0, abs=1e-20)] * 2
    assert score(flat)["sharpness_high_frequency"] == [0.0]


def test_the_laplacian_is_that_of_four_neighbours() -> None:
    image = np.zeros((5, 5, 3), dtype=np.uint8)
    image[2, 2] = 100
    # Inside the border: -400 once, 100 four times, 0 four times.
    values = np.array([-400, 100, 100, 100, 100, 0, 0, 0, 0])
    assert score(image)["sharpness_laplacian"] == [pytest.approx(values.var())]


def test_the_laplacian_is_opencvs() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    levels = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.float64)
    theirs = cv2.Laplacian(levels, cv2.CV_64F, ksize=1)[1:-1, 1:-1].var()
    assert score(grey(levels))["sharpness_laplacian"] == [pytest.approx(theirs)]


def test_the_share_is_that_above_half_the_nyquist_frequency() -> None:
    found = score(wave(0.1), wave(0.2), wave(0.3), wave(0.45))["sharpness_high_frequency"]
    assert found[:2] == [pytest.approx(0, abs=0.01)] * 2
    assert found[2:] == [pytest.approx(1, abs=0.01)] * 2


def test_the_share_of_white_noise_is_that_of_the_area_and_contrast_changes_nothing() -> None:
    levels = np.random.default_rng(0).integers(100, 156, (256, 256)).astype(np.float64)
    strong, weak = score(grey(128 + 2 * (levels - 128)), grey(levels))["sharpness_high_frequency"]
    # All but a disc of radius 0.25 in the unit square of frequencies.
    assert weak == pytest.approx(1 - np.pi / 16, abs=0.01)
    assert strong == pytest.approx(weak, abs=1e-9)


def test_real_images_pass_and_blurred_ones_fail() -> None:
    check(eurosat(), 2, 0.6)


def test_lossless_aerial_images_pass_and_blurred_ones_fail() -> None:
    check(ucmerced(6), 2, 0.9)


def check(images: list[Pixels], sigma: float, least: float) -> None:
    thresholds = Sharpness(SharpnessOptions(), load_label_set("eurosat")).thresholds()
    assert set(thresholds) == set(Sharpness.columns)

    def passing(*candidates: Pixels) -> NDArray[np.bool_]:
        found = score(*candidates)
        fine = [np.array(found[name]) >= (limit.min or 0) for name, limit in thresholds.items()]
        return np.asarray(np.all(fine, axis=0))

    assert passing(*images).mean() >= 0.99
    assert passing(*(blurred(image, sigma) for image in images)).mean() <= 1 - least


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_images_have_finite_scores(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    assert all(np.isfinite(value) for values in score(image).values() for value in values)


def test_columns_are_what_is_scored() -> None:
    assert list(Sharpness.columns) == list(score(wave(0.1)))
    assert lookup("filters", "sharpness") is Sharpness
    scorer = Sharpness(SharpnessOptions(), load_label_set("eurosat"))
    assert scorer.thresholds()["sharpness_laplacian"] == Threshold(min=3.0)
    assert scorer.digest() == ""
