"""A result: `result.json` with every number and its conditions, and `predictions.parquet`, from which they follow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.baselines.base import BaselineRecord
from synrs_data.evaluate.benchmark import Benchmark, BenchmarkId, MetricName, Part, Sha256
from synrs_data.evaluate.statistics import LEVEL, REPLICATES, STATISTICS, count, interval, per_class
from synrs_data.shards.table import write_table
from synrs_data.vocabulary import explain

RESULT, PREDICTIONS = "result.json", "predictions.parquet"

SCHEMA_VERSION = 1

COLUMNS = {"key": pl.String(), "label": pl.Int64(), "predicted": pl.Int64(), "scores": pl.List(pl.Float32)}
"""Of the predictions: the item, the index of its class and of the predicted one, a score a class."""


class Interval(Part):
    """How sure a value is, and how that was found.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Share of replicates inside.
        method: Percentile bootstrap over items.
        replicates: Number of resamples.
        seed: Of the resampling.
    """

    low: float
    high: float
    level: float = LEVEL
    method: Literal["percentile-bootstrap-items"] = "percentile-bootstrap-items"
    replicates: int = Field(REPLICATES, ge=1, le=100_000)
    seed: int = Field(ge=0)


class MetricValue(Part):
    """A metric of a benchmark, in 0 to 1."""

    name: MetricName
    direction: Literal["higher", "lower"]
    value: float
    interval: Interval
    chance: float


class BenchmarkRecord(Part):
    """Which benchmark, in which version."""

    id: BenchmarkId
    version: int


class PredictionsRecord(Part):
    """The file of predictions."""

    file: Literal["predictions.parquet"] = "predictions.parquet"
    sha256: Sha256
    rows: int


class Result(Part):
    """What a baseline reached on a benchmark.

    Attributes:
        schema_version: Of this file.
        task_hash: `Benchmark.task_hash`.
        benchmark: Name and version.
        baseline: What was evaluated.
        environment: Device, and versions of Python and packages.
        seeds: By what they are for.
        n: Number of items.
        metrics: Those of the benchmark, in its order.
        per_class: Share that is right by class name; None for a class without an item.
        predictions: Where they are.
        wall_seconds: How long scoring took.
    """

    schema_version: Literal[1] = 1
    task_hash: Sha256
    benchmark: BenchmarkRecord
    baseline: BaselineRecord
    environment: dict[str, str]
    seeds: dict[str, int]
    n: int
    metrics: tuple[MetricValue, ...]
    per_class: dict[str, float | None]
    predictions: PredictionsRecord
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """What follows from labels and predictions."""

    metrics: tuple[MetricValue, ...]
    per_class: dict[str, float | None]


def compute(
    benchmark: Benchmark,
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Numbers:
    """Return every number of a result.

    Args:
        benchmark: Which metrics, of how many classes.
        labels: Class of each item, (n,).
        predicted: Predicted class of each item, (n,).
        seed: Of the bootstrap.
        replicates: Of the bootstrap.
    """
    classes = len(benchmark.classes)
    right = labels == predicted
    counts = count(labels, right, classes)
    metrics = []
    for metric in benchmark.metrics:
        statistic = STATISTICS[metric.name]
        low, high = interval(labels, right, classes, statistic, seed=seed, replicates=replicates)
        metrics.append(
            MetricValue(
                name=metric.name,
                direction=metric.direction,
                value=float(statistic(counts)),
                interval=Interval(low=low, high=high, replicates=replicates, seed=seed),
                chance=metric.chance,
            )
        )
    rates = (None if np.isnan(rate) else float(rate) for rate in per_class(counts))
    return Numbers(tuple(metrics), dict(zip(benchmark.class_names, rates, strict=True)))


def predictions_table(
    keys: tuple[str, ...], labels: NDArray[np.int64], scores: NDArray[np.float32]
) -> pl.DataFrame:
    """Return the table of predictions; of equal scores the first class wins."""
    values = [list(keys), labels, scores.argmax(axis=1), scores.tolist()]
    return pl.DataFrame(
        {name: pl.Series(column, dtype=COLUMNS[name]) for name, column in zip(COLUMNS, values, strict=True)}
    )


def write_predictions(folder: Path, table: pl.DataFrame) -> PredictionsRecord:
    """Write the predictions, and take away a result that belonged to earlier ones."""
    files.make_folder(folder)
    files.remove(folder / RESULT)
    write_table(folder / PREDICTIONS, table)
    return PredictionsRecord(sha256=files.sha256(folder / PREDICTIONS), rows=table.height)


def write_result(folder: Path, result: Result) -> None:
    """Write `result.json`; it comes last, so a folder with one is whole."""
    files.write_text(folder / RESULT, result.model_dump_json(indent=2) + "\n")


def result_folder(path: Path) -> Path:
    """Return the folder of a result that is named by its folder or by its `result.json`."""
    return path.parent if path.name == RESULT and not path.is_dir() else path


def read_result(path: Path) -> Result:
    """Read a result by its folder or file.

    Raises:
        UserError: There is none.
        VerificationError: It is damaged, or of another version.
    """
    file = result_folder(path) / RESULT
    if not files.exists(file) or not file.is_file():
        raise UserError(
            "there is no result", where=str(file), fix="give a folder that `synrs-data eval run` has written"
        )
    try:
        return Result.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise VerificationError(
            f"is no result of schema version {SCHEMA_VERSION}: {explain(error, Result)}",
            where=str(file),
            fix="run `synrs-data eval run` again",
        ) from error
