"""Distances and shares of samples of features against torch-fidelity, torchmetrics, closed forms and plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.frechet import frechet_cautions, frechet_distance, frechet_spread
from synrs_data.evaluate.distribution.kernels import (
    cmmd,
    cmmd_spread,
    gaussian,
    kernel_distance,
    kernel_spread,
    polynomial,
)
from synrs_data.evaluate.distribution.neighbours import nearest, shares

Sample = NDArray[np.float64]


def sample(n: int, width: int = 6, *, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> Sample:
    """Return rows of a correlated normal distribution."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width)) / math.sqrt(width)
    return shift + scale * rng.normal(size=(n, width)) @ mixing


OURS, REAL = sample(120, shift=0.4, scale=0.8, seed=1), sample(150, seed=2)


def tensors(*values: Sample) -> list[Any]:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return [torch.from_numpy(each) for each in values]


def fidelity(module: str) -> Any:
    return pytest.importorskip(f"torch_fidelity.{module}", reason="torch-fidelity is not installed")


def torchmetrics_value(name: str, **options: Any) -> Any:
    """Return what torchmetrics computes of the features themselves."""
    image = pytest.importorskip("torchmetrics.image", reason="torchmetrics is not installed")
    import torch

    class Features(torch.nn.Module):
        num_features = OURS.shape[1]

        def forward(self, features: Any) -> Any:
            return features

    metric = getattr(image, name)(feature=Features(), **options).set_dtype(torch.float64)
    ours, real = tensors(OURS[:120], REAL[:120])
    metric.update(real, real=True)
    metric.update(ours, real=False)
    return metric.compute()


def test_the_frechet_distance_is_that_of_torch_fidelity() -> None:
    other = fidelity("metric_fid")
    statistics = [other.fid_features_to_statistics(each) for each in tensors(OURS, REAL)]
    expected = other.fid_statistics_to_metric(*statistics, False)[other.KEY_METRIC_FID]
    assert frechet_distance(OURS, REAL) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frechet_and_kernel_distance_are_those_of_torchmetrics() -> None:
    ours, real = OURS[:120], REAL[:120]
    expected = float(torchmetrics_value("FrechetInceptionDistance"))
    assert frechet_distance(ours, real) == pytest.approx(expected, rel=1e-6)
    mean, _ = torchmetrics_value("KernelInceptionDistance", subsets=1, subset_size=120)
    assert kernel_spread(ours, real, seed=0).value == pytest.approx(float(mean), rel=1e-6)


def test_the_frechet_distance_of_normal_samples_nears_its_closed_form() -> None:
    ours, real = sample(40_000, shift=0.3, scale=0.7, seed=3), sample(40_000, seed=4)
    mixing = np.random.default_rng(99).normal(size=(6, 6)) / math.sqrt(6)
    closed = 6 * 0.3**2 + 0.3**2 * float(np.trace(mixing.T @ mixing))
    assert frechet_distance(ours, real) == pytest.approx(closed, rel=0.02)


def test_the_frechet_distance_of_fewer_images_than_features_is_a_number_and_is_cautioned_of() -> None:
    ours, real = sample(10, 40, seed=1), sample(12, 40, seed=2)
    cross = np.linalg.svd(
        (ours - ours.mean(0)) @ (real - real.mean(0)).T / math.sqrt(9 * 11), compute_uv=False
    ).sum()
    traces = ours.var(0, ddof=1).sum() + real.var(0, ddof=1).sum()
    apart = float(((ours.mean(0) - real.mean(0)) ** 2).sum())
    assert frechet_distance(ours, real) == pytest.approx(apart + traces - 2 * cross, rel=1e-6)
    # One sample with more images than features, one with fewer.
    mixed = frechet_distance(sample(60, 40, seed=3), real)
    assert mixed == pytest.approx(frechet_distance(real, sample(60, 40, seed=3)), rel=1e-6)
    assert "singular" in frechet_cautions(10, 12, 40)[0]
    assert "same n" in frechet_cautions(500, 100, 40)[0]
    assert frechet_cautions(4000, 400, 40) == ()


def test_a_sample_is_at_no_frechet_distance_from_itself_and_is_symmetric() -> None:
    assert frechet_distance(OURS, OURS) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(OURS, REAL) == pytest.approx(frechet_distance(REAL, OURS), rel=1e-9)
    assert frechet_distance(OURS[:, :1], REAL[:, :1]) == pytest.approx(
        (OURS[:, 0].mean() - REAL[:, 0].mean()) ** 2 + (OURS[:, 0].std(ddof=1) - REAL[:, 0].std(ddof=1)) ** 2
    )


