"""What synthetic images add, where a submission has arms with them in one result and real ones in another.

A result compares its own arms. A long study keeps arms in several results; their predictions are of the same items and
seeds, so they can be paired all the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.evaluate.arms import Arm, parse_arm, reference
from synrs_data.evaluate.compare_inputs import classifier_id
from synrs_data.evaluate.results import ZERO_SHOT, Result
from synrs_data.evaluate.statistics import STATISTICS, paired_over_seeds
from synrs_data.leaderboard.submission import Package

Triple = tuple[float, float, float]
"""A difference and the ends of its 95 % interval."""

Right = NDArray[np.bool_]
"""Whether each prediction is right, (seeds, n)."""


def differences(package: Package) -> dict[str, dict[str, Triple]]:
    """Return the difference of each arm to the real arm of its shots, by number of the result and name of the arm.

    Of the first metric. Arms that their own result compares have that difference; others are compared with the real
    arm of the same classifier, benchmark and shots in another result of the submission, over the seeds that both have.

    Args:
        package: A submission that keeps every rule.
    """
    found: dict[str, dict[str, Triple]] = {}
    for number, result in enumerate(package.results):
        for index, arm in enumerate(result.arms):
            own = arm.metrics[0].difference
            if own is not None:
                triple: Triple | None = (own.value, own.interval.low, own.interval.high)
            else:
                triple = _across(package, number, index)
            if triple is not None:
                found.setdefault(str(number), {})[arm.name] = triple
    return found


def right_of(content: bytes, result: Result, arm: int) -> tuple[NDArray[np.int64], Right]:
    """Return the label of each item, (n,), and whether each prediction of an arm is right, (seeds, n).

    Args:
        content: Verified predictions.
        result: Theirs.
        arm: Position of the arm.
    """
    table = pl.read_parquet(io.BytesIO(content), columns=["label", "predicted"])
    labels = table["label"].to_numpy()[: result.n].copy()
    shape = (len(result.arms), len(result.seeds), result.n)
    return labels, np.asarray(table["predicted"].to_numpy().reshape(shape)[arm] == labels)


def _across(package: Package, number: int, index: int) -> Triple | None:
    result = package.results[number]
    if result.arms[index].name == ZERO_SHOT:
        return None
    arm = parse_arm(result.arms[index].name)
    real = dict(_real_arms(package, result))
    other = reference(arm, list(real))
    if other is None:
        return None
    where, position = real[other]
    second = package.results[where]
    seeds = sorted(set(result.seeds) & set(second.seeds))
    statistic = STATISTICS.get(result.arms[index].metrics[0].name)
    if not seeds or statistic is None:
        return None
    labels, own = right_of(package.predictions(number), result, index)
    _, theirs = right_of(package.predictions(where), second, position)
    drawn = paired_over_seeds(
        labels,
        own[[result.seeds.index(seed) for seed in seeds]],
        theirs[[second.seeds.index(seed) for seed in seeds]],
        len(result.arms[index].per_class),
        statistic,
        seed=result.bootstrap.seed,
    )
    return drawn.value, drawn.low, drawn.high


def _real_arms(package: Package, like: Result) -> Iterator[tuple[Arm, tuple[int, int]]]:
    """Yield the real arms of a result's classifier and task, with the positions of their result and arm."""
    for number, result in enumerate(package.results):
        if result.task_hash == like.task_hash and classifier_id(result) == classifier_id(like):
            for index, value in enumerate(result.arms):
                if value.name != ZERO_SHOT and (arm := parse_arm(value.name)).kind == "real":
                    yield arm, (number, index)
