"""Read results to compare: whether they are of one task, whether their predictions give their numbers."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.arms import parse_arm
from synrs_data.evaluate.compare_records import Role
from synrs_data.evaluate.parts import canonical_digest
from synrs_data.evaluate.results import COLUMNS, ZERO_SHOT, Counts, Result, read_result, result_folder
from synrs_data.evaluate.statistics import STATISTICS, count

_TOLERANCE = 1e-9
_FIX = "`synrs-data eval verify` names all that is wrong; `synrs-data eval run` makes the result again"


@dataclass(frozen=True, slots=True)
class Run:
    """A result with its predictions.

    Attributes:
        name: Of its folder, with what tells it from others of the same name.
        result: Its record.
        keys: Of the items.
        labels: Class of each item, (n,).
        predicted: Predicted class by arm, (seeds, n).
    """

    name: str
    result: Result
    keys: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Trained:
    """An arm of a classifier, from one or several results that agree about it.

    Attributes:
        classifier: `classifier_id` of the results.
        synthetic: sha256 of the manifest of the synthetic set; None for an arm without synthetic images.
        name: As it was written.
        label: The same, with the result's name where another result gives other predictions.
        role: What it is for.
        kind: Of the arm.
        shots: Images a class; None for all.
        ratio: Added images for a real one.
        counts: Images of the arm.
        seeds: Of the rows of `predicted`.
        predicted: Predicted class of each item, (seeds, n).
        runs: Positions of the results that have it.
    """

    classifier: str
    synthetic: str | None
    name: str
    label: str
    role: Role
    kind: str
    shots: int | None
    ratio: float
    counts: Counts
    seeds: tuple[int, ...]
    predicted: NDArray[np.int64]
    runs: tuple[int, ...]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read results and their predictions.

    Raises:
        UserError: There is no result, one is given twice or is none of classification, or tasks or data differ.
        VerificationError: A result is damaged, or its numbers do not follow from its predictions.
    """
    folders = [result_folder(path) for path in paths]
    resolved = [folder.resolve() for folder in folders]
    if twice := next((f for n, f in enumerate(folders) if resolved[n] in resolved[:n]), None):
        raise UserError("is given twice", where=str(twice), fix="give each result once")
    results = [read_result(path) for path in paths]
    for folder, result in zip(folders, results, strict=True):
        if result.benchmark.task != "classification":
            raise UserError(
                f"is a result of {result.benchmark.task}, which has no arms to compare",
                where=str(folder),
                fix="give results of classification",
            )
    for name in ("task_hash", "content_sha256"):
        _same(
            name, [r.task_hash if name == "task_hash" else r.dataset.content_sha256 for r in results], folders
        )
    runs = [
        _run(folder, name, result)
        for folder, name, result in zip(folders, _names(resolved), results, strict=True)
    ]
    for folder, run in zip(folders, runs, strict=True):
        same = run.keys == runs[0].keys and np.array_equal(run.labels, runs[0].labels)
        if not same or class_names(run.result) != class_names(runs[0].result):
            raise VerificationError(
                f"has other items, labels or classes than {folders[0]}, though the task hash is the same",
                where=str(folder),
                fix=_FIX,
            )
    return runs


def _names(folders: list[Path]) -> list[str]:
    """Return what results are called: by folder, where two have one name also by the one above it, else by number."""
    names = [folder.name for folder in folders]
    names = [
        name if names.count(name) == 1 else f"{folder.parent.name}/{name}"
        for folder, name in zip(folders, names, strict=True)
    ]
    return [name if names.count(name) == 1 else f"{name} #{place + 1}" for place, name in enumerate(names)]


def class_names(result: Result) -> tuple[str, ...]:
    """Return the names of a result's classes in the order of their indices."""
    return tuple(result.arms[0].per_class)


def classifier_id(result: Result) -> str:
    """Return what tells classifiers apart: weights, preprocessing, and the protocol with its options."""
    baseline = result.baseline
    known: dict[str, Any] = {
        "method": baseline.method,
        "weights": baseline.weights_sha256 or baseline.model,
        "preprocessing": baseline.preprocessing,
        "protocol": result.protocol.model_dump(mode="json"),
    }
    return canonical_digest(known)


def gather(runs: Sequence[Run]) -> tuple[list[Trained], list[str]]:
    """Return every arm once, and what had to be kept apart.

    An arm of the same classifier and synthetic set that several results have is one if they predict the same with the
    seeds that they share; their seeds are then put together. Real arms and controls have no synthetic images, so they
    are the same in results of different synthetic sets.
    """
    found: list[Trained] = []
    notes: list[str] = []
    for number, run in enumerate(runs):
        for own in _arms(number, run):
            alike = [each for each in found if _identity(each) == _identity(own)]
            fitting = next((each for each in alike if _agree(each, own)), None)
            if fitting is not None:
                found[found.index(fitting)] = _join(fitting, own)
            else:
                found.append(own)
                if alike:
                    names = " and ".join(f"'{runs[r].name}'" for r in (alike[0].runs[0], number))
                    notes.append(
                        f"{names} give other predictions for {own.name} with the same seeds, so both are listed and "
                        "each result's arms are compared with its own; their `environment` may say why"
                    )
    repeated = [_identity(each) for each in found]
    return [
        replace(each, label=f"{each.name} ({runs[each.runs[0]].name})")
        if repeated.count(_identity(each)) > 1
        else each
        for each in found
    ], notes


