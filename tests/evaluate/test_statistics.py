"""Scores and their spread against closed forms, scipy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.evaluate import statistics
from synrs_data.evaluate.statistics import (
    STATISTICS,
    Difference,
    Statistic,
    count,
    interval,
    interval_over_seeds,
    mcnemar,
    mcnemar_over_seeds,
    mean_interval,
    mean_per_class,
    paired_difference,
    paired_mean_difference,
    paired_over_seeds,
    per_class,
    per_class_differences,
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


def crossed(seeds: int, n: int, rates: list[float], classes: int = 3) -> tuple[Labels, list[Right]]:
    """Return labels and, for each rate, predictions of several seeds that err on the same hard items."""
    labels, _ = predictions(n, classes, [])
    rng = np.random.default_rng(9)
    hard = rng.random(n)
    return labels, [rng.random((seeds, n)) * 0.5 + hard * 0.5 < rate for rate in rates]


def weights_of(seeds: int, seed: int, replicates: int) -> NDArray[np.float64]:
    return statistics._seed_weights(seeds, seed=seed, replicates=replicates)


@pytest.mark.parametrize("name", STATISTICS)
def test_over_seeds_interval_and_difference_are_those_of_a_loop_over_the_same_draws(name: str) -> None:
    labels, (first, second) = crossed(3, 70, [0.7, 0.6])
    # Cells are in the order of class, then of the rows of both arms.
    order = np.lexsort([*second[::-1], *first[::-1], labels])
    draws = np.random.default_rng(4).integers(0, 70, size=(200, 70))
    values = []
    for draw, weights in zip(order[draws], weights_of(3, 4, 200), strict=True):
        scores = [[plain(name, labels[draw], row[draw]) for row in arm] for arm in (first, second)]
        values.append([float(np.dot(weights, each)) for each in scores])
    means = [np.mean([plain(name, labels, row) for row in arm]) for arm in (first, second)]
    differences = np.array([ours - theirs for ours, theirs in values])
    found = paired_over_seeds(labels, first, second, 3, STATISTICS[name], seed=4, replicates=200)
    assert found.value == pytest.approx(float(means[0] - means[1]), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(differences, [0.025, 0.975])), abs=1e-12
    )
    ties = np.isclose(differences, 0, atol=1e-12)
    above = np.mean((differences > 0) & ~ties) + ties.mean() / 2
    assert found.above_zero == pytest.approx(float(above), abs=1e-12)
    # An arm alone has other cells than two, and so another order of items.
    alone = np.lexsort([*first[::-1], labels])[draws]
    single = [
        float(np.dot(weights, [plain(name, labels[draw], row[draw]) for row in first]))
        for draw, weights in zip(alone, weights_of(3, 4, 200), strict=True)
    ]
    low, high = interval_over_seeds(labels, first, 3, STATISTICS[name], seed=4, replicates=200)
    assert (low, high) == pytest.approx(tuple(np.quantile(single, [0.025, 0.975])), abs=1e-12)


def test_one_seed_gives_the_interval_and_the_difference_over_items() -> None:
    labels, (first, second) = crossed(1, 120, [0.7, 0.5])
    assert interval_over_seeds(labels, first, 3, top1, seed=2) == interval(labels, first[0], 3, top1, seed=2)
    found = paired_over_seeds(labels, first, second, 3, mean_per_class, seed=2)
    expected = paired_difference(labels, first[0], second[0], 3, mean_per_class, seed=2)
    for name in ("value", "low", "high", "above_zero"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_replicates_of_right_and_wrong_as_numbers_have_the_width_of_replicates_of_counts() -> None:
    labels, (first, second) = crossed(5, 400, [0.7, 0.65])
    low, high = mean_interval(first.astype(float), seed=0, replicates=4000)
    other = interval_over_seeds(labels, first, 3, top1, seed=1, replicates=4000)
    assert (low, high) == pytest.approx(other, abs=0.004)
    found = paired_mean_difference(first.astype(float), second.astype(float), seed=0, replicates=4000)
    counted = paired_over_seeds(labels, first, second, 3, top1, seed=1, replicates=4000)
    assert found.value == pytest.approx(counted.value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((counted.low, counted.high), abs=0.004)


def test_the_mean_interval_is_that_of_a_loop_over_the_same_draws() -> None:
    values = np.random.default_rng(3).normal(30, 4, size=(4, 25))
    other = values + np.random.default_rng(4).normal(0.5, 1, size=(4, 25))
    found = paired_mean_difference(other, values, seed=6, replicates=150)
    order = np.lexsort([*values[::-1], *other[::-1]])
    draws = order[np.random.default_rng(6).integers(0, 25, size=(150, 25))]
    differences = [
        float(weights @ (other - values)[:, draw].mean(axis=1))
        for draw, weights in zip(draws, weights_of(4, 6, 150), strict=True)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])), abs=1e-9)
    assert found.value == pytest.approx(float((other - values).mean()), abs=1e-12)


def deviation_of(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of the replicates of a mean."""
    found = statistics._mean_replicates(values[None], seed=0, replicates=4000)
    return float(found.std())


def test_replicates_spread_as_far_as_the_module_says() -> None:
    rng = np.random.default_rng(0)
    seeds, n = 5, 400
    only_seeds = np.repeat(rng.normal(size=(seeds, 1)), n, axis=1)
    # The variance over five seeds as `std` without correction, which lacks a fifth.
    assert deviation_of(only_seeds) == pytest.approx(only_seeds[:, 0].std() / math.sqrt(seeds), rel=0.05)
    only_items = np.repeat(rng.normal(size=(1, n)), seeds, axis=0)
    assert deviation_of(only_items) == pytest.approx(only_items[0].std() / math.sqrt(n), rel=0.05)
    rest = rng.normal(size=(40, n))
    assert deviation_of(rest) == pytest.approx(math.sqrt(3 / rest.size), rel=0.1)


