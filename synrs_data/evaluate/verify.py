"""Compute a result again from its predictions and the pinned benchmark, and name every difference.

What this finds: any number that does not follow from the predictions; predictions of other items, or with other labels
or classes than the benchmark's; bytes that are not those of the digest. What it cannot find without running the model
again: scores that were made up and whose digest was made anew.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.arms import parse_arm, sizes
from synrs_data.evaluate.baselines.base import in_domain
from synrs_data.evaluate.benchmark import Classification, Retrieval
from synrs_data.evaluate.data import Known, known_data, pinned_content
from synrs_data.evaluate.items import Items, row_keys
from synrs_data.evaluate.numbers import Numbers, compute
from synrs_data.evaluate.parts import Part, SavedFeatures, labels_digest
from synrs_data.evaluate.results import (
    COLUMNS,
    SCORES,
    ZERO_SHOT,
    ArmValue,
    Bootstrap,
    Counts,
    MetricValue,
    PredictionsRecord,
    Result,
    read_result,
    result_folder,
)

_TOLERANCE = 1e-9
"""Between releases of numpy the last bits of a mean may differ."""

_SHOWN = 3

_MOST = 3
"""Times the wanted rows of predictions that are read to say what is wrong with them."""

About = Literal["record", "table", "digest", "items", "labels", "values", "numbers"]
"""What a fault is in: the result's own record; the file of predictions, its sha256, or of its rows the items, their
labels and the predicted values; or the numbers that should follow from them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as predictions and benchmark say: a sentence, and what it is about."""

    about: About
    text: str


def differences(path: Path, benchmark: Classification | Retrieval, data: str | None = None) -> Iterator[str]:
    """Yield what of a result is not as its predictions and the benchmark say, a sentence each.

    Args:
        path: Folder of the result, or its `result.json`.
        benchmark: The one that the result names.
        data: Where the images lie, if a rule and no pinned table says what the test is; of retrieval with captions.

    Raises:
        UserError: There is no result, or the benchmark's data are missing.
        VerificationError: `result.json` cannot be read.
    """
    yield from (fault.text for fault in find_faults(path, benchmark, data))


def find_faults(
    path: Path, benchmark: Classification | Retrieval, data: str | None = None
) -> Iterator[Fault]:
    """Yield the same with what each is about; see `differences`."""
    if isinstance(benchmark, Retrieval):
        # It takes from this module what faults of both tasks have in common.
        from synrs_data.evaluate.retrieval_verify import find_retrieval_faults

        yield from find_retrieval_faults(path, benchmark, data)
        return
    result = read_result(path)
    known, content = None, pinned_content(benchmark)
    if not isinstance(benchmark.dataset, SavedFeatures):
        known = known_data(benchmark, data)
        content = known.content
    items = known.items if known else None
    pinned = pinned_content(benchmark) is not None
    yield from about("record", record_faults(result, benchmark, content, pinned=pinned))
    yield from about("record", _arms(result, known))
    columns = COLUMNS | SCORES if result.protocol.name == ZERO_SHOT else COLUMNS
    dataset = benchmark.dataset
    n = dataset.count if isinstance(dataset, SavedFeatures) else len(items.keys) if items else 0
    most = _MOST * n * len(result.arms) * len(result.seeds)
    table, faults = read_predictions(result_folder(path), result.predictions, columns, most)
    yield from faults
    if table is None:
        return
    faults = [*about("items", _blocks(table, result)), *_rows(table, benchmark, items)]
    yield from faults
    if not faults:
        yield from about("numbers", _numbers(table, result, benchmark))


def about(what: About, texts: Iterable[str]) -> Iterator[Fault]:
    """Yield faults that are about the same."""
    yield from (Fault(what, text) for text in texts)


def record_faults(
    result: Result, benchmark: Classification | Retrieval, content: str | None, *, pinned: bool
) -> Iterator[str]:
    """Yield what of the result's own record is not the benchmark's or its data's.

    Args:
        result: As written.
        benchmark: The one that it names.
        content: Digest of the benchmark's data.
        pinned: Whether the benchmark fixes that digest.
    """
    if (result.benchmark.id, result.benchmark.version) != (benchmark.id, benchmark.version):
        yield (
            f"the result is of '{result.benchmark.id}' version {result.benchmark.version}, this benchmark is "
            f"'{benchmark.id}' version {benchmark.version}"
        )
    if result.task_hash != benchmark.task_hash:
        yield f"the task hash is {result.task_hash}, that of the benchmark is {benchmark.task_hash}"
    if result.dataset.content_sha256 != content:
        yield f"the content hash is {result.dataset.content_sha256}, that of the benchmark's data is {content}"
    if result.dataset.pinned != pinned:
        yield f"dataset.pinned is {result.dataset.pinned}, of this benchmark it is {pinned}"
    wanted = in_domain(result.baseline.trained_on, benchmark)
    if result.baseline.in_domain != wanted:
        yield f"in_domain is {result.baseline.in_domain}, by `trained_on` it is {wanted}"
    usual = Bootstrap(seed=result.bootstrap.seed)
    if isinstance(benchmark, Retrieval):
        usual = Bootstrap(method="percentile-bootstrap-images", seed=usual.seed)
    for name in ("method", "level", "replicates"):
        if (ours := getattr(result.bootstrap, name)) != (theirs := getattr(usual, name)):
            yield f"bootstrap.{name} is {ours}, not {theirs}"


def _arms(result: Result, known: Known | None) -> Iterator[str]:
    """Yield which arms are no arms of the protocol, or were trained on other numbers of images than they should be."""
    names = [arm.name for arm in result.arms]
    if (result.protocol.name == ZERO_SHOT) != (names == [ZERO_SHOT]):
        yield f"the protocol is {result.protocol.name}, the arms are {', '.join(names)}"
        return
    if len(set(names)) < len(names):
        yield f"an arm comes twice: {', '.join(names)}"
    if len(set(result.seeds)) < len(result.seeds):
        yield f"a seed comes twice: {', '.join(map(str, result.seeds))}"
    if known is not None:
        found = {"train": sum(known.train), "validation": sum(known.validation), "captions": 0}
        found |= {"left_out": known.left_out}
        yield from _unequal("dataset", result.dataset, found)
    if names == [ZERO_SHOT]:
        if result.seeds != (0,):
            yield f"zero-shot has the one seed 0, not {', '.join(map(str, result.seeds))}"
        yield from _unequal("counts", result.arms[0].counts, dict.fromkeys(Counts.model_fields, 0))
        return
    for arm in result.arms:
        yield from _counts(arm, result, known)


def _counts(arm: ArmValue, result: Result, known: Known | None) -> Iterator[str]:
    try:
        parsed = parse_arm(arm.name)
    except UserError as error:
        yield error.what
        return
    counts, synthetic = arm.counts, result.synthetic
    if parsed.needs_synthetic and synthetic is None:
        yield f"the arm '{arm.name}' has synthetic images, the result names no synthetic set"
    if known is not None:
        wanted = asdict(sizes(parsed, known.train, known.validation))
        yield from _unequal(f"{arm.name}: counts", counts, wanted)
    if parsed.kind == "synthetic" and synthetic is not None:
        used = counts.synthetic + counts.validation
        if used > synthetic.images or (parsed.shots is None and used != synthetic.images):
            yield f"the arm '{arm.name}' has {used} of {synthetic.images} synthetic images"


def _unequal(place: str, said: Part, wanted: Mapping[str, int | None]) -> Iterator[str]:
    """Yield which numbers of a record are not those that are known."""
    for name, value in wanted.items():
        if value is not None and (found := getattr(said, name)) != value:
            yield f"{place}.{name} is {found}, not {value}"


def read_predictions(
    folder: Path, record: PredictionsRecord, columns: Mapping[str, pl.DataType], most: int | None = None
) -> tuple[pl.DataFrame | None, list[Fault]]:
    """Return the predictions of a result, None if they cannot be read, and what is wrong with their file.

    Args:
        folder: Of the result.
        record: What it says of the file.
        columns: Names and types that the table has to have.
        most: More rows than these are not read: a small file can hold more than fit in memory. None for any number.
    """
    path = folder / record.file
    try:
        content = path.read_bytes()
        rows = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
        if most is not None and rows > most:
            return None, [
                Fault("items", f"{path.name}: has {rows} rows, far more than arms, seeds and items")
            ]
        table = pl.read_parquet(io.BytesIO(content))
    # What is no whole parquet file makes polars panic, too.
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = error.strerror if isinstance(error, OSError) else (str(error).splitlines() or [""])[0]
        return None, [Fault("table", f"{path.name}: cannot be read: {reason}")]
    if dict(table.schema) != columns:
        text = f"{path.name}: has the columns {dict(table.schema)}, not {columns}"
        return None, [Fault("table", text)]
    if empty := [name for name in columns if table[name].has_nulls()]:
        return None, [Fault("table", f"{path.name}: has empty values in {', '.join(empty)}")]
    found = hashlib.sha256(content).hexdigest()
    if found != record.sha256:
        text = f"{path.name} has the sha256 {found}, the result says {record.sha256}"
        return table, [Fault("digest", text)]
    return table, []


def _blocks(table: pl.DataFrame, result: Result) -> Iterator[str]:
    """Yield which arms and seeds the predictions do not have as the result says."""
    pairs = table.select("arm", "seed").unique(maintain_order=True).rows()
    wanted = [(arm.name, seed) for arm, seed in product(result.arms, result.seeds)]
    there, named = set(pairs), set(wanted)
    for what, names in (
        ("there are no predictions of", [pair for pair in wanted if pair not in there]),
        ("the result does not name", [pair for pair in pairs if pair not in named]),
    ):
        yield from some(what, [f"{arm} seed {seed}" for arm, seed in names])
    changes = table.select(pl.struct("arm", "seed").rle_id().max()).item() if table.height else -1
    if sorted(pairs) == sorted(wanted) and (pairs != wanted or changes + 1 != len(wanted)):
        yield "the predictions are not in the order of the result's arms and seeds"


def _rows(table: pl.DataFrame, benchmark: Classification, items: Items | None) -> Iterator[Fault]:
    """Yield which rows are not the benchmark's items, or contradict themselves; of many blocks each fault once."""
    seen = dict[Fault, None]()
    for block in table.partition_by("arm", "seed", maintain_order=True):
        seen |= dict.fromkeys(_block(block, benchmark, items))
    yield from seen


