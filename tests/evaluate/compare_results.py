"""Results to compare, written as `eval run` writes them, from predictions that a test makes up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate import Classification, Result
from synrs_data.evaluate.baselines.base import BaselineRecord
from synrs_data.evaluate.data import DatasetRecord
from synrs_data.evaluate.items import Items, row_keys
from synrs_data.evaluate.numbers import compute
from synrs_data.evaluate.predict import Predictions
from synrs_data.evaluate.results import (
    ArmValue,
    BenchmarkRecord,
    Bootstrap,
    Counts,
    ProtocolRecord,
    write_predictions,
    write_result,
)
from synrs_data.evaluate.run import predictions_table
from synrs_data.evaluate.synthetic_set import LeakRecord, RecipeRecord, SyntheticRecord
from tests.evaluate.tiny import features_values

N = 120


def benchmark(classes: Sequence[str] = ("field", "lake", "town"), **changed: Any) -> Classification:
    chance = 1 / len(classes)
    metrics = [{"name": name, "direction": "higher", "chance": chance} for name in ("top1", "mean-per-class")]
    return Classification.model_validate(features_values(classes=list(classes), metrics=metrics, **changed))


def synthetic(name: str, **changed: Any) -> SyntheticRecord:
    leaks = {"derived_from_train": 0, "derived_from_other": 0, "equal_to_train": 0}
    return SyntheticRecord(
        name=name,
        source=name,
        revision="local",
        manifest_sha256=hashlib.sha256(f"{name}{changed}".encode()).hexdigest(),
        recipe_fingerprints={},
        generator={},
        recipe=RecipeRecord(captions="class-template", filters=(), select={}),
        candidates=100,
        images=90,
        other_labels=0,
        leaks=LeakRecord.model_validate(leaks | changed),
    )


def predictions(
    labels: NDArray[np.int64], classes: int, skill: float, seeds: Sequence[int]
) -> NDArray[np.int64]:
    """Return predictions, (seeds, n): a share of about `skill` is right, the same items first in every arm."""
    ease = np.random.default_rng(7).random(len(labels))
    found = []
    for seed in seeds:
        noise = np.random.default_rng([seed, 1]).normal(scale=0.15, size=len(labels))
        right = ease + noise < skill
        found.append(np.where(right, labels, (labels + 1) % classes))
    return np.stack(found)


def write(
    folder: Path,
    skills: Mapping[str, float],
    *,
    of: Classification | None = None,
    n: int = N,
    seeds: Sequence[int] = (0, 1, 2),
    strategy: SyntheticRecord | None = None,
    protocol: tuple[str, dict[str, Any]] = ("linear-probe", {"c": None}),
    baseline: str = "encoder",
    counts: Mapping[str, Counts] | None = None,
    environment: dict[str, str] | None = None,
    made: Mapping[str, NDArray[np.int64]] | None = None,
) -> Result:
    """Write a result of some arms; `made` replaces the predictions of an arm."""
    task = of or benchmark()
    classes = len(task.classes)
    labels = np.arange(n, dtype=np.int64) % classes
    predicted = {name: predictions(labels, classes, skill, seeds) for name, skill in skills.items()} | dict(
        made or {}
    )
    record = BaselineRecord(
        name=baseline,
        method="open-clip",
        model=baseline,
        weights_sha256=hashlib.sha256(baseline.encode()).hexdigest(),
        preprocessing={"size": 64},
        trained_on=(),
        in_domain=False,
    )
    dataset = DatasetRecord(name="tinyset", content_sha256="c" * 64, pinned=True, test=n)
    found = Predictions(
        items=Items(row_keys(n), labels),
        predicted=predicted,
        counts={name: (counts or {}).get(name, count_of(name, classes)) for name in skills},
        seeds=tuple(seeds),
        baseline=record,
        protocol=ProtocolRecord(name=protocol[0], options=protocol[1]),
        dataset=dataset,
        synthetic=strategy,
        scores=None,
    )
    bootstrap = Bootstrap(seed=0)
    numbers = compute(task, labels, predicted, bootstrap)
    result = Result(
        task_hash=task.task_hash,
        benchmark=BenchmarkRecord(id=task.id, version=task.version, task=task.task),
        dataset=dataset,
        baseline=record,
        protocol=found.protocol,
        synthetic=strategy,
        environment=environment or {"device": "cpu", "numpy": "2"},
        seeds=found.seeds,
        bootstrap=bootstrap,
        n=n,
        arms=tuple(
            ArmValue(name=name, counts=found.counts[name], metrics=each.metrics, per_class=each.per_class)
            for name, each in numbers.items()
        ),
        predictions=write_predictions(folder, predictions_table(found)),
        wall_seconds=1.0,
    )
    write_result(folder, result)
    return result


def count_of(name: str, classes: int) -> Counts:
    """Return what an arm is trained on, with 100 images a class to draw from."""
    from synrs_data.evaluate.arms import COPIES, parse_arm

    if name == "zero-shot":
        return Counts()
    arm = parse_arm(name)
    own = (arm.shots or 100) * classes
    added = round(own * arm.ratio)
    return Counts(
        real=0 if arm.kind == "synthetic" else own + added * (arm.kind == "more-real"),
        synthetic=own if arm.kind == "synthetic" else added * (arm.kind == "mixed"),
        copies=added * (arm.kind in COPIES),
        validation=classes,
    )
