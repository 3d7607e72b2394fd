"""Compute a result again from its predictions and the pinned benchmark, and name every difference.

What this finds: any number that does not follow from the predictions; predictions of other items, or with other labels
or classes than the benchmark's; bytes that are not those of the digest. What it cannot find without running the model
again: scores that were made up and whose digest was made anew.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.errors import VerificationError
from synrs_data.evaluate.baselines.base import in_domain
from synrs_data.evaluate.benchmark import Benchmark, SavedFeatures, labels_digest
from synrs_data.evaluate.items import read_items, row_keys
from synrs_data.evaluate.results import COLUMNS, Numbers, Result, compute, read_result, result_folder
from synrs_data.evaluate.statistics import REPLICATES

_TOLERANCE = 1e-9
"""Between releases of numpy the last bits of a mean may differ."""

_SHOWN = 3


def differences(path: Path, benchmark: Benchmark) -> Iterator[str]:
    """Yield what of a result is not as its predictions and the benchmark say, a sentence each.

    Args:
        path: Folder of the result, or its `result.json`.
        benchmark: The one that the result names.

    Raises:
        UserError: There is no result, or the benchmark's data are missing.
        VerificationError: `result.json` cannot be read.
    """
    result = read_result(path)
    yield from _record(result, benchmark)
    try:
        table = _predictions(result_folder(path), result)
    except VerificationError as error:
        yield str(error)
        return
    content = result_folder(path) / result.predictions.file
    found = hashlib.sha256(content.read_bytes()).hexdigest()
    if found != result.predictions.sha256:
        yield f"{result.predictions.file} has the sha256 {found}, the result says {result.predictions.sha256}"
    faults = list(_rows(table, benchmark))
    yield from faults
    if not faults:
        yield from _numbers(table, result, benchmark)


def _record(result: Result, benchmark: Benchmark) -> Iterator[str]:
    """Yield what of the result's own record is not the benchmark's."""
    if (result.benchmark.id, result.benchmark.version) != (benchmark.id, benchmark.version):
        yield (
            f"the result is of '{result.benchmark.id}' version {result.benchmark.version}, this benchmark is "
            f"'{benchmark.id}' version {benchmark.version}"
        )
    if result.task_hash != benchmark.task_hash:
        yield f"the task hash is {result.task_hash}, that of the benchmark is {benchmark.task_hash}"
    wanted = in_domain(result.baseline.trained_on, benchmark)
    if result.baseline.in_domain != wanted:
        yield f"in_domain is {result.baseline.in_domain}, by `trained_on` it is {wanted}"


def _predictions(folder: Path, result: Result) -> pl.DataFrame:
    path = folder / result.predictions.file
    try:
        table = pl.read_parquet(io.BytesIO(path.read_bytes()))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise VerificationError(f"cannot be read: {reason}", where=path.name) from error
    if dict(table.schema) != COLUMNS:
        raise VerificationError(f"has the columns {dict(table.schema)}, not {COLUMNS}", where=path.name)
    if empty := [name for name in COLUMNS if table[name].has_nulls()]:
        raise VerificationError(f"has empty values in {', '.join(empty)}", where=path.name)
    return table


def _rows(table: pl.DataFrame, benchmark: Benchmark) -> Iterator[str]:
    """Yield which rows are not the benchmark's items, or contradict themselves."""
    keys, classes = table["key"].to_list(), len(benchmark.classes)
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    yield from _labels(keys, labels, benchmark)
    for name, values in (("label", labels), ("predicted", predicted)):
        outside = ~np.isin(values, np.arange(classes))
        yield from _some(f"{name} is no index of the {classes} classes", _at(keys, outside))
    lengths = np.asarray(table["scores"].list.len().to_numpy() != classes, dtype=np.bool_)
    yield from _some(f"there are not {classes} scores", _at(keys, lengths))
    if not lengths.any() and len(keys):
        scores = np.array(table["scores"].to_list(), dtype=np.float32)
        finite = np.asarray(np.isfinite(scores).all(axis=1), dtype=np.bool_)
        yield from _some("a score is not a finite number", _at(keys, ~finite))
        other = finite & (scores.argmax(axis=1) != predicted)
        yield from _some("predicted is not the class of the highest score", _at(keys, other))


