"""Every number of a result, from labels and predictions alone: what `eval run` writes and `eval verify` recomputes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.arms import parse_arm, reference
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.parts import Metric
from synrs_data.evaluate.results import ZERO_SHOT, Bootstrap, DifferenceValue, Interval, MetricValue
from synrs_data.evaluate.statistics import (
    STATISTICS,
    count,
    interval_over_seeds,
    paired_over_seeds,
    per_class,
)

Right = NDArray[np.bool_]
"""Whether each prediction is right, (seeds, n)."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What follows from the predictions of an arm."""

    metrics: tuple[MetricValue, ...]
    per_class: dict[str, float | None]


def references(names: list[str]) -> dict[str, str | None]:
    """Return the arm that each arm is compared with, by name; None for none."""
    if names == [ZERO_SHOT]:
        return {ZERO_SHOT: None}
    arms = [parse_arm(name) for name in names]
    found = {arm.name: reference(arm, arms) for arm in arms}
    return {name: other.name if other is not None else None for name, other in found.items()}


def compute(
    benchmark: Classification,
    labels: NDArray[np.int64],
    predicted: Mapping[str, NDArray[np.int64]],
    bootstrap: Bootstrap,
) -> dict[str, Numbers]:
    """Return every number of a result by arm.

    Args:
        benchmark: Which metrics, of how many classes.
        labels: Class of each item, (n,).
        predicted: Predicted class of each item by arm, (seeds, n); rows have the same seeds in every arm.
        bootstrap: How intervals are found.
    """
    right = {name: values == labels for name, values in predicted.items()}
    against = references(list(predicted))
    found = {}
    for name, own in right.items():
        other = against[name]
        metrics = tuple(
            _metric(
                metric, labels, own, None if other is None else (other, right[other]), benchmark, bootstrap
            )
            for metric in benchmark.metrics
        )
        classes = len(benchmark.classes)
        rates = per_class(np.array([count(labels, row, classes) for row in own])).mean(axis=0)
        values = (None if np.isnan(rate) else float(rate) for rate in rates)
        found[name] = Numbers(metrics, dict(zip(benchmark.class_names, values, strict=True)))
    return found


def _metric(
    metric: Metric,
    labels: NDArray[np.int64],
    right: Right,
    other: tuple[str, Right] | None,
    benchmark: Classification,
    bootstrap: Bootstrap,
) -> MetricValue:
    statistic, classes = STATISTICS[metric.name], len(benchmark.classes)
    draws = {"seed": bootstrap.seed, "replicates": bootstrap.replicates}
    low, high = interval_over_seeds(labels, right, classes, statistic, **draws)
    per_seed = tuple(float(statistic(count(labels, row, classes))) for row in right)
    difference = None
    if other is not None:
        found = paired_over_seeds(labels, right, other[1], classes, statistic, **draws)
        difference = DifferenceValue(
            to=other[0],
            value=found.value,
            interval=Interval(low=found.low, high=found.high),
            above_zero=found.above_zero,
        )
    return MetricValue(
        name=metric.name,
        direction=metric.direction,
        value=float(np.mean(per_seed)),
        per_seed=per_seed,
        interval=Interval(low=low, high=high),
        chance=metric.chance,
        difference=difference,
    )