@pytest.mark.parametrize(
    ("of_seed", "of_item", "least", "most"),
    [(0.0, 1.0, 0.90, 0.985), (0.1, 1.0, 0.86, 0.985), (1.0, 0.1, 0.75, 0.92)],
    ids=["items", "both", "seeds"],
)
def test_over_five_seeds_the_interval_covers_as_often_as_its_page_says(
    of_seed: float, of_item: float, least: float, most: float
) -> None:
    hits = 0
    for trial in range(300):
        rng = np.random.default_rng(trial)
        values = of_seed * rng.normal(size=(5, 1)) + of_item * rng.normal(size=(1, 100))
        values = values + 0.5 * of_item * rng.normal(size=(5, 100))
        low, high = mean_interval(values, seed=trial, replicates=300)
        hits += low <= 0 <= high
    assert least <= hits / 300 <= most


def test_over_seeds_nothing_depends_on_the_order_of_items_or_on_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, (first, second) = crossed(4, 150, [0.7, 0.6])
    shuffled = np.random.default_rng(0).permutation(150)
    numbers = np.where(first, 1.5, second * 0.25)

    def all_of(order: NDArray[np.int64]) -> list[object]:
        ours, theirs = first[:, order], second[:, order]
        return [
            interval_over_seeds(labels[order], ours, 3, mean_per_class, seed=3),
            paired_over_seeds(labels[order], ours, theirs, 3, top1, seed=3),
            per_class_differences(labels[order], ours, theirs, 3, seed=3),
            mean_interval(numbers[:, order], seed=3),
        ]

    expected = all_of(np.arange(150))
    assert all_of(shuffled)[:3] == expected[:3]
    monkeypatch.setattr(statistics, "_DRAWS_AT_ONCE", 1000)
    assert all_of(np.arange(150))[:3] == expected[:3]
    assert all_of(shuffled)[3] == pytest.approx(expected[3], abs=1e-12)
    assert interval_over_seeds(labels, first, 3, mean_per_class, seed=4) != expected[0]


def test_an_arm_does_not_differ_from_itself_over_seeds() -> None:
    labels, (right,) = crossed(3, 60, [0.5])
    assert paired_over_seeds(labels, right, right, 3, top1, seed=0) == Difference(0, 0, 0, 0.5)
    numbers = right.astype(float)
    assert paired_mean_difference(numbers, numbers, seed=0) == Difference(0, 0, 0, 0.5)


def test_differences_by_class_are_those_of_the_items_of_each_class_and_none_without_an_item() -> None:
    labels, (first, second) = crossed(3, 900, [0.7, 0.55], classes=2)
    labels = labels * 2
    found = per_class_differences(labels, first, second, 3, seed=0)
    assert found[1] is None
    for label, each in ((0, found[0]), (2, found[2])):
        assert each is not None
        of_class = labels == label
        gain = first[:, of_class].mean() - second[:, of_class].mean()
        assert each.value == pytest.approx(float(gain), abs=1e-12)
        alone = paired_mean_difference(
            first[:, of_class].astype(float), second[:, of_class].astype(float), seed=5
        )
        assert (each.low, each.high) == pytest.approx((alone.low, alone.high), abs=0.02)
        assert each.low < each.value < each.high


def test_a_class_of_one_item_that_many_replicates_miss_has_the_interval_of_the_others() -> None:
    labels = np.array([0] * 30 + [1])
    first, second = np.ones((2, 31), dtype=np.bool_), np.zeros((2, 31), dtype=np.bool_)
    found = per_class_differences(labels, first, second, 2, seed=0)
    assert found[1] == Difference(1.0, 1.0, 1.0, 1.0)


def test_predictions_that_do_not_fit_each_other_or_are_no_numbers_are_refused() -> None:
    labels, (right,) = crossed(2, 10, [0.5])
    with pytest.raises(ValueError, match=r"shape \(2, 10\), labels \(9,\)"):
        interval_over_seeds(labels[:9], right, 3, top1, seed=0)
    with pytest.raises(ValueError, match=r"\(2, 10\) and \(1, 10\)"):
        paired_over_seeds(labels, right, right[:1], 3, top1, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        mean_interval(np.array([[1.0, np.nan]]), seed=0)
    with pytest.raises(ValueError, match="shape"):
        mean_interval(np.ones(3), seed=0)


def test_mcnemar_over_seeds_is_each_seeds_test_and_twice_their_mean() -> None:
    _, (first, second) = crossed(3, 200, [0.75, 0.6])
    found = mcnemar_over_seeds(first, second)
    assert found.p_values == tuple(mcnemar(first[row], second[row]) for row in range(3))
    assert found.combined == pytest.approx(min(1, 2 * float(np.mean(found.p_values))))
    assert mcnemar_over_seeds(first, first).combined == 1
    assert mcnemar_over_seeds(first[:1], second[:1]).combined == found.p_values[0]


def test_one_test_over_seeds_that_err_alike_rejects_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(200):
        # Five seeds of two arms that do not differ, and predict nearly alike.
        first, second = rng.random(100) < 0.6, rng.random(100) < 0.6
        ours, theirs = (np.tile(arm, (5, 1)) ^ (rng.random((5, 100)) < 0.05) for arm in (first, second))
        rejected += mcnemar_over_seeds(ours, theirs).combined < 0.05
    assert rejected / 200 <= 0.06
