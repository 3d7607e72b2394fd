"""opensr's consistency, synthesis and correctness: the numbers of opensr-test, and those by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.super_resolution import opensr
from synrs_data.evaluate.super_resolution.enlarge import enlarge
from synrs_data.evaluate.super_resolution.opensr import correctness, matched, measures, spectral_angle
from synrs_data.resampling import shrink
from tests.evaluate.sr_images import scene

Pixels = NDArray[np.uint8]

THEIRS: dict[tuple[int, str], tuple[float, ...]] = {
    (4, "bicubic"): (0.035002, 5.157001, 0.04584, 0.193007, 0.2181, 0.588893),
    (4, "exact"): (0.01882, 2.920149, 0.083479, 0.017668, 0.017668, 0.964663),
    (4, "other"): (0.031892, 6.627421, 0.104563, 0.319489, 0.132993, 0.547518),
    (2, "bicubic"): (0.027934, 4.448279, 0.026187, 0.18244, 0.213797, 0.603763),
    (2, "other"): (0.034872, 7.764571, 0.081911, 0.447493, 0.111767, 0.44074),
}
"""Reflectance, spectral, synthesis, hallucination, omission and improvement as opensr-test 1.3.3 gives them for the
images of `triplet`, with `harm_apply_spatial=False`, in 32 bits."""

NAMES = ("reflectance", "spectral", "synthesis", "hallucination", "omission", "improvement")


def triplet(scale: int, name: str) -> tuple[Pixels, Pixels, Pixels]:
    high = scene(7, 96)
    [low] = shrink([high], "matlab", scale)
    noise = np.random.default_rng(1).integers(-40, 41, high.shape)
    images = {
        "bicubic": enlarge(low, scale, "bicubic"),
        "exact": high,
        "other": np.clip(high.astype(int) + noise, 0, 255).astype(np.uint8),
    }
    return low, images[name], high


@pytest.mark.parametrize(("scale", "name"), list(THEIRS))
def test_the_numbers_are_those_of_opensr_test(scale: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its registration is another one, see the module.
    monkeypatch.setattr(opensr, "_aligned", lambda image, reference: image)
    found = measures(*triplet(scale, name))
    for key, value in zip(NAMES, THEIRS[scale, name], strict=True):
        assert found[key] == pytest.approx(value, abs=1e-4 if key == "spectral" else 2e-6), key


def test_correctness_of_one_pixel_is_that_of_the_formula_by_hand() -> None:
    up, image, high = (np.full((1, 1, 3), level) for level in (0.2, 0.5, 0.6))
    d_ref, to_high, to_low = 0.4 / 0.8, 0.1 / 1.1, 0.3 / 0.7
    d_im, d_om = to_high / d_ref, to_low / d_ref
    excess = 1 - math.exp(-0.05 * (d_im + d_om - 1))
    distances = {
        "hallucination": math.exp(-0.05 * d_im * d_om),
        "omission": d_om + d_im * excess,
        "improvement": d_im + d_om * excess,
    }
    total = sum(math.exp(-each / 0.25) for each in distances.values())
    # A second pixel whose distances are all below the first's is left out; with one alone nothing is above it.
    pad = np.full((1, 1, 3), 0.3)
    found = correctness(*(np.concatenate([each, pad, pad, pad], axis=1) for each in (up, image, high)))
    for name, distance in distances.items():
        assert found[name] == pytest.approx(math.exp(-distance / 0.25) / total, abs=1e-6), name


def test_shares_add_up_to_one_and_each_wins_where_it_should() -> None:
    random = np.random.default_rng(0)
    up, high = random.uniform(0.2, 0.8, (32, 32, 3)), random.uniform(0.2, 0.8, (32, 32, 3))
    for image, winner in (
        (high, "improvement"),
        (up, "omission"),
        (random.uniform(0, 1, up.shape) ** 4, "hallucination"),
    ):
        found = correctness(up, image, high)
        assert sum(found.values()) == pytest.approx(1)
        assert max(found, key=lambda name: found[name]) == winner


def test_where_lr_is_exact_all_that_is_added_is_hallucinated() -> None:
    up = np.random.default_rng(0).uniform(0.2, 0.8, (16, 16, 3))
    found = correctness(up, np.clip(up + 0.1, 0, 1), up)
    assert found == {"hallucination": 1.0, "omission": 0.0, "improvement": 0.0}


def test_equal_images_have_no_correctness() -> None:
    flat = np.full((64, 64, 3), 90, dtype=np.uint8)
    found = measures(flat[:16, :16], flat, flat)
    assert all(math.isnan(found[name]) for name in ("hallucination", "omission", "improvement", "spatial"))
    assert found["reflectance"] == pytest.approx(0, abs=1e-12)
    assert found["synthesis"] == pytest.approx(0, abs=1e-12)


def test_histograms_are_matched_as_scikit_image_does() -> None:
    exposure = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")
    image, reference = scene(1) / 255, scene(2) / 300
    theirs = exposure.match_histograms(image, reference, channel_axis=2)
    assert np.abs(matched(image, reference) - theirs).max() < 1e-12


def test_spectral_angles_are_in_degrees_and_leave_black_out() -> None:
    first = np.array([[[1.0, 0, 0], [0.2, 0.2, 0.2], [0, 0, 0]]])
    second = np.array([[[0, 1.0, 0], [0.7, 0.7, 0.7], [1, 1, 1]]])
    assert spectral_angle(first, second) == pytest.approx(45, abs=1e-5)
    assert math.isnan(spectral_angle(np.zeros((2, 2, 3)), second[:, :1]))


def test_resizing_is_torchs_bilinear_with_antialiasing() -> None:
    import torch

    image = scene(3, 32)[:24] / 255
    tensor = torch.from_numpy(image.transpose(2, 0, 1))[None]
    for size in ((96, 128), (6, 8), (12, 16)):
        theirs = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", antialias=True)
        ours = opensr._resized(image, size)
        assert np.abs(ours - theirs[0].numpy().transpose(1, 2, 0)).max() < 1e-7


def test_a_shift_is_measured_in_lr_pixels_and_not_held_against_correctness() -> None:
    # No black: beside it, the normalised difference of the smallest error is 1.
    high = enlarge(scene(5, 96) // 2 + np.uint8(64), 2, "bicubic")
    [low] = shrink([high], "matlab", 4)
    moved = np.roll(high, 2, axis=1)
    straight, shifted = measures(low, high, high), measures(low, moved, high)
    assert straight["spatial"] < 0.05
    assert shifted["spatial"] == pytest.approx(0.5, abs=0.05)
    assert shifted["improvement"] > 0.9
    assert measures(low, np.roll(high, 24, axis=1), high)["improvement"] < 0.7


def test_an_image_that_is_all_border_is_refused() -> None:
    small = np.zeros((32, 32, 3), dtype=np.uint8)
    with pytest.raises(UserError, match="next to nothing inside the border of 4"):
        measures(small[:8, :8], small, small)
