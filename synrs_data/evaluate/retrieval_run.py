"""Run a baseline on a benchmark of retrieval, and write its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import MethodError
from synrs_data.evaluate.baselines.base import ImageTextEncoder
from synrs_data.evaluate.benchmark import Retrieval
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.results import (
    ZERO_SHOT,
    ArmValue,
    BenchmarkRecord,
    Bootstrap,
    Counts,
    Interval,
    MetricValue,
    ProtocolRecord,
    Result,
    own_folder,
    write_predictions,
    write_result,
)
from synrs_data.evaluate.retrieval import (
    Direction,
    Ranking,
    Recalls,
    Truth,
    Variant,
    chance,
    parse_metric,
    rank,
    similarities,
)
from synrs_data.evaluate.retrieval_data import open_captioned
from synrs_data.evaluate.run import check_task

COLUMNS = {
    "variant": pl.String(),
    "direction": pl.String(),
    "key": pl.String(),
    "found": pl.List(pl.String),
    "first": pl.Int64(),
}
"""Of the predictions: variant and direction of a query, its key, the keys of the first ten candidates in order, and the
place of the first right one from 1."""

Rankings = Mapping[tuple[Direction, Variant], Ranking]

_BOOTSTRAP = "percentile-bootstrap-images"


def evaluate_retrieval(
    benchmark: Retrieval,
    baseline: Any,
    folder: Path,
    *,
    data: str | None = None,
    cache: Path | None = None,
    device: str = "auto",
    bootstrap_seed: int = 0,
) -> Result:
    """Rank captions for every image and images for every caption; write `result.json` and `predictions.parquet`.

    Args:
        benchmark: What to test on.
        baseline: What to test; one whose `tasks` have retrieval is an `ImageTextEncoder`.
        folder: Of the result; what was there is replaced.
        data: Folder of images and captions; None for the benchmark's own.
        cache: Folder of features; None for the user's.
        device: "auto", "cpu" or "cuda"; what was given to `make_baseline`.
        bootstrap_seed: Of the intervals.

    Raises:
        UserError: Model or data are missing or do not fit, or the baseline cannot do retrieval.
        BuildFolderError: `folder` cannot be written, or another run is at work in it.
        MethodError: The baseline gives other features than it may.
    """
    check_task(benchmark, baseline)
    if not isinstance(baseline, ImageTextEncoder):
        raise MethodError(
            "baselines", baseline.name, "says that it does retrieval, and has no `encode_texts`"
        )
    make_deterministic()
    start = time.perf_counter()
    with own_folder(folder):
        opened = open_captioned(benchmark, data)
        record = baseline.record(benchmark)
        images = FeatureCache(cache).features(baseline, opened.images)
        cosines = similarities(images, _texts(baseline, opened.truth.captions))
        if not np.isfinite(cosines).all():
            raise MethodError("baselines", record.method, "gave features of no length or that are not finite")
        rankings = rank_all(benchmark, cosines, opened.truth)
        bootstrap = Bootstrap(method=_BOOTSTRAP, seed=bootstrap_seed)
        table = predictions_table(rankings, opened.truth)
        result = Result(
            task_hash=benchmark.task_hash,
            benchmark=BenchmarkRecord(id=benchmark.id, version=benchmark.version, task=benchmark.task),
            dataset=opened.record,
            baseline=record,
            protocol=ProtocolRecord(name=ZERO_SHOT, options={}),
            synthetic=None,
            environment=environment(choose_devices(device, 1, 1)[0]),
            seeds=(0,),
            bootstrap=bootstrap,
            n=len(opened.truth.images),
            arms=(
                ArmValue(
                    name=ZERO_SHOT,
                    counts=Counts(),
                    metrics=metric_values(
                        benchmark,
                        opened.truth,
                        {way: each.first for way, each in rankings.items()},
                        bootstrap,
                    ),
                    per_class={},
                ),
            ),
            predictions=write_predictions(folder, table),
            wall_seconds=round(time.perf_counter() - start, 3),
        )
        write_result(folder, result)
    return result


def ways(benchmark: Retrieval) -> list[tuple[Direction, Variant]]:
    """Return the rankings that a benchmark's metrics need, strict ones first."""
    variants = {parse_metric(metric.name)[0] for metric in benchmark.metrics}
    both: tuple[Direction, ...] = ("i2t", "t2i")
    return [(way, variant) for variant, way in product(sorted(variants, reverse=True), both)]


def rank_all(benchmark: Retrieval, cosines: NDArray[np.float32], truth: Truth) -> Rankings:
    """Return every ranking that a benchmark's metrics need."""
    return {(way, variant): rank(cosines, truth, way, variant) for way, variant in ways(benchmark)}


def metric_values(
    benchmark: Retrieval,
    truth: Truth,
    first: Mapping[tuple[Direction, Variant], NDArray[np.int64]],
    bootstrap: Bootstrap,
) -> tuple[MetricValue, ...]:
    """Return every metric of a benchmark from the places of the first right candidates."""
    recalls = Recalls(truth, first)
    found = []
    for metric in benchmark.metrics:
        value = recalls.value(metric.name)
        low, high = recalls.interval(metric.name, seed=bootstrap.seed, replicates=bootstrap.replicates)
        found.append(
            MetricValue(
                name=metric.name,
                direction=metric.direction,
                value=value,
                per_seed=(value,),
                interval=Interval(low=low, high=high),
                chance=chance(truth, metric.name),
            )
        )
    return tuple(found)


def predictions_table(rankings: Rankings, truth: Truth) -> pl.DataFrame:
    """Return the table of predictions: a row for each query of each ranking, in the benchmark's order."""
    captions = truth.caption_keys()
    blocks = []
    for (way, variant), ranking in rankings.items():
        queries, candidates = (truth.images, captions) if way == "i2t" else (captions, truth.images)
        columns: list[Any] = [
            [variant] * len(queries),
            [way] * len(queries),
            list(queries),
            [[candidates[row] for row in rows] for rows in ranking.found.tolist()],
            ranking.first,
        ]
        blocks.append(
            pl.DataFrame(
                {
                    name: pl.Series(values, dtype=COLUMNS[name])
                    for name, values in zip(COLUMNS, columns, strict=True)
                }
            )
        )
    return pl.concat(blocks)


def _texts(baseline: ImageTextEncoder, captions: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the features of captions, (captions, width).

    Equal ones are embedded once: in two batches their features could differ in the last bits, and break a tie.
    """
    different = list(dict.fromkeys(captions))
    rows = {text: row for row, text in enumerate(different)}
    return baseline.encode_texts(different)[[rows[text] for text in captions]]