def test_the_kernel_distance_of_one_subset_of_all_is_that_of_torch_fidelity() -> None:
    other = fidelity("metric_kid")
    found = other.kid_features_to_metric(
        *tensors(OURS[:120], REAL[:120]), kid_subsets=1, kid_subset_size=120, verbose=False
    )
    ours = kernel_distance(OURS[:120], REAL[:120], seed=0, subsets=1, size=120)
    assert ours.mean == pytest.approx(found[other.KEY_METRIC_KID_MEAN], rel=1e-9)
    assert (ours.subsets, ours.size, ours.deviation) == (1, 120, 0.0)


def test_the_kernel_distance_over_subsets_is_that_of_torch_fidelity_within_its_spread() -> None:
    other = fidelity("metric_kid")
    found = other.kid_features_to_metric(
        *tensors(OURS, REAL), kid_subsets=200, kid_subset_size=60, verbose=False
    )
    ours = kernel_distance(OURS, REAL, seed=5, subsets=200, size=60)
    error = found[other.KEY_METRIC_KID_STD] / math.sqrt(200)
    assert ours.mean == pytest.approx(found[other.KEY_METRIC_KID_MEAN], abs=4 * math.sqrt(2) * error)
    assert ours.deviation == pytest.approx(found[other.KEY_METRIC_KID_STD], rel=0.25)


def test_subsets_larger_than_a_sample_become_as_large_as_it_and_say_so() -> None:
    found = kernel_distance(OURS, REAL[:50], seed=0, subsets=3)
    assert found.size == 50


def test_the_whole_kernel_distance_is_that_of_a_plain_loop_with_unequal_samples() -> None:
    ours, real = OURS[:20], REAL[:30]

    def kernel(first: Sample, second: Sample) -> float:
        return float((first @ second / 6 + 1) ** 3)

    def inner(rows: Sample) -> float:
        values = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return float(np.mean(values))

    cross = np.mean([kernel(a, b) for a in ours for b in real])
    expected = inner(ours) + inner(real) - 2 * float(cross)
    assert kernel_spread(ours, real, seed=0).value == pytest.approx(expected, rel=1e-9)


def test_cmmd_is_a_thousand_times_the_biased_estimate_of_torch_fidelity_on_features_of_length_one() -> None:
    other = fidelity("metric_kid")
    ours, real = (each[:120] / np.linalg.norm(each[:120], axis=1, keepdims=True) for each in (OURS, REAL))
    kernels = [
        other.kernel_rbf(a, b, kid_kernel_rbf_sigma=10) for a, b in ((ours, ours), (ours, real), (real, real))
    ]
    expected = 1000 * other.mmd2(*kernels, mmd_est="biased")
    # Sums of a thousand kernels near one cancel: ten digits are left of fifteen.
    assert cmmd(OURS[:120] * 3, REAL[:120]) == pytest.approx(expected, rel=1e-6)
    assert cmmd_spread(OURS[:120], REAL[:120], seed=0).value == pytest.approx(expected, rel=1e-6)


def test_kernels_are_those_of_their_formulas() -> None:
    a, b = OURS[:1], REAL[:1]
    assert polynomial(a, b)[0, 0] == pytest.approx((float(a[0] @ b[0]) / 6 + 1) ** 3)
    assert gaussian(a, b)[0, 0] == pytest.approx(math.exp(-float(((a - b) ** 2).sum()) / 200))


def test_samples_of_one_distribution_are_at_a_kernel_distance_of_about_zero_either_side() -> None:
    values = [
        kernel_spread(sample(80, seed=2 * i), sample(80, seed=2 * i + 1), seed=0).value for i in range(40)
    ]
    assert min(values) < 0 < max(values)
    assert abs(float(np.mean(values))) < 3 * float(np.std(values)) / math.sqrt(40)


@pytest.mark.parametrize("measure", [frechet_spread, kernel_spread, cmmd_spread])
def test_the_standard_error_of_half_samples_is_that_over_new_samples(measure: Any) -> None:
    values, errors = [], []
    for trial in range(40):
        ours, real = sample(100, shift=0.5, seed=2 * trial), sample(100, seed=2 * trial + 1)
        found = measure(ours, real, seed=trial)
        values.append(found.value)
        errors.append(found.standard_error)
    # Forty samples know their own deviation to about a ninth.
    assert 0.7 < float(np.mean(errors)) / float(np.std(values, ddof=1)) < 1.6


@pytest.mark.parametrize("measure", [frechet_spread, kernel_spread, cmmd_spread, kernel_distance])
def test_a_seed_decides_a_spread_and_nothing_else(measure: Any) -> None:
    first = measure(OURS, REAL, seed=3)
    assert measure(OURS, REAL, seed=3) == first
    other = measure(OURS, REAL, seed=4)
    assert other != first
    assert getattr(other, "value", 0) == getattr(first, "value", 0)


