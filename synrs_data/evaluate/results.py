"""A result: `result.json` with every number and its conditions, and `predictions.parquet`, from which they follow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, ValidationError

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.baselines.base import BaselineRecord
from synrs_data.evaluate.benchmark import Task
from synrs_data.evaluate.data import DatasetRecord
from synrs_data.evaluate.other_tasks import RetrievalMetricName
from synrs_data.evaluate.parts import BenchmarkId, Direction, MetricName, Part, Sha256
from synrs_data.evaluate.statistics import LEVEL, REPLICATES
from synrs_data.evaluate.synthetic_set import SyntheticRecord
from synrs_data.shards.table import table_bytes
from synrs_data.vocabulary import explain

RESULT, PREDICTIONS = "result.json", "predictions.parquet"

SCHEMA_VERSION = 2

COLUMNS = {
    "arm": pl.String(),
    "seed": pl.Int64(),
    "key": pl.String(),
    "label": pl.Int64(),
    "predicted": pl.Int64(),
}
"""Of the predictions: arm, seed, item, the index of its class and of the predicted one."""

SCORES = {"scores": pl.List(pl.Float32)}
"""Beside them, of zero-shot results: a score a class."""

ZERO_SHOT = "zero-shot"
"""Protocol, and name of the only arm, of results that train nothing."""


class Bootstrap(Part):
    """How every interval of a result was found.

    Attributes:
        method: Percentile bootstrap; each replicate draws seeds and items with replacement, the same for every arm.
            Of retrieval it draws images, each with all of its captions.
        level: Share of replicates inside.
        replicates: Number of resamples.
        seed: Of the resampling.
    """

    method: Literal["percentile-bootstrap-seeds-items", "percentile-bootstrap-images"] = (
        "percentile-bootstrap-seeds-items"
    )
    level: float = LEVEL
    replicates: int = Field(REPLICATES, ge=1, le=100_000)
    seed: int = Field(ge=0)


class Interval(Part):
    """Ends of an interval."""

    low: float
    high: float


class DifferenceValue(Part):
    """How an arm differs from the one of real images alone.

    Attributes:
        to: Name of that arm.
        value: This arm's value less that one's.
        interval: Of the difference, paired by seed and item.
        above_zero: Share of replicates in which the difference is above zero; ties count half.
    """

    to: str
    value: float
    interval: Interval
    above_zero: float = Field(ge=0, le=1)


class MetricValue(Part):
    """A metric of a benchmark, in 0 to 1.

    Attributes:
        name: The metric.
        direction: Whether a higher or a lower value is better.
        value: Mean over seeds.
        per_seed: Value of each seed, in the result's order.
        interval: Of the mean, over other seeds and other items.
        chance: The expected value of guessing evenly.
        difference: To the arm of real images alone; None for that arm and where there is none.
    """

    name: MetricName | RetrievalMetricName
    direction: Direction
    value: float
    per_seed: tuple[float, ...]
    interval: Interval
    chance: float
    difference: DifferenceValue | None = None


class Counts(Part):
    """Images of an arm, equal for every seed.

    Attributes:
        real: Real images to train on.
        synthetic: Synthetic images to train on.
        copies: Altered copies of real images to train on.
        validation: Images that settings were chosen on.
    """

    real: int = Field(0, ge=0)
    synthetic: int = Field(0, ge=0)
    copies: int = Field(0, ge=0)
    validation: int = Field(0, ge=0)


class ArmValue(Part):
    """What an arm reached.

    Attributes:
        name: The arm as written.
        counts: What it was trained on.
        metrics: Those of the benchmark, in its order.
        per_class: Share that is right by class name, mean over seeds; None for a class without an item. Empty of
            tasks without classes.
    """

    name: str
    counts: Counts
    metrics: tuple[MetricValue, ...]
    per_class: dict[str, float | None]


class BenchmarkRecord(Part):
    """Which benchmark, in which version."""

    id: BenchmarkId
    version: int
    task: Task


class ProtocolRecord(Part):
    """How the classifier was made: registered name and every option."""

    name: str
    options: dict[str, Any]


class PredictionsRecord(Part):
    """The file of predictions."""

    file: Literal["predictions.parquet"] = "predictions.parquet"
    sha256: Sha256
    rows: int


class Result(Part):
    """What a baseline reached on a benchmark of classification or retrieval.

    Attributes:
        schema_version: Of this file.
        task_hash: `Benchmark.task_hash`.
        benchmark: Name, version and task.
        dataset: Which data were found, by hash.
        baseline: What was evaluated.
        protocol: How its classifier was made.
        synthetic: The synthetic images; None without any.
        environment: Device, and versions of Python and packages.
        seeds: Of the arms; zero-shot has the one seed 0, which decides nothing.
        bootstrap: Of the intervals.
        n: Number of test items; of retrieval, of images.
        arms: In the order of the run.
        predictions: Where they are.
        wall_seconds: How long the run took, without what an earlier, interrupted run had done.
    """

    schema_version: Literal[2] = 2
    task_hash: Sha256
    benchmark: BenchmarkRecord
    dataset: DatasetRecord
    baseline: BaselineRecord
    protocol: ProtocolRecord
    synthetic: SyntheticRecord | None
    environment: dict[str, str]
    seeds: tuple[int, ...] = Field(min_length=1)
    bootstrap: Bootstrap
    n: int
    arms: tuple[ArmValue, ...] = Field(min_length=1)
    predictions: PredictionsRecord
    wall_seconds: float


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of `result.json`."""
    return Result.model_json_schema()


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a result and keep other runs out of it; what was made and stays empty is taken away again.

    Raises:
        BuildFolderError: It cannot be written, or another run is at work in it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    files.make_folder(folder)
    try:
        with files.FolderLock(
            folder, what="evaluation", fix="wait for it, or choose another `--out`", lasting=False
        ):
            for path in folder.iterdir():
                # Of killed runs; not of other writers, who may share the folder.
                if files.is_temporary(path) and path.name.endswith((RESULT, PREDICTIONS)):
                    files.remove(path)
            yield
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()


def write_predictions(folder: Path, table: pl.DataFrame) -> PredictionsRecord:
    """Write the predictions, and take away a result that belonged to earlier ones once the new ones are on disk."""
    files.make_folder(folder)
    content = table_bytes(table)
    with files.atomic(folder / PREDICTIONS) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        files.remove(folder / RESULT)
    return PredictionsRecord(sha256=hashlib.sha256(content).hexdigest(), rows=table.height)


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
        result = Result.model_validate_json(file.read_bytes())
    except ValidationError as error:
        if named_task(file) == "super-resolution":
            raise UserError(
                "is a result of super-resolution, which is not read here",
                where=str(file),
                fix="give results of classification or retrieval",
            ) from error
        raise VerificationError(
            f"is no result of schema version {SCHEMA_VERSION}: {explain(error, Result)}",
            where=str(file),
            fix="run `synrs-data eval run` again",
        ) from error
    try:
        # Options and settings may be of any type, so pydantic lets NaN and infinity pass there.
        json.dumps(result.model_dump(mode="python"), allow_nan=False)
    except ValueError as error:
        raise VerificationError(
            "has a number that is not finite", where=str(file), fix="run `synrs-data eval run` again"
        ) from error
    return result


def named_task(file: Path) -> str:
    """Return the task that a result names, though it may have no other part; empty where it names none."""
    try:
        return str(json.loads(file.read_bytes())["benchmark"]["task"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""
