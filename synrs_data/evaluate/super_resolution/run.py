"""Measure a baseline on a benchmark of super-resolution, trained on arms or as it is, and write its result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import polars as pl

from synrs_data import files
from synrs_data.evaluate.arms import Arm
from synrs_data.evaluate.benchmark import SuperResolution
from synrs_data.evaluate.results import BenchmarkRecord, Bootstrap, write_predictions
from synrs_data.evaluate.super_resolution.compact import CompactSr
from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.numbers import compute
from synrs_data.evaluate.super_resolution.pair_run import PairRun, Places
from synrs_data.evaluate.super_resolution.results import (
    OUTPUTS,
    MetricConfiguration,
    OutputsRecord,
    PairArm,
    SuperResolutionResult,
    write_super_resolution,
)
from synrs_data.evaluate.super_resolution.upscalers import Upscaler
from synrs_data.evaluate.training import end_work


def evaluate_super_resolution(
    benchmark: SuperResolution,
    baseline: Upscaler | CompactSr,
    folder: Path,
    *,
    places: Places | None = None,
    arms: Sequence[Arm] = (),
    seeds: int = 5,
    device: str = "auto",
    bootstrap_seed: int = 0,
    keep_outputs: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> SuperResolutionResult:
    """Measure what a baseline makes of every test image; write `result.json` and `predictions.parquet`.

    Args:
        benchmark: What to test on.
        baseline: What to test.
        folder: Of the result; what was there is replaced.
        places: Where pairs lie.
        arms: What to train on; see `PairRun`.
        seeds: How many, from 0.
        device: "auto", "cpu" or "cuda"; what was given to `make_sr_baseline`.
        bootstrap_seed: Of the intervals.
        keep_outputs: Keep the images that are made, in `outputs` of the folder.
        report: Takes a line for each finished arm and seed.

    Raises:
        UserError: Model or pairs are missing or do not fit, or the baseline fails.
        RecipeError: See `PairRun`.
        MethodError: The baseline gives images of another number or size.
    """
    start = time.perf_counter()
    run = PairRun(
        benchmark,
        baseline,
        folder,
        places=places,
        arms=arms,
        seeds=seeds,
        device=device,
        keep_outputs=keep_outputs,
    )
    found = {}
    for seed, name in product(run.seeds, run.names):
        found[name, seed], kept = run.finish(name, seed)
        if run.arms:
            report(f"{name}, seed {seed}: {'kept from before' if kept else 'trained'}")
    table = pl.concat([found[pair] for pair in product(run.names, run.seeds)])
    bootstrap = Bootstrap(seed=bootstrap_seed)
    numbers = compute(table, baseline.name, run.names, benchmark.metrics, bootstrap)
    predictions = write_predictions(folder, table)
    result = SuperResolutionResult(
        task_hash=benchmark.task_hash,
        benchmark=BenchmarkRecord(id=benchmark.id, version=benchmark.version, task=benchmark.task),
        dataset=run.dataset,
        baseline=run.record,
        protocol=run.protocol,
        metrics=configurations(run.metrics),
        synthetic=None if run.synthetic is None else run.synthetic.record,
        environment=run.environment,
        seeds=run.seeds,
        bootstrap=bootstrap,
        n=len(run.test),
        arms=tuple(PairArm(name=name, counts=run.counts[name], metrics=numbers[name]) for name in run.names),
        predictions=predictions,
        outputs=_keep(run) if keep_outputs else _forget(folder),
        wall_seconds=round(time.perf_counter() - start, 3),
    )
    write_super_resolution(folder, result)
    end_work(folder)
    return result


def configurations(metrics: MetricSet) -> tuple[MetricConfiguration, ...]:
    """Return how each metric is computed, as a result says it."""
    return tuple(
        MetricConfiguration(name=each.id, unit=each.unit, configuration=dict(each.configuration))
        for each in metrics.records()
    )


def _keep(run: PairRun) -> tuple[OutputsRecord, ...]:
    """Move the kept outputs beside the result."""
    _forget(run.folder)
    target = run.folder / OUTPUTS
    files.make_folder(target)
    found = []
    for name, seed in product(run.names, run.seeds):
        path = run.outputs(name, seed)
        path.replace(target / path.name)
        digest = files.sha256(target / path.name)
        found.append(OutputsRecord(file=f"{OUTPUTS}/{path.name}", arm=name, seed=seed, sha256=digest))
    return tuple(found)


def _forget(folder: Path) -> tuple[OutputsRecord, ...]:
    """Remove the outputs of an earlier result."""
    shutil.rmtree(folder / OUTPUTS, ignore_errors=True)
    return ()
