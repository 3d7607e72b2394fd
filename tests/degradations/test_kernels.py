"""Blur kernels and filtering agree with SciPy's and OpenCV's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.degradations import kernels
from synrs_data.degradations.filtering import filtered, filtered_separably, quick_length

pytest.importorskip("scipy", reason="SciPy is not installed")
from scipy import ndimage, special  # type: ignore[import-untyped]
from scipy.stats import multivariate_normal  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

SIZES = [3, 7, 13, 21]
WIDE = {"sigma_x": 2.6, "sigma_y": 0.7, "rotation": 0.9}


def grid(size: int) -> Floats:
    at = np.arange(size) - (size - 1) / 2
    return np.stack(np.meshgrid(at, at), axis=-1)


def covariance(sigma_x: float, sigma_y: float, rotation: float) -> Floats:
    turn = np.array([[math.cos(rotation), -math.sin(rotation)], [math.sin(rotation), math.cos(rotation)]])
    return np.asarray(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)


def quadratic(size: int, spread: Floats) -> Floats:
    places = grid(size)
    return np.asarray(np.einsum("...i,ij,...j->...", places, np.linalg.inv(spread), places))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.0])
def test_isotropic_kernels_are_normal_densities(size: int, sigma: float) -> None:
    density = multivariate_normal([0, 0], np.eye(2) * sigma**2).pdf(grid(size))
    assert kernels.gaussian(size, sigma) == pytest.approx(density / density.sum(), abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rotation", [-2.8, -0.4, 0.0, 0.9, math.pi])
def test_anisotropic_kernels_are_rotated_normal_densities(size: int, rotation: float) -> None:
    density = multivariate_normal([0, 0], covariance(2.6, 0.7, rotation)).pdf(grid(size))
    kernel = kernels.gaussian(size, 2.6, 0.7, rotation)
    assert kernel == pytest.approx(density / density.sum(), abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("beta", [0.5, 1.0, 1.7, 4.0])
def test_generalised_and_plateau_kernels_follow_their_formulas(size: int, beta: float) -> None:
    q = quadratic(size, covariance(**WIDE))
    bell, plateau = np.exp(-0.5 * q**beta), 1 / (q**beta + 1)
    generalised = kernels.gaussian(size, **WIDE, shape="generalized", beta=beta)
    assert generalised == pytest.approx(bell / bell.sum(), abs=1e-6)
    flat = kernels.gaussian(size, **WIDE, shape="plateau", beta=beta)
    assert flat == pytest.approx(plateau / plateau.sum(), abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("omega_c", [math.pi / 5, 1.3, math.pi])
def test_sinc_kernels_are_those_of_bessel_functions(size: int, omega_c: float) -> None:
    radius = np.hypot(grid(size)[..., 0], grid(size)[..., 1])
    centre = size // 2
    radius[centre, centre] = 1.0
    kernel = omega_c * special.j1(omega_c * radius) / (2 * math.pi * radius)
    kernel[centre, centre] = omega_c**2 / (4 * math.pi)
    assert kernels.sinc(size, omega_c) == pytest.approx(kernel / kernel.sum(), abs=1e-6)


def test_a_quarter_turn_swaps_rows_and_columns() -> None:
    straight = kernels.gaussian(15, 2.5, 0.6, 0.0)
    assert straight[7].max() == straight.max()
    assert straight[7, 12] > 100 * straight[12, 7]
    assert kernels.gaussian(15, 2.5, 0.6, math.pi / 2) == pytest.approx(straight.T, abs=1e-12)


def test_a_positive_rotation_turns_from_right_to_down() -> None:
    turned = kernels.gaussian(15, 2.5, 0.6, math.pi / 4)
    assert turned[11, 11] > 100 * turned[11, 3]


@pytest.mark.parametrize(
    "kernel",
    [
        kernels.gaussian(7, 0.0),
        kernels.gaussian(25, 3.0, 0.0, 1.0),
        kernels.gaussian(21, 3.0, shape="plateau", beta=1.0),
        kernels.gaussian(7, 0.2, 0.2, shape="generalized", beta=0.5),
        kernels.sinc(21, 0.7),
        kernels.shifted(kernels.gaussian(25, 2.4), 1.5),
    ],
    ids=["sharp", "line", "plateau", "generalised", "sinc", "shifted"],
)
def test_kernels_add_up_to_one_and_are_finite(kernel: Floats) -> None:
    assert np.isfinite(kernel).all()
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_shifted_kernel_looks_right_and_down() -> None:
    kernel = kernels.shifted(kernels.gaussian(25, 2.0), 1.5)
    at = np.arange(25) - 12
    assert (kernel.sum(axis=0) * at).sum() == pytest.approx(1.5, abs=1e-3)
    assert (kernel.sum(axis=1) * at).sum() == pytest.approx(1.5, abs=1e-3)


def picture(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height * width).random((3, height, width), dtype=np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (41, 73), (20, 12)])
@pytest.mark.parametrize("size", [7, 13, 21])
def test_filtering_is_the_correlation_of_scipy_and_opencv(shape: tuple[int, int], size: int) -> None:
    import torch

    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    pixels = picture(*shape)
    # Not symmetric, so that a flipped kernel would show.
    kernel = kernels.shifted(kernels.gaussian(size, 2.0, 0.8, 0.6), 1.0)
    found = filtered(torch.from_numpy(pixels), kernel).numpy()
    theirs = np.stack([ndimage.correlate(channel.astype(float), kernel, mode="mirror") for channel in pixels])
    assert found == pytest.approx(theirs, abs=2e-6)
    if min(shape) > size // 2:
        border = cv2.BORDER_REFLECT_101
        opencv = np.stack([cv2.filter2D(channel, -1, kernel, borderType=border) for channel in pixels])
        assert found == pytest.approx(opencv, abs=2e-6)


@pytest.mark.parametrize("shape", [(64, 64), (100, 45), (33, 7)])
@pytest.mark.parametrize(("size", "sigma"), [(7, 0.3), (21, 3.0), (51, 8.0)])
def test_separable_filtering_is_gaussian_blur(shape: tuple[int, int], size: int, sigma: float) -> None:
    import torch

    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    pixels = picture(*shape)
    line = kernels.gaussian(size, sigma).sum(axis=0)
    found = filtered_separably(torch.from_numpy(pixels), line).numpy()
    theirs = ndimage.gaussian_filter(
        pixels.astype(float), (0, sigma, sigma), mode="mirror", radius=(0, size // 2, size // 2)
    )
    assert found == pytest.approx(theirs, abs=2e-6)
    if min(shape) > size // 2:
        blurred = cv2.GaussianBlur(
            pixels.transpose(1, 2, 0), (size, size), sigma, borderType=cv2.BORDER_REFLECT_101
        )
        assert found == pytest.approx(blurred.transpose(2, 0, 1), abs=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_images_smaller_than_the_kernel_are_reflected_again_and_again(shape: tuple[int, int]) -> None:
    import torch

    pixels = picture(*shape)
    kernel = kernels.gaussian(21, 3.0, 1.0, 0.4)
    padded = np.pad(pixels.astype(float), ((0, 0), (10, 10), (10, 10)), mode="reflect")
    theirs = np.stack([ndimage.correlate(channel, kernel)[10:-10, 10:-10] for channel in padded])
    assert filtered(torch.from_numpy(pixels), kernel).numpy() == pytest.approx(theirs, abs=2e-6)


def test_quick_lengths_are_even_products_of_two_three_and_five() -> None:
    assert [quick_length(least) for least in (1, 7, 9, 31, 532, 541)] == [2, 8, 10, 32, 540, 576]
