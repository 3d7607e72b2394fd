"""Scores with their spread: accuracies, percentile bootstrap over items, paired differences, McNemar's exact test.

Resampling works on counts: every item falls into one *cell* (its class, and which of the compared predictions are
right), a replicate is how often each cell was drawn, and every statistic is a function of those counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Items by class and correctness, (..., classes, 2): wrong ones, then right ones."""

Statistic = Callable[[Counts], NDArray[np.float64]]
"""A score from counts, (..., classes, 2) to (...), in 0 to 1."""

REPLICATES = 1000
LEVEL = 0.95
_DRAWS_AT_ONCE = 4_000_000
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """How one result differs from another on the same items.

    Attributes:
        value: First score less second.
        low: Lower end of its interval.
        high: Upper end of its interval.
        above_zero: Share of replicates in which the difference is above zero; those that tie count half.
    """

    value: float
    low: float
    high: float
    above_zero: float


def top1(counts: Counts) -> NDArray[np.float64]:
    """Share of items that are right."""
    totals = counts.sum(axis=-2)
    return np.asarray(totals[..., 1] / totals.sum(axis=-1), dtype=np.float64)


def mean_per_class(counts: Counts) -> NDArray[np.float64]:
    """Mean over classes of the share that is right; a class without an item, as replicates have them, is left out."""
    rates, present = _rates(counts)
    return np.asarray(rates.sum(axis=-1) / present.sum(axis=-1), dtype=np.float64)


def per_class(counts: Counts) -> NDArray[np.float64]:
    """Share of each class that is right, (..., classes); NaN where a class has no item."""
    rates, present = _rates(counts)
    return np.where(present, rates, np.nan)


STATISTICS: dict[str, Statistic] = {"top1": top1, "mean-per-class": mean_per_class}
"""By the names that benchmarks use."""


def count(labels: NDArray[np.int64], right: NDArray[np.bool_], classes: int) -> Counts:
    """Return the counts of all items, (classes, 2).

    Args:
        labels: Class of each item, (n,).
        right: Whether each prediction is right, (n,).
        classes: Number of classes.
    """
    return np.bincount(labels * 2 + right, minlength=classes * 2).reshape(classes, 2)


def interval(
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    classes: int,
    statistic: Statistic,
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a score under resampling of items with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3. Where every prediction is right (or
    wrong) it has no width, as every such interval.
    """
    draws = _resample(labels * 2 + right, classes * 2, seed=seed, replicates=replicates)
    return _percentiles(statistic(draws.reshape(replicates, classes, 2)))


def paired_difference(
    labels: NDArray[np.int64],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    classes: int,
    statistic: Statistic,
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Difference:
    """Compare two predictions of the same items; each replicate draws the same items for both.

    Args:
        labels: Class of each item, (n,).
        first: Whether each first prediction is right, (n,).
        second: Whether each second prediction is right, (n,).
        classes: Number of classes.
        statistic: The score.
        seed: Of the resampling.
        replicates: Number of resamples.
    """
    cells = labels * 4 + first * 2 + second
    whole = np.bincount(cells, minlength=classes * 4).reshape(classes, 2, 2)
    drawn = _resample(cells, classes * 4, seed=seed, replicates=replicates)
    values = _difference(drawn.reshape(replicates, classes, 2, 2), statistic)
    low, high = _percentiles(values)
    # Sums of equal shares in another order may differ by their last bits.
    tied = np.abs(values) < _TIE
    above = float(np.mean((values > 0) & ~tied) + np.mean(tied) / 2)
    return Difference(float(_difference(whole, statistic)), low, high, above)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the two-sided p-value of McNemar's exact test: whether two predictions of the same items err equally.

    Twice the tail of a binomial distribution of p = 1/2 over the items on which exactly one is right, at most 1;
    1 where there is no such item (Edwards, Psychometrika 13, 1948; Agresti, Categorical Data Analysis, section 11.1).
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    trials = only_first + only_second
    # Whole numbers of Python: no underflow however many items there are.
    term = tail = 1
    for k in range(min(only_first, only_second)):
        term = term * (trials - k) // (k + 1)
        tail += term
    return float(min(1.0, 2 * tail / 2**trials))


def _rates(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the share of each class that is right (0 where it has no item), and whether it has one."""
    totals = counts.sum(axis=-1)
    present = totals > 0
    return np.asarray(counts[..., 1] / np.where(present, totals, 1), dtype=np.float64), present


def _difference(counts: NDArray[np.int64], statistic: Statistic) -> NDArray[np.float64]:
    """Return first less second of counts by class, first and second correctness, (..., classes, 2, 2)."""
    return statistic(counts.sum(axis=-1)) - statistic(counts.sum(axis=-2))


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resample(cells: NDArray[np.int64], size: int, *, seed: int, replicates: int) -> NDArray[np.int64]:
    """Return how often each cell is drawn in each replicate, (replicates, size).

    Items are put in the order of their cells first, so that the interval does not depend on their order.
    """
    ordered = np.sort(cells)
    random = np.random.default_rng(seed)
    found = np.empty((replicates, size), dtype=np.int64)
    step = max(1, _DRAWS_AT_ONCE // len(ordered))
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = ordered[random.integers(0, len(ordered), size=(rows, len(ordered)))]
        drawn += np.arange(rows)[:, None] * size
        found[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
    return found
