"""A result of super-resolution: `result.json` with every number and its conditions, beside the table of values.

`predictions.parquet` is the table of `values`: a row for each arm, seed and image. `outputs`, if they are kept, has a
tar for each arm and seed, as `values.measure` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.baselines.base import BaselineRecord
from synrs_data.evaluate.data import DatasetRecord
from synrs_data.evaluate.parts import Direction, Part, Sha256
from synrs_data.evaluate.results import (
    RESULT,
    BenchmarkRecord,
    Bootstrap,
    DifferenceValue,
    Interval,
    PredictionsRecord,
    ProtocolRecord,
    named_task,
    result_folder,
)
from synrs_data.evaluate.super_resolution.synthetic_pairs import PairsRecord
from synrs_data.vocabulary import explain

OUTPUTS = "outputs"

TASK = "super-resolution"


class PairCounts(Part):
    """Pairs that an arm was trained on, and their high-resolution pixels.

    Pairs differ in size: by pixels a ratio can be another one than by pairs. Every crop comes from a pair that is drawn
    with equal chance, so pairs say how often each kind was seen.

    Attributes:
        real: Real pairs, the same number for every seed.
        synthetic: Synthetic pairs.
        real_pixels: High-resolution pixels of the real pairs, mean over seeds.
        synthetic_pixels: Of the synthetic ones.
    """

    real: int = Field(0, ge=0)
    synthetic: int = Field(0, ge=0)
    real_pixels: int = Field(0, ge=0)
    synthetic_pixels: int = Field(0, ge=0)


class ImageMetricValue(Part):
    """A metric of a benchmark.

    Attributes:
        name: Its id.
        direction: Whether a higher or a lower value is better.
        value: Mean over seeds and images; None where it is defined for no image.
        per_seed: Mean over images of each seed, in the result's order.
        interval: Of the mean, over other seeds and other images.
        n: Images; those for which the metric is not defined with some seed are left out.
        difference: To the arm of real pairs alone; None for that arm and where there is none.
    """

    name: str
    direction: Direction
    value: float | None
    per_seed: tuple[float, ...]
    interval: Interval | None
    n: int = Field(ge=0)
    difference: DifferenceValue | None = None


class PairArm(Part):
    """What an arm reached.

    Attributes:
        name: The arm as written; "zero-shot" of baselines that train nothing here.
        counts: What it was trained on.
        metrics: Those of the benchmark, in its order.
    """

    name: str
    counts: PairCounts
    metrics: tuple[ImageMetricValue, ...]


class MetricConfiguration(Part):
    """How a metric is computed; see `metrics.MetricRecord`."""

    name: str
    unit: str
    configuration: dict[str, Any]


class OutputsRecord(Part):
    """The kept outputs of an arm and a seed."""

    file: str = Field(pattern=r"^outputs/[A-Za-z0-9@.-]+\.tar$")
    arm: str
    seed: int
    sha256: Sha256


class SuperResolutionResult(Part):
    """What a baseline reached on a benchmark of super-resolution.

    Attributes:
        schema_version: Of this file.
        task_hash: `Benchmark.task_hash`.
        benchmark: Name, version and task.
        dataset: Which data were found, by hash.
        baseline: What was evaluated.
        protocol: "zero-shot", or "pair-training" with the options of `TrainingOptions`.
        metrics: How each metric is computed.
        synthetic: The synthetic pairs; None without any.
        environment: Device, and versions of Python and packages.
        seeds: Of the arms; zero-shot has the one seed 0, which decides nothing.
        bootstrap: Of the intervals.
        n: Number of test images.
        arms: In the order of the run.
        predictions: Where the values of every image are.
        outputs: The images that were made, if they are kept.
        wall_seconds: How long the run took, without what an earlier, interrupted run had done.
    """

    schema_version: Literal[2] = 2
    task_hash: Sha256
    benchmark: BenchmarkRecord
    dataset: DatasetRecord
    baseline: BaselineRecord
    protocol: ProtocolRecord
    metrics: tuple[MetricConfiguration, ...]
    synthetic: PairsRecord | None
    environment: dict[str, str]
    seeds: tuple[int, ...] = Field(min_length=1)
    bootstrap: Bootstrap
    n: int
    arms: tuple[PairArm, ...] = Field(min_length=1)
    predictions: PredictionsRecord
    outputs: tuple[OutputsRecord, ...] = ()
    wall_seconds: float


def super_resolution_schema() -> dict[str, Any]:
    """Return the JSON Schema of `result.json` of this task."""
    return SuperResolutionResult.model_json_schema()


def write_super_resolution(folder: Path, result: SuperResolutionResult) -> None:
    """Write `result.json`; it comes last, so a folder with one is whole."""
    files.write_text(folder / RESULT, result.model_dump_json(indent=2) + "\n")


def is_super_resolution(path: Path) -> bool:
    """Return whether a folder or file holds a result of this task, damaged or not."""
    return named_task(result_folder(path) / RESULT) == TASK


def read_super_resolution(path: Path) -> SuperResolutionResult:
    """Read a result by its folder or file.

    Raises:
        UserError: There is none.
        VerificationError: It is damaged, or of another version or task.
    """
    file = result_folder(path) / RESULT
    if not files.exists(file) or not file.is_file():
        raise UserError(
            "there is no result", where=str(file), fix="give a folder that `synrs-data eval run` has written"
        )
    try:
        return SuperResolutionResult.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise VerificationError(
            f"is no result of super-resolution: {explain(error, SuperResolutionResult)}",
            where=str(file),
            fix="run `synrs-data eval run` again",
        ) from error
