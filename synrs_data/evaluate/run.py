"""Run a baseline on a benchmark, zero-shot or with a training protocol on several arms, and write its result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import MethodError, RecipeError, UserError
from synrs_data.evaluate.arms import Arm, default_arms
from synrs_data.evaluate.baselines.base import Baseline, BaselineRecord, ImageEncoder, Scores, tasks_of
from synrs_data.evaluate.baselines.pixels import Pixels, PixelsOptions
from synrs_data.evaluate.benchmark import AnyBenchmark, Classification
from synrs_data.evaluate.data import DatasetRecord, open_data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.numbers import compute
from synrs_data.evaluate.parts import SavedFeatures
from synrs_data.evaluate.protocols.base import TrainingProtocol
from synrs_data.evaluate.results import (
    COLUMNS,
    SCORES,
    ZERO_SHOT,
    ArmValue,
    BenchmarkRecord,
    Bootstrap,
    Counts,
    ProtocolRecord,
    Result,
    write_predictions,
    write_result,
)
from synrs_data.evaluate.synthetic_set import SyntheticRecord, open_synthetic
from synrs_data.evaluate.training import Trainer, end_work, run_arms
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


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a result is computed from.

    Attributes:
        items: Of the test.
        predicted: Class of each item by arm, (seeds, n).
        counts: What each arm was trained on.
        seeds: Of the rows of `predicted`.
        baseline: What was evaluated.
        protocol: How its classifier was made.
        dataset: Which data were found.
        synthetic: The synthetic images; None without any.
        scores: Of zero-shot, (n, classes); None of others.
    """

    items: Items
    predicted: dict[str, NDArray[np.int64]]
    counts: dict[str, Counts]
    seeds: tuple[int, ...]
    baseline: BaselineRecord
    protocol: ProtocolRecord
    dataset: DatasetRecord
    synthetic: SyntheticRecord | None
    scores: NDArray[np.float32] | None


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
        MethodError: Baseline or protocol give other scores than they may.
    """
    check_task(benchmark, baseline)
    make_deterministic()
    start = time.perf_counter()
    cached = FeatureCache(cache)
    used = choose_devices(device, 1, 1)[0]
    conditions = environment(used)
    if protocol is None:
        if arms or synthetic is not None:
            raise UserError(
                "zero-shot trains nothing, so it has no arms and no synthetic images",
                fix="give a protocol, such as `--protocol linear-probe`",
            )
        found = _zero_shot(benchmark, baseline, data, cached)
    else:
        chosen = tuple(arms) or default_arms(synthetic=synthetic is not None)
        found = _trained(
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


def _zero_shot(
    benchmark: Classification, baseline: Baseline, location: str | None, cache: FeatureCache
) -> Predictions:
    dataset = benchmark.dataset
    if isinstance(dataset, SavedFeatures):
        opened = None
        record = DatasetRecord(
            name=dataset.name, content_sha256=dataset.labels_sha256, pinned=True, test=dataset.count
        )
    else:
        opened = open_data(benchmark, location)
        record = opened.record
    scores = baseline.score(benchmark, opened, cache)
    _check(scores, benchmark)
    return Predictions(
        items=scores.items,
        # Of equal scores the first class wins.
        predicted={ZERO_SHOT: np.asarray(scores.values.argmax(axis=1), dtype=np.int64)[None]},
        counts={ZERO_SHOT: Counts()},
        seeds=(0,),
        baseline=scores.record,
        protocol=ProtocolRecord(name=ZERO_SHOT, options={}),
        dataset=record,
        synthetic=None,
        scores=scores.values,
    )


def _trained(
    benchmark: Classification,
    baseline: Baseline,
    protocol: TrainingProtocol,
    arms: Sequence[Arm],
    seeds: int,
    places: tuple[str | None, str | None],
    cache: FeatureCache,
    folder: Path,
    machine: tuple[str, dict[str, str]],
    report: Callable[[str], None],
) -> Predictions:
    if isinstance(benchmark.dataset, SavedFeatures):
        raise UserError(
            f"the benchmark '{benchmark.id}' has no images to train on, only features of its test",
            fix="leave `--protocol` out, or choose a benchmark of images",
        )
    (location, synthetic), (device, conditions) = places, machine
    encoder = _encoder(baseline, protocol)
    _check_arms(arms, protocol, synthetic)
    opened = open_data(benchmark, location)
    if not len(opened.train) and any(arm.kind != "synthetic" for arm in arms):
        raise UserError(
            f"the benchmark '{benchmark.id}' has no images to train on", fix=benchmark.dataset.get
        )
    build = None
    if synthetic is not None:
        train = opened.train.digests + opened.validation.digests
        build = open_synthetic(synthetic, benchmark, train=train, test=opened.test.digests)
    trainer = Trainer(benchmark, opened, build.images if build else None, protocol, encoder, cache, device)
    record = (encoder or _pixels()).record(benchmark)
    said = ProtocolRecord(name=protocol.name, options=protocol.options.model_dump(mode="json"))
    depends_on = {
        "task_hash": benchmark.task_hash,
        "content_sha256": opened.record.content_sha256,
        "baseline": record.model_dump(mode="json"),
        "protocol": said.model_dump(mode="json"),
        "synthetic": build.record.model_dump(mode="json") if build else None,
        "environment": conditions,
    }
    numbers = tuple(range(seeds))
    outcome = run_arms(trainer, arms, numbers, folder, depends_on, report)
    return Predictions(
        items=Items(opened.test.keys, opened.test.labels),
        predicted=outcome.predicted,
        counts=outcome.counts,
        seeds=numbers,
        baseline=record,
        protocol=said,
        dataset=opened.record,
        synthetic=build.record if build else None,
        scores=None,
    )


def _encoder(baseline: Baseline, protocol: TrainingProtocol) -> ImageEncoder | None:
    """Return the encoder that a protocol trains on; None for one that trains on pixels."""
    if protocol.inputs == "images":
        if not isinstance(baseline, Pixels):
            raise UserError(
                f"the protocol '{protocol.name}' trains on pixels, it has no use for '{baseline.name}'",
                fix="leave `--baseline` out, or give `--baseline pixels`",
            )
        return None
    if not isinstance(baseline, ImageEncoder):
        raise UserError(
            f"the baseline '{baseline.name}' gives no features of other images, so the protocol '{protocol.name}' "
            "cannot train on it",
            fix="choose an encoder, such as eurosat-tiny-clip or open-clip",
        )
    return baseline


def _pixels() -> Pixels:
    return Pixels(PixelsOptions(), "cpu")


def _check_arms(arms: Sequence[Arm], protocol: TrainingProtocol, synthetic: str | None) -> None:
    needs = [arm.name for arm in arms if arm.needs_synthetic]
    if needs and synthetic is None:
        raise UserError(
            f"the arm '{needs[0]}' needs synthetic images",
            fix="give `--synthetic DIR` of a finished build, or hf://datasets/USER/NAME",
        )
    if synthetic is not None and not needs:
        raise UserError(
            "no arm trains on the synthetic images", where="`--arms`", fix="name one, such as `synthetic`"
        )
    if not hasattr(protocol.options, "augmentation") and (
        mixed := [arm.name for arm in arms if arm.kind == "cutmix"]
    ):
        raise UserError(
            f"the arm '{mixed[0]}' mixes the labels of two images, which '{protocol.name}' cannot say",
            fix="use it with `--protocol from-scratch`, or take flip-crop or cutout",
        )


def _check(scores: Scores, benchmark: Classification) -> None:
    shape = (len(scores.items.keys), len(benchmark.classes))
    name = scores.record.method
    if scores.values.shape != shape:
        raise MethodError("baselines", name, f"gave scores of the shape {scores.values.shape}, not {shape}")
    if bad := int(np.sum(~np.isfinite(scores.values).all(axis=1))):
        raise MethodError("baselines", name, f"gave scores that are not finite for {bad} of {shape[0]} items")
