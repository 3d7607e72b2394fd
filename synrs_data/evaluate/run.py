"""Run a baseline on a benchmark, zero-shot or with a training protocol on several arms, and write its result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.arms import Arm, default_arms
from synrs_data.evaluate.baselines.base import Baseline, tasks_of
from synrs_data.evaluate.benchmark import AnyBenchmark, Classification
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.numbers import compute
from synrs_data.evaluate.predict import Predictions, trained, zero_shot
from synrs_data.evaluate.protocols.base import TrainingProtocol
from synrs_data.evaluate.results import (
    COLUMNS,
    SCORES,
    ArmValue,
    BenchmarkRecord,
    Bootstrap,
    Result,
    own_folder,
    write_predictions,
    write_result,
)
from synrs_data.evaluate.training import end_work
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
    name, options = parse_baseline(text)
    cls = lookup("baselines", name)
    try:
        checked = cls.Options.model_validate(options)
    except ValidationError as error:
        raise RecipeError(
            f"`--baseline {text}`: {explain(error, cls.Options)}",
            fix="`synrs-data list baselines` shows the options",
        ) from error
    baseline: Baseline = cls(checked, choose_devices(device, 1, 1)[0])
    return baseline


def parse_baseline(text: str) -> tuple[str, dict[str, str]]:
    """Return name and options of `NAME:KEY=VALUE,KEY=VALUE`.

    Raises:
        RecipeError: It is not written so.
    """
    name, _, rest = text.partition(":")
    options = {}
    for part in filter(None, _NEXT_OPTION.split(rest)):
        key, equals, value = part.partition("=")
        if not equals:
            raise RecipeError(
                f"`--baseline {text}`: '{part}' is no KEY=VALUE",
                fix=f"write `--baseline {name}:KEY=VALUE,KEY=VALUE`",
            )
        options[key] = value
    return name, options


def check_task(benchmark: AnyBenchmark, baseline: Any) -> None:
    """Raise a UserError if a baseline cannot do the task of a benchmark."""
    if benchmark.task not in tasks_of(baseline):
        raise UserError(
            f"the baseline '{baseline.name}' cannot do {benchmark.task}, the task of '{benchmark.id}'; it does "
            f"{', '.join(tasks_of(baseline))}",
            fix="choose another baseline (`synrs-data list baselines`) or benchmark (`synrs-data list benchmarks`)",
        )


def evaluate(
    benchmark: Classification,
    baseline: Baseline,
    folder: Path,
    *,
    protocol: TrainingProtocol | None = None,
    synthetic: str | None = None,
    arms: Sequence[Arm] = (),
    seeds: int = 5,
    data: str | None = None,
    cache: Path | None = None,
    device: str = "auto",
    bootstrap_seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Result:
    """Score a benchmark and write `result.json` and `predictions.parquet`.

    Args:
        benchmark: What to test on.
        baseline: What to test.
        folder: Of the result; what was there is replaced.
        protocol: How a classifier is trained; None for zero-shot.
        synthetic: Folder of a finished build, or hf://datasets/... of a published one.
        arms: What to train on; by default `default_arms`.
        seeds: How many, from 0.
        data: Where the images of a `source` lie.
        cache: Folder of features; None for the user's.
        device: "auto", "cpu" or "cuda"; what was given to `make_baseline`.
        bootstrap_seed: Of the intervals.
        report: Takes a line for each finished arm and seed.

    Raises:
        UserError: Model or data are missing or do not fit.
        BuildFolderError: `folder` cannot be written, or another run is at work in it.
        MethodError: Baseline or protocol give other scores than they may.
    """
    check_task(benchmark, baseline)
    if protocol is None and (arms or synthetic is not None):
        raise UserError(
            "zero-shot trains nothing, so it has no arms and no synthetic images",
            fix="give a protocol, such as `--protocol linear-probe`",
        )
    if synthetic is not None and not synthetic.startswith("hf://"):
        _check_outside(folder, Path(synthetic).expanduser())
    make_deterministic()
    start = time.perf_counter()
    cached = FeatureCache(cache)
    used = choose_devices(device, 1, 1)[0]
    conditions = environment(used)
    with own_folder(folder):
        if protocol is None:
            found = zero_shot(benchmark, baseline, data, cached)
        else:
            chosen = tuple(arms) or default_arms(synthetic=synthetic is not None)
            found = trained(
                benchmark,
                baseline,
                protocol,
                chosen,
                seeds,
                (data, synthetic),
                cached,
                folder,
                (used, conditions),
                report,
            )
        bootstrap = Bootstrap(seed=bootstrap_seed)
        numbers = compute(benchmark, found.items.labels, found.predicted, bootstrap)
        result = Result(
            task_hash=benchmark.task_hash,
            benchmark=BenchmarkRecord(id=benchmark.id, version=benchmark.version, task=benchmark.task),
            dataset=found.dataset,
            baseline=found.baseline,
            protocol=found.protocol,
            synthetic=found.synthetic,
            environment=conditions,
            seeds=found.seeds,
            bootstrap=bootstrap,
            n=len(found.items.keys),
            arms=tuple(
                ArmValue(name=name, counts=found.counts[name], metrics=each.metrics, per_class=each.per_class)
                for name, each in numbers.items()
            ),
            predictions=write_predictions(folder, predictions_table(found)),
            wall_seconds=round(time.perf_counter() - start, 3),
        )
        write_result(folder, result)
        end_work(folder)
    return result


def _check_outside(folder: Path, build: Path) -> None:
    """Raise a UserError if the folder of a result lies in the build that it is of."""
    if folder.resolve().is_relative_to(build.resolve()):
        raise UserError(
            "lies in the folder of the synthetic images, which would then have files that its manifest does not name",
            where=f"`--out {folder}`",
            fix="give a folder of its own",
        )


def predictions_table(found: Predictions) -> pl.DataFrame:
    """Return the table of predictions: arms, of each its seeds, of each its items in the benchmark's order."""
    blocks = []
    for name, values in found.predicted.items():
        for seed, row in zip(found.seeds, values, strict=True):
            columns = [[name] * len(row), [seed] * len(row), list(found.items.keys), found.items.labels, row]
            blocks.append(
                pl.DataFrame(
                    {
                        column: pl.Series(content, dtype=COLUMNS[column])
                        for column, content in zip(COLUMNS, columns, strict=True)
                    }
                )
            )
    table = pl.concat(blocks)
    if found.scores is None:
        return table
    return table.with_columns(pl.Series("scores", found.scores.tolist(), dtype=SCORES["scores"]))