def _arms(number: int, run: Run) -> list[Trained]:
    found = []
    for arm in run.result.arms:
        kind, shots, ratio, role = _parsed(arm.name)
        with_synthetic = role in ("mixed", "synthetic") and run.result.synthetic is not None
        found.append(
            Trained(
                classifier=classifier_id(run.result),
                synthetic=run.result.synthetic.manifest_sha256
                if with_synthetic and run.result.synthetic
                else None,
                name=arm.name,
                label=arm.name,
                role=role,
                kind=kind,
                shots=shots,
                ratio=ratio,
                counts=arm.counts,
                seeds=run.result.seeds,
                predicted=run.predicted[arm.name],
                runs=(number,),
            )
        )
    return found


def _parsed(name: str) -> tuple[str, int | None, float, Role]:
    if name == ZERO_SHOT:
        return ZERO_SHOT, None, 0.0, "zero-shot"
    arm = parse_arm(name)
    roles: dict[str, Role] = {"real": "real", "mixed": "mixed", "synthetic": "synthetic"}
    return arm.kind, arm.shots, arm.ratio, roles.get(arm.kind, "control")


def _identity(arm: Trained) -> tuple[str, str | None, str, int | None, float]:
    return arm.classifier, arm.synthetic, arm.kind, arm.shots, arm.ratio


def _agree(first: Trained, second: Trained) -> bool:
    shared = [seed for seed in first.seeds if seed in second.seeds]
    return first.counts == second.counts and all(
        np.array_equal(first.predicted[first.seeds.index(s)], second.predicted[second.seeds.index(s)])
        for s in shared
    )


def _join(first: Trained, second: Trained) -> Trained:
    """Return both as one, with the seeds in ascending order."""
    rows = dict(zip(second.seeds, second.predicted, strict=True)) | dict(
        zip(first.seeds, first.predicted, strict=True)
    )
    seeds = tuple(sorted(rows))
    predicted = np.stack([rows[seed] for seed in seeds])
    return replace(first, seeds=seeds, predicted=predicted, runs=(*first.runs, *second.runs))


def _same(name: str, values: list[str], folders: list[Path]) -> None:
    for value, folder in zip(values, folders, strict=True):
        if value != values[0]:
            raise UserError(
                f"the {name.replace('_', ' ')} of {folders[0]} is {values[0]}, that of {folder} is {value}: numbers "
                "of different tasks or data cannot be compared",
                fix="compare results of one benchmark, in one version, on the same data",
            )


def _run(folder: Path, name: str, result: Result) -> Run:
    """Return a result with its predictions after checking that its values follow from them."""
    _check_names(folder, result)
    path = folder / result.predictions.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VerificationError(f"cannot be read: {error.strerror}", where=str(path), fix=_FIX) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != result.predictions.sha256:
        what = f"has the sha256 {digest}, the result says {result.predictions.sha256}"
        raise VerificationError(what, where=str(path), fix=_FIX)
    try:
        table = pl.read_parquet(io.BytesIO(content), columns=list(COLUMNS))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        what = f"cannot be read: {(str(error).splitlines() or [''])[0]}"
        raise VerificationError(what, where=str(path), fix=_FIX) from error
    names, seeds = [arm.name for arm in result.arms], list(result.seeds)
    blocks = len(names) * len(seeds)
    n = table.height // blocks
    wanted = [(name, seed) for name in names for seed in seeds]
    rows = table.select("arm", "seed")[:: max(n, 1)].rows() if n else []
    if (
        dict(table.schema) != COLUMNS
        or any(table[column].has_nulls() for column in COLUMNS)
        or n * blocks != table.height
        or n != result.n
        or len(set(wanted)) < blocks
        or rows != wanted
        or table.select(pl.struct("arm", "seed").rle_id().max()).item() != blocks - 1
    ):
        raise VerificationError("does not have the rows that the result names", where=str(path), fix=_FIX)
    keys = np.array(table["key"].to_list(), dtype=object).reshape(blocks, n)
    labels, predicted = (table[column].to_numpy().reshape(blocks, n) for column in ("label", "predicted"))
    classes = len(class_names(result))
    inside = all(bool(((values >= 0) & (values < classes)).all()) for values in (labels, predicted))
    if not inside or (keys != keys[0]).any() or (labels != labels[0]).any() or len(set(keys[0])) < n:
        raise VerificationError("has labels or items that contradict each other", where=str(path), fix=_FIX)
    cube = predicted.reshape(len(names), len(seeds), n)
    run = Run(name, result, tuple(keys[0]), labels[0].copy(), {a: cube[i] for i, a in enumerate(names)})
    _check_values(run, classes, folder)
    return run


def _check_names(folder: Path, result: Result) -> None:
    """Raise a VerificationError if a result has arms or metrics that no run writes."""
    metrics = {tuple(metric.name for metric in arm.metrics) for arm in result.arms}
    names = next(iter(metrics))
    if len(metrics) > 1 or not names or len(set(names)) < len(names) or not STATISTICS.keys() >= set(names):
        what = "has arms without metrics of classification, or of different ones"
        raise VerificationError(what, where=str(folder), fix=_FIX)
    for arm in result.arms:
        if arm.name != ZERO_SHOT:
            try:
                parse_arm(arm.name)
            except UserError as error:
                raise VerificationError(error.what, where=str(folder), fix=_FIX) from error


def _check_values(run: Run, classes: int, folder: Path) -> None:
    for arm in run.result.arms:
        counts = np.array([count(run.labels, row == run.labels, classes) for row in run.predicted[arm.name]])
        for metric in arm.metrics:
            per_seed = STATISTICS[metric.name](counts).tolist()
            said, right = [metric.value, *metric.per_seed], [float(np.mean(per_seed)), *per_seed]
            if len(said) != len(right) or not all(
                math.isclose(a, b, rel_tol=0, abs_tol=_TOLERANCE) for a, b in zip(said, right, strict=True)
            ):
                raise VerificationError(
                    f"{arm.name}: {metric.name} is {metric.value}, the predictions give {right[0]}",
                    where=str(folder),
                    fix=_FIX,
                )
