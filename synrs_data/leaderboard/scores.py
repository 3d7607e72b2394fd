"""Results of every ranked task, and what is paired when two of their arms are compared.

Of classification it is whether each prediction is right; of super-resolution the values of each image.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from synrs_data.evaluate.parts import canonical_digest
from synrs_data.evaluate.results import ArmValue, Result
from synrs_data.evaluate.statistics import STATISTICS, paired_mean_difference, paired_over_seeds
from synrs_data.evaluate.super_resolution.results import TASK, PairArm, SuperResolutionResult
from synrs_data.evaluate.super_resolution.values import matrix

AnyResult = Result | SuperResolutionResult

Triple = tuple[float, float, float]
"""A difference and the ends of its 95 % interval."""


class _Task(BaseModel):
    model_config = ConfigDict(extra="ignore")
    task: str


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")
    benchmark: _Task


@dataclass(frozen=True, slots=True)
class Values:
    """What an arm's first metric is computed from.

    Attributes:
        metric: Name of it.
        seeds: Of the rows.
        rows: Whether each prediction is right, or the value of each image; (seeds, n).
        labels: Class of each item, (n,); None for values.
        classes: Number of classes; 0 for values.
    """

    metric: str
    seeds: tuple[int, ...]
    rows: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    classes: int


def model_of(content: bytes) -> type[Result] | type[SuperResolutionResult]:
    """Return the model of a `result.json` by the task that it names; that of classification where it names none."""
    try:
        return SuperResolutionResult if _Said.model_validate_json(content).benchmark.task == TASK else Result
    except ValidationError:
        return Result


def arms_of(result: AnyResult) -> tuple[ArmValue | PairArm, ...]:
    """Return the arms of a result."""
    return result.arms


def classifier_of(result: AnyResult) -> str:
    """Return what tells classifiers or networks apart: weights, preprocessing, and the protocol with its options.

    The same values as `evaluate.compare_inputs.classifier_id`, of results of every task.
    """
    baseline = result.baseline
    return canonical_digest(
        {
            "method": baseline.method,
            "weights": baseline.weights_sha256 or baseline.model,
            "preprocessing": baseline.preprocessing,
            "protocol": result.protocol.model_dump(mode="json"),
        }
    )


def values_of(content: bytes, result: AnyResult, arm: int) -> Values:
    """Return what an arm's first metric is computed from.

    Args:
        content: Verified predictions.
        result: Theirs.
        arm: Position of the arm.
    """
    said = result.arms[arm]
    metric = said.metrics[0].name
    if isinstance(result, SuperResolutionResult):
        table = pl.read_parquet(io.BytesIO(content))
        values = matrix(table, result.baseline.name, said.name, metric)
        return Values(metric, tuple(sorted(result.seeds)), values, None, 0)
    table = pl.read_parquet(io.BytesIO(content), columns=["label", "predicted"])
    labels = table["label"].to_numpy()[: result.n].copy()
    shape = (len(result.arms), len(result.seeds), result.n)
    right = table["predicted"].to_numpy().reshape(shape)[arm] == labels
    return Values(metric, result.seeds, right.astype(np.float64), labels, len(result.arms[arm].per_class))


def difference(first: Values, second: Values, *, seed: int) -> Triple | None:
    """Return how an arm differs from another on the same items, over the seeds that both have; None without any.

    Args:
        first: An arm.
        second: Another one of the same benchmark and metric.
        seed: Of the bootstrap.
    """
    seeds = sorted(set(first.seeds) & set(second.seeds))
    if not seeds:
        return None
    one = first.rows[[first.seeds.index(each) for each in seeds]]
    two = second.rows[[second.seeds.index(each) for each in seeds]]
    if np.array_equal(one, two, equal_nan=True):
        return 0.0, 0.0, 0.0
    if first.labels is None:
        # Of infinite values, as PSNR has of equal images, there is no mean.
        kept = np.isfinite(one).all(axis=0) & np.isfinite(two).all(axis=0)
        if not kept.any():
            return None
        found = paired_mean_difference(
            np.ascontiguousarray(one[:, kept]), np.ascontiguousarray(two[:, kept]), seed=seed
        )
    else:
        statistic = STATISTICS[first.metric]
        found = paired_over_seeds(first.labels, one > 0, two > 0, first.classes, statistic, seed=seed)
    return found.value, found.low, found.high
