"""Every number of a result, from the table of values alone: what `eval run` writes and `eval verify` recomputes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from synrs_data.evaluate.numbers import references
from synrs_data.evaluate.other_tasks import ImageMetric
from synrs_data.evaluate.results import Bootstrap, DifferenceValue, Interval
from synrs_data.evaluate.super_resolution.results import ImageMetricValue
from synrs_data.evaluate.super_resolution.values import matrix, mean_difference, means


def compute(
    table: pl.DataFrame,
    baseline: str,
    arms: Sequence[str],
    metrics: Sequence[ImageMetric],
    bootstrap: Bootstrap,
) -> dict[str, tuple[ImageMetricValue, ...]]:
    """Return every metric of every arm.

    Args:
        table: See `values`; every arm has the same seeds and images.
        baseline: Name.
        arms: Names, in the order of the result.
        metrics: Those of the benchmark.
        bootstrap: How intervals are found.

    Raises:
        VerificationError: The table is not whole.
    """
    against = references(list(arms))
    draws = {"seed": bootstrap.seed, "replicates": bootstrap.replicates}
    found = {}
    for arm in arms:
        own = {mean.metric: mean for mean in means(table, baseline, arm, **draws)}
        values = []
        for metric in metrics:
            mean, other = own[metric.name], against[arm]
            whole = matrix(table, baseline, arm, metric.name)
            kept = whole[:, np.isfinite(whole).all(axis=0)]
            difference = None
            if other is not None:
                apart = mean_difference(table, (baseline, arm), (baseline, other), metric.name, **draws)
                if np.isfinite(apart.value):
                    difference = DifferenceValue(
                        to=other,
                        value=apart.value,
                        interval=Interval(low=apart.low, high=apart.high),
                        above_zero=apart.above_zero,
                    )
            values.append(
                ImageMetricValue(
                    name=metric.name,
                    direction=metric.direction,
                    value=mean.value if mean.n else None,
                    per_seed=tuple(float(row.mean()) for row in kept) if mean.n else (),
                    interval=Interval(low=mean.low, high=mean.high) if mean.n else None,
                    n=mean.n,
                    difference=difference,
                )
            )
        found[arm] = tuple(values)
    return found
