"""Whether claimed scores and intervals agree with those of another bootstrap seed: rule R14."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from synrs_data.evaluate.statistics import STATISTICS, interval_over_seeds
from synrs_data.evaluate.super_resolution.results import SuperResolutionResult
from synrs_data.evaluate.super_resolution.values import means
from synrs_data.leaderboard.scores import AnyResult

_TOLERANCE = 1e-9


def apart(table: pl.DataFrame, result: AnyResult, classes: int) -> Iterator[str]:
    """Yield which scores lie outside the interval of another bootstrap seed, and which intervals lie apart from it.

    Args:
        table: Its predictions, whole and with the benchmark's items.
        result: What claims the scores.
        classes: Number of classes of the benchmark; 0 where it has none.
    """
    for arm in range(len(result.arms)):
        found = _intervals(table, result, arm, classes)
        for metric in result.arms[arm].metrics:
            if metric.name not in found or metric.value is None or metric.interval is None:
                continue  # R12 names what the benchmark has not, or has not said
            (low, high), claimed = found[metric.name], metric.interval
            where = f"{result.arms[arm].name}: {metric.name}"
            if not low - _TOLERANCE <= metric.value <= high + _TOLERANCE:
                yield f"{where}: {metric.value:.6f} does not overlap {low:.6f} to {high:.6f}"
            if claimed.low > high + _TOLERANCE or claimed.high < low - _TOLERANCE:
                ends = f"{claimed.low:.6f} to {claimed.high:.6f}"
                yield f"{where}: its interval, {ends}, does not overlap {low:.6f} to {high:.6f}"


def _intervals(
    table: pl.DataFrame, result: AnyResult, arm: int, classes: int
) -> dict[str, tuple[float, float]]:
    seed = result.bootstrap.seed + 1
    if isinstance(result, SuperResolutionResult):
        found = means(table, result.baseline.name, result.arms[arm].name, seed=seed)
        return {mean.metric: (mean.low, mean.high) for mean in found if mean.n}
    labels = table["label"].to_numpy()[: table.height // (len(result.arms) * len(result.seeds))]
    cube = table["predicted"].to_numpy().reshape(len(result.arms), len(result.seeds), len(labels))
    right = np.asarray(cube[arm] == labels)
    return {
        metric.name: interval_over_seeds(labels, right, classes, STATISTICS[metric.name], seed=seed)
        for metric in result.arms[arm].metrics
        if metric.name in STATISTICS
    }