def _block(table: pl.DataFrame, benchmark: Classification, items: Items | None) -> Iterator[Fault]:
    keys, labels = table["key"].to_list(), table["label"].to_numpy()
    yield from _labels(keys, labels, benchmark, items)
    yield from about("values", _values(table, keys, len(benchmark.classes)))


def _values(table: pl.DataFrame, keys: list[str], classes: int) -> Iterator[str]:
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    for name, values in (("label", labels), ("predicted", predicted)):
        outside = ~np.isin(values, np.arange(classes))
        yield from some(f"{name} is no index of the {classes} classes", _at(keys, outside))
    if "scores" not in table.columns:
        return
    lengths = np.asarray(table["scores"].list.len().to_numpy() != classes, dtype=np.bool_)
    yield from some(f"there are not {classes} scores", _at(keys, lengths))
    if not lengths.any() and len(keys):
        scores = np.array(table["scores"].to_list(), dtype=np.float32)
        finite = np.asarray(np.isfinite(scores).all(axis=1), dtype=np.bool_)
        yield from some("a score is not a finite number", _at(keys, ~finite))
        other = finite & (scores.argmax(axis=1) != predicted)
        yield from some("predicted is not the class of the highest score", _at(keys, other))


def _labels(
    keys: list[str], labels: NDArray[np.int64], benchmark: Classification, items: Items | None
) -> Iterator[Fault]:
    """Yield which items, or labels of items, are not the benchmark's."""
    if items is None:
        dataset = benchmark.dataset
        assert isinstance(dataset, SavedFeatures)
        wanted = row_keys(dataset.count)
        yield from about("items", key_faults(keys, wanted))
        found = labels_digest(benchmark.class_names, labels.tolist())
        if keys == list(wanted) and found != dataset.labels_sha256:
            text = f"the labels are not the benchmark's: the sha256 is {found}, not {dataset.labels_sha256}"
            yield Fault("labels", text)
        return
    yield from about("items", key_faults(keys, items.keys))
    truth = dict(zip(items.keys, items.labels.tolist(), strict=True))
    wrong = [key for key, label in zip(keys, labels, strict=True) if truth.get(key, label) != label]
    yield from about("labels", some("label is not the benchmark's", wrong))


