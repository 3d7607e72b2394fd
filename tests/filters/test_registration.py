"""Shifts between images: known ones are found, and what cannot be found says so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.filters.grey import grey
from synrs_data.filters.registration import NO_SHIFT, shift_between
from tests.real_textures import ucmerced

Levels = NDArray[np.float64]


def moved(levels: Levels, x: float, y: float) -> Levels:
    """Return an image moved right and down by any part of a pixel, round its borders, by the shift theorem."""
    rows, columns = (np.fft.fftfreq(size) for size in levels.shape)
    turns = np.exp(-2j * np.pi * (rows[:, None] * y + columns[None, :] * x))
    found: Levels = np.fft.ifft2(np.fft.fft2(levels) * turns).real
    return found


def cut(levels: Levels, size: int) -> Levels:
    return levels[40 : 40 + size, 40 : 40 + size]


def soft_noise(seed: int, size: int = 128) -> Levels:
    """Return a texture whose spectrum falls off as that of natural images."""
    rows, columns = (np.fft.fftfreq(size) for _ in range(2))
    radius = np.maximum(np.hypot(rows[:, None], columns[None, :]), 1 / size)
    white = np.random.default_rng(seed).normal(size=(size, size))
    found: Levels = np.fft.ifft2(np.fft.fft2(white) / radius**1.2).real
    scaled: Levels = (found - found.mean()) / found.std()
    return 128 + 40 * scaled


SHIFTS = [(0.0, 0.0), (0.3, -0.1), (-0.5, 0.5), (1.7, 0.4), (0.02, -3.26)]


@pytest.mark.parametrize(("x", "y"), SHIFTS)
def test_known_shifts_of_real_textures_are_found_to_two_hundredths_of_a_pixel(x: float, y: float) -> None:
    errors = []
    for image in ucmerced(13):
        levels = grey(image)
        found = shift_between(cut(levels, 128), cut(moved(levels, x, y), 128))
        errors += [found.x - x, found.y - y]
    assert np.abs(errors).max() < 0.02


@pytest.mark.parametrize(("x", "y"), SHIFTS)
def test_known_shifts_of_made_textures_are_found(x: float, y: float) -> None:
    for seed in range(5):
        levels = soft_noise(seed)
        found = shift_between(cut(levels, 64), cut(moved(levels, x, y), 64))
        assert found.x == pytest.approx(x, abs=0.03)
        assert found.y == pytest.approx(y, abs=0.03)
        assert found.error < 0.05


def test_sides_may_differ_and_be_odd() -> None:
    levels = soft_noise(3)
    found = shift_between(levels[30:91, 20:65], moved(levels, 0.4, -0.7)[30:91, 20:65])
    assert found.x == pytest.approx(0.4, abs=0.03)
    assert found.y == pytest.approx(-0.7, abs=0.03)


def test_errors_under_noise_and_blur_are_what_the_standard_error_says() -> None:
    random = np.random.default_rng(1000)
    ratios = []
    for seed in range(60):
        levels = soft_noise(seed)
        # A mean over 3 x 3 pixels, and noise of a fifth of the texture's spread.
        blurred = sum(np.roll(levels, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
        noisy = moved(np.asarray(blurred), 0.25, -0.4) + random.normal(0, 8, levels.shape)
        found = shift_between(cut(levels, 64), cut(noisy, 64))
        assert 0.01 < found.error < 0.1
        ratios.append(np.hypot(found.x - 0.25, found.y + 0.4) / found.error)
    # Half of the errors of two equal normal directions are below 1.18 standard errors, 99.97 % below 4.
    assert 0.6 < np.median(ratios) < 1.8
    assert np.max(ratios) < 4


@pytest.mark.parametrize("other", ["flat", "texture"])
def test_a_flat_image_has_no_shift(other: str) -> None:
    flat = np.full((64, 64), 90.0)
    second = flat + 5 if other == "flat" else cut(soft_noise(0), 64)
    assert shift_between(flat, second) == NO_SHIFT
    assert shift_between(second, flat) == NO_SHIFT


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_images_have_no_shift_that_is_told_for_sure(size: int) -> None:
    levels = soft_noise(0)[:size, :size]
    found = shift_between(levels, levels)
    assert found.x == pytest.approx(0, abs=1e-6)
    assert found.y == pytest.approx(0, abs=1e-6)


def test_images_without_anything_in_common_are_unsure() -> None:
    random = np.random.default_rng(1000)
    for seed in range(20):
        assert shift_between(cut(soft_noise(seed), 64), cut(soft_noise(seed + 100), 64)).error > 0.15
        assert shift_between(random.normal(90, 2, (64, 64)), random.normal(90, 2, (64, 64))).error > 0.15