def test_precision_and_recall_are_those_of_torch_fidelity() -> None:
    other = fidelity("metric_prc")
    expected = other.prc_features_to_metric(*tensors(OURS, REAL), verbose=False)
    found = shares(OURS, REAL)
    assert found.precision.mean() == pytest.approx(expected[other.KEY_METRIC_PRECISION], abs=1e-6)
    assert found.recall.mean() == pytest.approx(expected[other.KEY_METRIC_RECALL], abs=1e-6)


def test_density_and_coverage_are_those_of_a_plain_loop() -> None:
    ours, real, k = OURS[:30], REAL[:40], 4
    radii = [np.sort(np.linalg.norm(real - each, axis=1))[k] for each in real]
    inside = np.array([[np.linalg.norm(a - b) <= r for b, r in zip(real, radii, strict=True)] for a in ours])
    found = shares(ours, real, density_nearest=k)
    assert found.density.tolist() == (inside.sum(axis=1) / k).tolist()
    assert found.coverage.tolist() == inside.any(axis=0).astype(float).tolist()


def test_density_and_coverage_of_one_distribution_are_as_their_paper_expects() -> None:
    # Naeem et al. 2020: density 1 in expectation, coverage 1 - (m - 1) ... (m - k) / ((n + m - 1) ... (n + m - k)).
    n = m = 400
    found = [shares(sample(n, seed=2 * i), sample(m, seed=2 * i + 1)) for i in range(5)]
    missed = math.prod((m - i) / (n + m - i) for i in range(1, 6))
    assert float(np.mean([each.density.mean() for each in found])) == pytest.approx(1, abs=0.05)
    assert float(np.mean([each.coverage.mean() for each in found])) == pytest.approx(1 - missed, abs=0.02)


def test_a_copy_of_real_images_is_precise_and_covers_and_few_modes_do_not() -> None:
    copies = shares(REAL, REAL)
    assert copies.precision.mean() == copies.recall.mean() == copies.coverage.mean() == 1
    collapsed = shares(REAL[:1] + sample(150, seed=8) * 1e-3, REAL)
    assert collapsed.precision.mean() == 1
    assert collapsed.recall.mean() < 0.05
    assert collapsed.coverage.mean() < 0.2
    far = shares(REAL + 100, REAL)
    assert far.precision.mean() == far.recall.mean() == far.density.mean() == far.coverage.mean() == 0


def test_nearest_neighbours_are_those_of_a_plain_loop_and_copies_are_at_exactly_zero() -> None:
    queries = np.concatenate([OURS[:20], REAL[5:7]])
    rows, distances = nearest(queries, REAL, 3)
    for query, found, apart in zip(queries, rows, distances, strict=True):
        plain = np.linalg.norm(REAL - query, axis=1)
        assert found.tolist() == np.argsort(plain)[:3].tolist()
        assert apart == pytest.approx(np.sort(plain)[:3], abs=1e-12)
    assert (rows[20:, 0].tolist(), distances[20:, 0].tolist()) == ([5, 6], [0.0, 0.0])
    rows, distances = nearest(REAL, REAL, 1, same=True)
    assert not np.any(rows[:, 0] == np.arange(len(REAL)))
    assert distances.min() > 0


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shares(OURS, REAL), nearest(OURS, REAL, 2), kernel_spread(OURS, REAL, seed=0)
    for module in ("neighbours", "kernels"):
        monkeypatch.setattr(f"synrs_data.evaluate.distribution.{module}._ROWS", 7)
    found = shares(OURS, REAL)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name).tolist() == getattr(before[0], name).tolist()
    assert nearest(OURS, REAL, 2)[0].tolist() == before[1][0].tolist()
    assert kernel_spread(OURS, REAL, seed=0).value == pytest.approx(before[2].value, rel=1e-9)


@pytest.mark.parametrize(
    ("ours", "real", "says"),
    [
        (OURS[:1], REAL, "has 1 images, the measure needs 2"),
        (OURS[:, :3], REAL, "features of 3 and 6 numbers"),
        (OURS[0], REAL, r"the first sample has the shape \(6,\)"),
        (OURS, np.full((9, 6), np.nan), "the second sample has features that are not finite"),
    ],
)
def test_samples_that_do_not_fit_are_refused_with_the_reason(ours: Sample, real: Sample, says: str) -> None:
    for measure in (frechet_distance, cmmd):
        with pytest.raises(UserError, match=says):
            measure(ours, real)


def test_samples_too_small_for_neighbours_or_halves_and_rows_without_direction_are_refused() -> None:
    with pytest.raises(UserError, match="has 5 images, the measure needs 6"):
        shares(OURS[:5], REAL)
    with pytest.raises(UserError, match="3 images cannot be halved"):
        frechet_spread(OURS[:3], REAL, seed=0)
    with pytest.raises(UserError, match="has no direction"):
        cmmd(np.zeros((4, 6)), REAL)
    with pytest.raises(UserError, match="needs 4"):
        nearest(REAL[:3], REAL[:3], 3, same=True)
