"""SSIM and PSNR against formulas, scikit-image and pyiqa."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.filters.structural_similarity import PSNR_CAP, signal_to_noise, structural_similarity

Pixels = NDArray[np.uint8]


def texture(seed: int, height: int = 40, width: int = 52) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)


def worsened(image: Pixels, spread: float) -> Pixels:
    noisy = image + np.random.default_rng(9).normal(0, spread, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


PAIRS = [(texture(0), worsened(texture(0), spread)) for spread in (2, 15, 60)]
PAIRS += [(texture(1), texture(2)), (np.zeros_like(texture(0)), np.full_like(texture(0), 255))]


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_ssim_is_scikit_images(number: int) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    first, second = PAIRS[number]
    theirs = metrics.structural_similarity(
        first,
        second,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert structural_similarity(first, second) == pytest.approx(theirs, abs=1e-6)
    assert structural_similarity(second, first) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("pyiqa") is None, reason="the extra iqa is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(3))
def test_ssim_and_psnr_are_pyiqas(number: int) -> None:
    import pyiqa
    import torch

    first, second = PAIRS[number]
    tensors = [
        torch.from_numpy(image.transpose(2, 0, 1).copy())[None].double() / 255 for image in PAIRS[number]
    ]
    ssim = float(pyiqa.create_metric("ssimc", device="cpu")(*tensors))
    psnr = float(pyiqa.create_metric("psnr", device="cpu")(*tensors))
    assert structural_similarity(first, second) == pytest.approx(ssim, abs=1e-4)
    assert signal_to_noise(first, second) == pytest.approx(psnr, abs=1e-3)


def test_ssim_of_grey_planes_is_their_mean_over_channels() -> None:
    first, second = PAIRS[1]
    planes = [structural_similarity(first[..., place], second[..., place]) for place in range(3)]
    assert structural_similarity(first, second) == pytest.approx(np.mean(planes), abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 5, 10, 11])
def test_ssim_of_small_images_takes_a_smaller_window(size: int) -> None:
    image = texture(3)[:size, : size + 3]
    other = worsened(image, 30)
    assert structural_similarity(image, image) == pytest.approx(1)
    assert structural_similarity(image, other) < 1


def test_ssim_of_equal_images_is_one_and_of_two_flat_ones_that_of_their_means() -> None:
    assert structural_similarity(texture(0), texture(0)) == pytest.approx(1)
    low, high = np.full((16, 16, 3), 50, dtype=np.uint8), np.full((16, 16, 3), 100, dtype=np.uint8)
    constant = (0.01 * 255) ** 2
    expected = (2 * 50 * 100 + constant) / (50**2 + 100**2 + constant)
    assert structural_similarity(low, high) == pytest.approx(expected)


def test_psnr_is_that_of_the_mean_squared_error_over_all_channels() -> None:
    first = np.zeros((4, 4, 3), dtype=np.uint8)
    second = first.copy()
    second[..., 0] = 30
    assert signal_to_noise(first, second) == pytest.approx(10 * np.log10(255**2 / 300))
    assert signal_to_noise(first, np.full_like(first, 255)) == 0


def test_psnr_of_equal_images_is_the_cap() -> None:
    assert signal_to_noise(texture(0), texture(0)) == PSNR_CAP == 100
    almost = texture(0, 160, 160)
    almost[0, 0, 0] ^= 1
    assert 90 < signal_to_noise(texture(0, 160, 160), almost) < PSNR_CAP