def key_faults(keys: list[str], wanted: tuple[str, ...]) -> Iterator[str]:
    """Yield which keys are missing, unknown or repeated, or that they are in another order."""
    known, seen = set(wanted), set(keys)
    yield from some("is missing", [key for key in wanted if key not in seen])
    yield from some("is no item of the benchmark", [key for key in seen if key not in known])
    if len(seen) < len(keys):
        counted = pl.Series(keys).value_counts()
        name = counted.columns[0]
        yield from some("comes more than once", sorted(counted.filter(pl.col("count") > 1)[name].to_list()))
    elif seen == known and keys != list(wanted):
        yield "the items are not in the benchmark's order"


def _numbers(table: pl.DataFrame, result: Result, benchmark: Classification) -> Iterator[str]:
    """Yield every number of the result that is not what the predictions give."""
    n = table.height // (len(result.arms) * len(result.seeds))
    for what, number, found in (
        ("n", result.n, n),
        ("dataset.test", result.dataset.test, n),
        ("predictions.rows", result.predictions.rows, table.height),
    ):
        if number != found:
            yield f"{what} is {number}, there are {found} predictions"
    cube = table["predicted"].to_numpy().reshape(len(result.arms), len(result.seeds), n)
    predicted = {arm.name: cube[index] for index, arm in enumerate(result.arms)}
    numbers = compute(benchmark, table["label"].to_numpy()[:n], predicted, result.bootstrap)
    for arm in result.arms:
        place = "" if result.protocol.name == ZERO_SHOT else f"{arm.name}: "
        yield from (f"{place}{fault}" for fault in _arm(arm, numbers[arm.name]))


