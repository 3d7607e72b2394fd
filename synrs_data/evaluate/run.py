"""Run a baseline on a benchmark and write its result."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import MethodError, RecipeError
from synrs_data.evaluate.baselines.base import Baseline, Scores
from synrs_data.evaluate.benchmark import Benchmark
from synrs_data.evaluate.results import (
    BenchmarkRecord,
    Result,
    compute,
    predictions_table,
    write_predictions,
    write_result,
)
from synrs_data.registry import lookup
from synrs_data.vocabulary import explain

_NEXT_OPTION = re.compile(r",(?=[a-z_]+=)")


def make_baseline(text: str, device: str = "auto") -> Baseline:
    """Return the baseline that a user named.

    Args:
        text: `NAME`, or `NAME:KEY=VALUE,KEY=VALUE` with options.
        device: "auto", "cpu" or "cuda".

    Raises:
        RecipeError: There is no such baseline or option.
        UserError: There is no such device.
    """
    name, _, rest = text.partition(":")
    cls = lookup("baselines", name)
    options = {}
    for part in filter(None, _NEXT_OPTION.split(rest)):
        key, equals, value = part.partition("=")
        if not equals:
            raise RecipeError(
                f"`--baseline {text}`: '{part}' is no KEY=VALUE",
                fix=f"write `--baseline {name}:KEY=VALUE,KEY=VALUE`",
            )
        options[key] = value
    try:
        checked = cls.Options.model_validate(options)
    except ValidationError as error:
        raise RecipeError(
            f"`--baseline {text}`: {explain(error, cls.Options)}",
            fix="`synrs-data list baselines` shows the options",
        ) from error
    baseline: Baseline = cls(checked, choose_devices(device, 1, 1)[0])
    return baseline


def evaluate(
    benchmark: Benchmark, baseline: Baseline, folder: Path, *, device: str = "auto", seed: int = 0
) -> Result:
    """Score a benchmark and write `result.json` and `predictions.parquet`.

    Args:
        benchmark: What to test on.
        baseline: What to test.
        folder: Of the result; what was there is replaced.
        device: "auto", "cpu" or "cuda"; what was given to `make_baseline`.
        seed: Of the bootstrap.

    Raises:
        UserError: Model or data are missing or do not fit.
        MethodError: The baseline gives other scores than its protocol allows.
    """
    make_deterministic()
    start = time.perf_counter()
    scores = baseline.score(benchmark)
    seconds = time.perf_counter() - start
    _check(scores, benchmark)
    table = predictions_table(scores.items.keys, scores.items.labels, scores.values)
    numbers = compute(benchmark, scores.items.labels, table["predicted"].to_numpy(), seed=seed)
    result = Result(
        task_hash=benchmark.task_hash,
        benchmark=BenchmarkRecord(id=benchmark.id, version=benchmark.version),
        baseline=scores.record,
        environment=environment(choose_devices(device, 1, 1)[0]),
        seeds={"bootstrap": seed},
        n=len(scores.items.keys),
        metrics=numbers.metrics,
        per_class=numbers.per_class,
        predictions=write_predictions(folder, table),
        wall_seconds=round(seconds, 3),
    )
    write_result(folder, result)
    return result


def _check(scores: Scores, benchmark: Benchmark) -> None:
    shape = (len(scores.items.keys), len(benchmark.classes))
    name = scores.record.method
    if scores.values.shape != shape:
        raise MethodError("baselines", name, f"gave scores of the shape {scores.values.shape}, not {shape}")
    if bad := int(np.sum(~np.isfinite(scores.values).all(axis=1))):
        raise MethodError("baselines", name, f"gave scores that are not finite for {bad} of {shape[0]} items")
