"""Noise has the moments, the distribution and the channels that it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synrs_data.degradations import noise
from synrs_data.degradations.noise import add_correlated, add_gaussian, add_poisson, covariance_of

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

SIDE = 200


def generator(seed: int = 0) -> Any:
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def even(value: float = 0.5) -> Any:
    import torch

    return torch.full((3, SIDE, SIDE), value)


def ramp() -> Any:
    """An image with all 256 levels, one a row, the same in all channels."""
    import torch

    return (torch.arange(256) / 255).view(1, 256, 1).repeat(3, 1, 250)


def correlations(added: Any) -> Any:
    return np.corrcoef(added.reshape(3, -1).numpy())


@pytest.mark.parametrize("sigma", [1.0, 12.5, 30.0])
def test_gaussian_noise_has_its_deviation_and_no_mean(sigma: float) -> None:
    added = add_gaussian(even(), sigma, gray=False, generator=generator()) - 0.5
    count = added.numel()
    assert added.std().item() * 255 == pytest.approx(sigma, rel=5 / np.sqrt(2 * count))
    assert abs(added.mean().item()) * 255 < 5 * sigma / np.sqrt(count)
    assert stats.kstest(added.flatten().numpy() * 255 / sigma, "norm").pvalue > 1e-4
    assert np.abs(correlations(added) - np.eye(3)).max() < 5 / SIDE


def test_gray_noise_is_the_same_in_all_channels() -> None:
    gaussian = add_gaussian(even(), 20.0, gray=True, generator=generator())
    image = even()
    image[0], image[1], image[2] = 0.4, 0.5, 0.6
    image[:, ::2] += 0.05
    # Three floats, added to and taken away from: equal to their rounding, not bit by bit.
    poisson = add_poisson(image.clone(), 0.05, gray=True, generator=generator()) - image
    for added in (gaussian, poisson):
        assert added.std() > 0.01
        assert (added - added[:1]).abs().max() < 1e-6


def test_values_are_clipped_to_zero_and_one() -> None:
    for value in (0.0, 1.0):
        for gray in (False, True):
            found = add_gaussian(even(value), 30.0, gray=gray, generator=generator())
            assert 0.4 < (found == value).float().mean() < 0.6
            assert 0.0 <= found.min() < found.max() <= 1.0
    found = add_poisson(ramp(), 3.0, gray=False, generator=generator())
    assert (found.min().item(), found.max().item()) == (0.0, 1.0)


def test_a_seed_gives_the_same_noise_and_another_gives_another() -> None:
    def made(seed: int) -> Any:
        return add_poisson(ramp(), 1.0, gray=False, generator=generator(seed)).numpy()

    assert np.array_equal(made(1), made(1))
    assert not np.array_equal(made(1), made(2))


@pytest.mark.parametrize("steps", [1, 2, 64, 256])
def test_the_tables_hold_poissons_distribution(steps: int) -> None:
    tables = noise._alias_tables(steps).reshape(256, 512)
    kept, other = (tables >> 9) / 2**22, tables & 511
    for level in (0, 1, 37, 128, 255):
        found = np.zeros(512)
        np.add.at(found, np.arange(512), kept[level])
        np.add.at(found, other[level], 1 - kept[level])
        expected = stats.poisson(steps * level / 255).pmf(np.arange(512))
        assert found / 512 == pytest.approx(expected, abs=2e-9)
    assert stats.poisson(256).sf(511) < 1e-40


@pytest.mark.parametrize("level", [0, 3, 90, 255])
def test_counts_are_drawn_as_the_tables_say(level: int) -> None:
    import torch

    levels = torch.full((1, 300, 300), level, dtype=torch.int32)
    tables = torch.from_numpy(noise._alias_tables(256))
    counts = noise._counts(levels, tables, generator(level)).flatten().numpy()
    mean = 256 * level / 255
    if level == 0:
        assert counts.max() == 0
        return
    edges = np.unique(stats.poisson(mean).ppf(np.linspace(0.02, 0.98, 20)))
    cells = np.diff(np.concatenate([[0], stats.poisson(mean).cdf(edges), [1]]))
    found = np.bincount(np.searchsorted(edges, counts), minlength=len(cells))
    assert stats.chisquare(found, cells * len(counts)).pvalue > 1e-4


@pytest.mark.parametrize("scale", [0.05, 0.5])
def test_poisson_noise_has_the_moments_of_its_signal(scale: float) -> None:
    image = ramp()
    added = (add_poisson(image.clone(), scale, gray=False, generator=generator()) - image)[:, 64:192]
    signal = image[:, 64:192]
    # 256 levels make 256 steps: the variance of P(256 x) / 256 is x / 256.
    count = added.numel()
    assert abs(added.mean().item()) < 5 * scale * np.sqrt(0.5 / 256 / count)
    expected = scale**2 * signal.mean().item() / 256
    assert added.var().item() == pytest.approx(expected, rel=5 * np.sqrt(2 / count))
    assert np.abs(correlations(added) - np.eye(3)).max() < 5 / np.sqrt(count / 3)


@pytest.mark.parametrize(("levels", "steps"), [(1, 1), (2, 2), (3, 4), (5, 8), (16, 16), (17, 32)])
def test_the_strength_of_poisson_noise_hangs_on_the_number_of_levels(levels: int, steps: int) -> None:
    image = even(0.5)
    for place in range(levels):
        image[:, place::levels] = (100 + place) / 255
    scale = 0.05
    added = add_poisson(image.clone(), scale, gray=False, generator=generator()) - image
    expected = scale**2 * image.mean().item() / steps
    assert added.var().item() == pytest.approx(expected, rel=0.03)


def test_gray_poisson_noise_is_that_of_the_gray_image() -> None:
    image = even(0.0)
    image[1] = 200 / 255  # gray: 0.587 * 200 = 117.4, one level
    added = add_poisson(image.clone(), 0.02, gray=True, generator=generator())[1] - image[1]
    # One level: P(117 / 255) - 117 / 255, its variance 117 / 255.
    assert added.var().item() == pytest.approx(0.02**2 * 117 / 255, rel=0.03)


def test_correlated_noise_has_its_covariance() -> None:
    random = np.random.default_rng(3)
    wanted = covariance_of(random.random(3), random.random((3, 3)), 25)
    added = (add_correlated(even(), wanted, generator()) - 0.5).reshape(3, -1).numpy()
    values, vectors = np.linalg.eigh(wanted)
    assert np.cov(added) == pytest.approx(vectors @ np.diag(np.abs(values)) @ vectors.T, abs=3e-4)
    assert abs(np.corrcoef(added)[0, 1]) > 0.05


def test_the_covariance_is_the_published_formula() -> None:
    linalg = pytest.importorskip("scipy.linalg", reason="SciPy is not installed")
    random = np.random.default_rng(5)
    powers, mix = random.random(3), random.random((3, 3))
    basis = linalg.orth(mix)
    expected = np.abs((25 / 255) ** 2 * np.dot(np.dot(basis.T, np.diag(powers)), basis))
    assert covariance_of(powers, mix, 25) == pytest.approx(expected, abs=1e-12)