def _arm(said: ArmValue, numbers: Numbers) -> Iterator[str]:
    names = [metric.name for metric in said.metrics], [metric.name for metric in numbers.metrics]
    if names[0] != names[1]:
        yield f"metrics are {', '.join(names[0])}, those of the benchmark are {', '.join(names[1])}"
    else:
        for ours, theirs in zip(said.metrics, numbers.metrics, strict=True):
            yield from metric_faults(ours, theirs)
    if list(said.per_class) != list(numbers.per_class):
        yield f"per_class has the classes {list(said.per_class)}, not {list(numbers.per_class)}"
        return
    for name, value in numbers.per_class.items():
        if not equal(said.per_class[name], value):
            yield f"per_class.{name} is {said.per_class[name]}, the predictions give {value}"


def metric_faults(said: MetricValue, found: MetricValue) -> Iterator[str]:
    """Yield which numbers of a metric are not those that were found."""
    for name in ("direction", "chance"):
        if (ours := getattr(said, name)) != (theirs := getattr(found, name)):
            yield f"{said.name}.{name} is {ours}, not {theirs}"
    if len(said.per_seed) != len(found.per_seed):
        yield f"{said.name}.per_seed has {len(said.per_seed)} values, not {len(found.per_seed)}"
    if (said.difference and said.difference.to) != (found.difference and found.difference.to):
        yield f"{said.name}.difference is to another arm than it should be"
        return
    said_numbers, found_numbers = _flat(said), _flat(found)
    for name, value in found_numbers.items():
        if name in said_numbers and not equal(said_numbers[name], value):
            yield f"{said.name}.{name} is {said_numbers[name]}, the predictions give {value}"


def _flat(metric: MetricValue) -> dict[str, float]:
    """Return every computed number of a metric by its path."""
    found = {
        "value": metric.value,
        "interval.low": metric.interval.low,
        "interval.high": metric.interval.high,
        **{f"per_seed.{index}": value for index, value in enumerate(metric.per_seed)},
    }
    if metric.difference is not None:
        found |= {
            "difference.value": metric.difference.value,
            "difference.interval.low": metric.difference.interval.low,
            "difference.interval.high": metric.difference.interval.high,
            "difference.above_zero": metric.difference.above_zero,
        }
    return found


def equal(first: float | None, second: float | None) -> bool:
    """Return whether two numbers of a result are one, but for its last bits."""
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=0, abs_tol=_TOLERANCE)


def _at(keys: list[str], mask: NDArray[np.bool_]) -> list[str]:
    return [key for key, hit in zip(keys, mask, strict=True) if hit]


def some(what: str, keys: list[str]) -> Iterator[str]:
    """Yield one sentence for all the items that share a fault, if any do."""
    if keys:
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        yield f"{what}: {', '.join(sorted(keys)[:_SHOWN])}{more}"
