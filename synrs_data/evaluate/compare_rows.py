"""Rows of a comparison: what an arm reached, and how it differs from the arms that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from synrs_data.evaluate.arms import Kind
from synrs_data.evaluate.compare_inputs import Run, Trained, class_names
from synrs_data.evaluate.compare_labels import Labels
from synrs_data.evaluate.compare_records import SIGNIFICANT, ClassDifference, Compared, McNemar, Row
from synrs_data.evaluate.results import Bootstrap, Interval, MetricValue
from synrs_data.evaluate.statistics import (
    STATISTICS,
    Difference,
    count,
    interval_over_seeds,
    mcnemar_over_seeds,
    paired_over_seeds,
    per_class,
    per_class_differences,
)


@dataclass(frozen=True, slots=True)
class Task:
    """What all results share, and what is asked of them.

    Attributes:
        runs: The results.
        metric: What values and differences are of.
        bootstrap: Of every interval.
        baseline_arm: See `reference`.
    """

    runs: list[Run]
    metric: MetricValue
    bootstrap: Bootstrap
    baseline_arm: str


def make_row(arm: Trained, arms: list[Trained], labels: Labels, task: Task) -> Row:
    """Return what an arm reached, with its differences; their p-values are not yet corrected."""
    truth, classes = task.runs[0].labels, class_names(task.runs[0].result)
    right = arm.predicted == truth
    statistic = STATISTICS[task.metric.name]
    draws = {"seed": task.bootstrap.seed, "replicates": task.bootstrap.replicates}
    low, high = interval_over_seeds(truth, right, len(classes), statistic, **draws)
    counts = np.array([count(truth, row, len(classes)) for row in right])
    per_seed = tuple(float(value) for value in statistic(counts))
    rates = per_class(counts).mean(axis=0).tolist()
    other = reference(arm, arms, task.baseline_arm)
    controls = (
        []
        if arm.role != "mixed"
        else [each for kind in get_args(Kind) if (each := _control(arm, arms, kind))]
    )
    return Row(
        classifier=labels.classifiers[arm.classifier],
        synthetic=labels.strategies[arm.synthetic] if arm.synthetic else None,
        arm=arm.name,
        label=arm.label,
        role=arm.role,
        kind=arm.kind,
        shots=arm.shots,
        ratio=arm.ratio,
        real_per_class=arm.counts.real / len(classes),
        counts=arm.counts,
        seeds=arm.seeds,
        value=float(np.mean(per_seed)),
        per_seed=per_seed,
        interval=Interval(low=low, high=high),
        per_class={name: None if rate != rate else rate for name, rate in zip(classes, rates, strict=True)},
        difference=_compared(arm, other, task) if other is not None else None,
        controls=tuple(_compared(arm, each, task) for each in controls if each is not other),
    )


def reference(arm: Trained, arms: Sequence[Trained], wanted: str) -> Trained | None:
    """Return the arm that another one is compared with, of the same classifier and with at least one equal seed.

    Args:
        arm: The one.
        arms: All.
        wanted: A kind or an arm, see `compare`.

    Returns:
        Of several, one of the same result; None where there is none. For "real" that is the arm of the same shots, or
        else the only real arm of the arm's results, as in `eval run`.
    """
    if arm.kind == "real" or wanted in (arm.kind, arm.name):
        return None
    others = [each for each in arms if each.classifier == arm.classifier and set(each.seeds) & set(arm.seeds)]
    others.sort(key=lambda each: not set(each.runs) & set(arm.runs))
    if wanted not in get_args(Kind):
        return next((each for each in others if each.name == wanted), None)
    same = [each for each in others if each.kind == wanted]
    if wanted != "real":
        return next((each for each in same if (each.shots, each.ratio) == (arm.shots, arm.ratio)), None)
    own = [each for each in same if set(each.runs) & set(arm.runs)]
    return next((each for each in same if each.shots == arm.shots), own[0] if len(own) == 1 else None)


def _control(arm: Trained, arms: Sequence[Trained], kind: str) -> Trained | None:
    found = reference(arm, arms, kind) if kind not in ("real", "mixed", "synthetic") else None
    return found if found is not None and found.role == "control" else None


def _compared(arm: Trained, other: Trained, task: Task) -> Compared:
    truth, classes = task.runs[0].labels, class_names(task.runs[0].result)
    seeds = tuple(seed for seed in arm.seeds if seed in other.seeds)
    first, second = (
        np.stack([each.predicted[each.seeds.index(seed)] for seed in seeds]) == truth for each in (arm, other)
    )
    draws = {"seed": task.bootstrap.seed, "replicates": task.bootstrap.replicates}
    statistic = STATISTICS[task.metric.name]
    found = paired_over_seeds(truth, first, second, len(classes), statistic, **draws)
    parts = per_class_differences(truth, first, second, len(classes), **draws)
    tests = mcnemar_over_seeds(first, second)
    decided = np.array(tests.p_values) < SIGNIFICANT
    gained = first.sum(axis=1) - second.sum(axis=1)
    return Compared(
        to=other.label,
        seeds=seeds,
        value=found.value,
        interval=Interval(low=found.low, high=found.high),
        above_zero=found.above_zero,
        mcnemar=McNemar(
            p_values=tests.p_values,
            better=int(np.sum(decided & (gained > 0))),
            worse=int(np.sum(decided & (gained < 0))),
            combined=tests.combined,
            holm=tests.combined,
        ),
        per_class={name: _class(part) for name, part in zip(classes, parts, strict=True)},
    )


def _class(part: Difference | None) -> ClassDifference | None:
    if part is None:
        return None
    return ClassDifference(value=part.value, interval=Interval(low=part.low, high=part.high))


def correct(rows: list[Row]) -> list[Row]:
    """Return the rows with p-values corrected for all differences to the baseline arm, and for all to controls."""
    main = iter(holm([row.difference.mcnemar.combined for row in rows if row.difference]))
    beside = iter(holm([each.mcnemar.combined for row in rows for each in row.controls]))
    return [
        row.model_copy(
            update={
                "difference": _with_holm(row.difference, next(main)) if row.difference else None,
                "controls": tuple(_with_holm(each, next(beside)) for each in row.controls),
            }
        )
        for row in rows
    ]


def _with_holm(compared: Compared, value: float) -> Compared:
    return compared.model_copy(update={"mcnemar": compared.mcnemar.model_copy(update={"holm": value})})


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction for all of them, which holds however they depend on each other.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2), 1979, 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, highest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        found[i] = highest
    return found