def _labels(keys: list[str], labels: NDArray[np.int64], benchmark: Benchmark) -> Iterator[str]:
    """Yield which items, or labels of items, are not the benchmark's."""
    dataset = benchmark.dataset
    if isinstance(dataset, SavedFeatures):
        wanted = row_keys(dataset.count)
        yield from _keys(keys, wanted)
        found = labels_digest(benchmark.class_names, labels.tolist())
        if keys == list(wanted) and found != dataset.labels_sha256:
            yield f"the labels are not the benchmark's: the sha256 is {found}, not {dataset.labels_sha256}"
        return
    items = read_items(benchmark, dataset)
    yield from _keys(keys, items.keys)
    truth = dict(zip(items.keys, items.labels.tolist(), strict=True))
    wrong = [key for key, label in zip(keys, labels, strict=True) if truth.get(key, label) != label]
    yield from _some("label is not the benchmark's", wrong)


def _keys(keys: list[str], wanted: tuple[str, ...]) -> Iterator[str]:
    known, seen = set(wanted), set(keys)
    yield from _some("is missing", [key for key in wanted if key not in seen])
    yield from _some("is no item of the benchmark", [key for key in seen if key not in known])
    if len(seen) < len(keys):
        counted = pl.Series(keys).value_counts()
        name = counted.columns[0]
        yield from _some("comes more than once", sorted(counted.filter(pl.col("count") > 1)[name].to_list()))
    elif seen == known and keys != list(wanted):
        yield "the items are not in the benchmark's order"


def _numbers(table: pl.DataFrame, result: Result, benchmark: Benchmark) -> Iterator[str]:
    """Yield every number of the result that is not what the predictions give."""
    for what, number in (("n", result.n), ("predictions.rows", result.predictions.rows)):
        if number != table.height:
            yield f"{what} is {number}, there are {table.height} predictions"
    seed = result.seeds.get("bootstrap")
    if seed is None or seed < 0 or set(result.seeds) != {"bootstrap"}:
        yield f"seeds are {result.seeds}, not those of `bootstrap` alone"
        return
    numbers = compute(benchmark, table["label"].to_numpy(), table["predicted"].to_numpy(), seed=seed)
    yield from _metrics(result, numbers)
    if list(result.per_class) != list(numbers.per_class):
        yield f"per_class has the classes {list(result.per_class)}, not {list(numbers.per_class)}"
        return
    for name, value in numbers.per_class.items():
        if not _equal(result.per_class[name], value):
            yield f"per_class.{name} is {result.per_class[name]}, the predictions give {value}"


def _metrics(result: Result, numbers: Numbers) -> Iterator[str]:
    if [metric.name for metric in result.metrics] != [metric.name for metric in numbers.metrics]:
        yield (
            f"metrics are {', '.join(metric.name for metric in result.metrics)}, those of the benchmark are "
            f"{', '.join(metric.name for metric in numbers.metrics)}"
        )
        return
    for said, found in zip(result.metrics, numbers.metrics, strict=True):
        pairs = [
            ("value", said.value, found.value),
            ("interval.low", said.interval.low, found.interval.low),
            ("interval.high", said.interval.high, found.interval.high),
        ]
        for name, ours, theirs in pairs:
            if not _equal(ours, theirs):
                yield f"{said.name}.{name} is {ours}, the predictions give {theirs}"
        fixed = [
            ("direction", said.direction, found.direction),
            ("chance", said.chance, found.chance),
            ("interval.level", said.interval.level, found.interval.level),
            ("interval.replicates", said.interval.replicates, REPLICATES),
            ("interval.seed", said.interval.seed, found.interval.seed),
        ]
        yield from (
            f"{said.name}.{name} is {ours}, not {theirs}" for name, ours, theirs in fixed if ours != theirs
        )


def _equal(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=0, abs_tol=_TOLERANCE)


def _at(keys: list[str], mask: NDArray[np.bool_]) -> list[str]:
    return [key for key, hit in zip(keys, mask, strict=True) if hit]


def _some(what: str, keys: list[str]) -> Iterator[str]:
    """Yield one sentence for all the items that share a fault, if any do."""
    if keys:
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        yield f"{what}: {', '.join(sorted(keys)[:_SHOWN])}{more}"
