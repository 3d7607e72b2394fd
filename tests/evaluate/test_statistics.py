"""Scores and their spread against closed forms, scipy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.evaluate import statistics
from synrs_data.evaluate.statistics import (
    STATISTICS,
    Statistic,
    count,
    interval,
    mcnemar,
    mean_per_class,
    paired_difference,
    per_class,
    top1,
)

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

Labels = NDArray[np.int64]
Right = NDArray[np.bool_]


def predictions(n: int, classes: int, rates: list[float], seed: int = 0) -> tuple[Labels, list[Right]]:
    """Return labels of unequal frequency and, for each rate, whether predictions are right."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = rng.choice(classes, size=n, p=weights)
    return labels, [rng.random(n) < rate for rate in rates]


def plain(name: str, labels: Labels, right: Right) -> float:
    if name == "top1":
        return float(right.mean())
    return float(np.mean([right[labels == label].mean() for label in sorted(set(labels.tolist()))]))


@pytest.mark.parametrize("name", STATISTICS)
def test_a_score_is_that_of_a_plain_loop(name: str) -> None:
    labels, (right,) = predictions(500, 4, [0.7])
    assert float(STATISTICS[name](count(labels, right, 4))) == pytest.approx(
        plain(name, labels, right), abs=1e-12
    )


def test_accuracy_of_a_class_without_an_item_is_no_number_and_is_left_out_of_the_mean() -> None:
    counts = count(np.array([0, 0, 2]), np.array([True, False, True]), 3)
    rates = per_class(counts)
    assert rates[[0, 2]].tolist() == [0.5, 1.0]
    assert math.isnan(rates[1])
    assert float(mean_per_class(counts)) == 0.75
    assert float(top1(counts)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", STATISTICS)
def test_the_interval_is_that_of_a_loop_over_the_same_draws(name: str) -> None:
    labels, (right,) = predictions(80, 3, [0.6])
    order = np.argsort(labels * 2 + right, kind="stable")
    draws = np.random.default_rng(7).integers(0, 80, size=(200, 80))
    values = [plain(name, labels[order][draw], right[order][draw]) for draw in draws]
    found = interval(labels, right, 3, STATISTICS[name], seed=7, replicates=200)
    assert found == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution() -> None:
    right = np.arange(2000) < 1400
    low, high = interval(np.zeros(2000, dtype=np.int64), right, 1, top1, seed=0, replicates=5000)
    closed = stats.binom(2000, 0.7)
    assert low == pytest.approx(closed.ppf(0.025) / 2000, abs=0.002)
    assert high == pytest.approx(closed.ppf(0.975) / 2000, abs=0.002)


def test_the_interval_of_the_mean_over_classes_has_the_width_of_independent_shares() -> None:
    labels = np.repeat(np.arange(4), 1000)
    right = np.tile(np.arange(1000), 4) < np.repeat([500, 600, 700, 800], 1000)
    low, high = interval(labels, right, 4, mean_per_class, seed=0, replicates=4000)
    deviation = math.sqrt(sum(p * (1 - p) / 1000 for p in (0.5, 0.6, 0.7, 0.8))) / 4
    assert (high - low) / (2 * 1.959964) == pytest.approx(deviation, rel=0.05)


def test_the_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    labels = np.zeros(200, dtype=np.int64)
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(400):
        low, high = interval(labels, rng.random(200) < 0.8, 1, top1, seed=trial, replicates=400)
        hits += low <= 0.8 <= high
    # Three standard errors of 400 trials are 0.033; the percentile interval of 200 items is a little narrow.
    assert 0.90 <= hits / 400 <= 0.985


def test_an_interval_depends_on_its_seed_alone_not_on_order_or_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, (right,) = predictions(300, 5, [0.5])
    first = interval(labels, right, 5, mean_per_class, seed=3)
    shuffled = np.random.default_rng(0).permutation(300)
    assert interval(labels[shuffled], right[shuffled], 5, mean_per_class, seed=3) == first
    monkeypatch.setattr(statistics, "_DRAWS_AT_ONCE", 1000)
    assert interval(labels, right, 5, mean_per_class, seed=3) == first
    assert interval(labels, right, 5, mean_per_class, seed=4) != first


def test_where_all_is_right_the_interval_has_no_width() -> None:
    assert interval(np.arange(9) % 3, np.ones(9, dtype=np.bool_), 3, mean_per_class, seed=0) == (1.0, 1.0)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_paired_difference_is_that_of_a_loop_over_the_same_draws(name: str) -> None:
    labels, (first, second) = predictions(90, 3, [0.7, 0.6])
    order = np.argsort(labels * 4 + first * 2 + second, kind="stable")
    values = []
    for draw in np.random.default_rng(5).integers(0, 90, size=(300, 90)):
        chosen = order[draw]
        values.append(
            plain(name, labels[chosen], first[chosen]) - plain(name, labels[chosen], second[chosen])
        )
    found = paired_difference(labels, first, second, 3, STATISTICS[name], seed=5, replicates=300)
    assert found.value == pytest.approx(plain(name, labels, first) - plain(name, labels, second), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)
    ties = np.isclose(values, 0, atol=1e-12)
    above = np.mean((np.array(values) > 0) & ~ties) + ties.mean() / 2
    assert found.above_zero == pytest.approx(float(above), abs=1e-12)


def test_a_paired_difference_has_the_width_of_its_closed_form() -> None:
    labels, (first, second) = predictions(3000, 3, [0.75, 0.7])
    found = paired_difference(labels, first, second, 3, top1, seed=0, replicates=4000)
    deviation = np.std(first.astype(float) - second) / math.sqrt(3000)
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(deviation, rel=0.05)
    expected = stats.norm.cdf(found.value / deviation)
    assert found.above_zero == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("statistic", STATISTICS.values())
def test_a_result_does_not_differ_from_itself(statistic: Statistic) -> None:
    labels, (right,) = predictions(50, 3, [0.5])
    found = paired_difference(labels, right, right, 3, statistic, seed=0)
    assert (found.value, found.low, found.high, found.above_zero) == (0, 0, 0, 0.5)


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 0), (1, 0), (0, 6), (5, 5), (3, 12), (40, 61), (700, 300)]
)
def test_mcnemar_is_the_binomial_test_of_scipy(only_first: int, only_second: int) -> None:
    both = [(True, True)] * 4 + [(False, False)] * 3
    pairs = np.array(both + [(True, False)] * only_first + [(False, True)] * only_second)
    trials = only_first + only_second
    expected = stats.binomtest(only_first, trials).pvalue if trials else 1.0
    assert mcnemar(pairs[:, 0], pairs[:, 1]) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(pairs[:, 1], pairs[:, 0]) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_very_many_items_neither_overflows_nor_becomes_nonsense() -> None:
    first = np.arange(10_000) < 5_100
    expected = stats.binomtest(5_100, 10_000).pvalue
    assert mcnemar(first, ~first) == pytest.approx(expected, rel=1e-9)
