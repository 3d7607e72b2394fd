"""Predictions of a baseline: zero-shot, or of the classifiers that a protocol trains on arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import MethodError, UserError
from synrs_data.evaluate.arms import Arm
from synrs_data.evaluate.baselines.base import Baseline, BaselineRecord, ImageEncoder, Scores
from synrs_data.evaluate.baselines.pixels import Pixels, PixelsOptions
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.data import DatasetRecord, open_data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.parts import SavedFeatures
from synrs_data.evaluate.protocols.base import TrainingProtocol
from synrs_data.evaluate.results import ZERO_SHOT, Counts, ProtocolRecord
from synrs_data.evaluate.synthetic_set import SyntheticRecord, open_synthetic
from synrs_data.evaluate.training import Trainer, run_arms


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


def zero_shot(
    benchmark: Classification, baseline: Baseline, location: str | None, cache: FeatureCache
) -> Predictions:
    """Score the test without training anything.

    Raises:
        UserError: Model or data are missing or do not fit.
        MethodError: The baseline gives other scores than it may.
    """
    dataset = benchmark.dataset
    if isinstance(dataset, SavedFeatures):
        if location is not None:
            raise UserError(
                f"the benchmark '{benchmark.id}' has no images, only features",
                where="`--data`",
                fix="give the file of features as `--features FILE`",
            )
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


def trained(
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
    """Train a classifier for every arm and seed, and let it predict the test.

    Args:
        benchmark: What to test on.
        baseline: What features are from, or `pixels`.
        protocol: How classifiers are made.
        arms: What to train on.
        seeds: How many, from 0.
        places: Where the images of a `source` lie, and the synthetic ones; None for neither.
        cache: Of features.
        folder: Of the result.
        machine: Device, and its record.
        report: Takes a line for each finished arm and seed.

    Raises:
        UserError: Model or data are missing or do not fit, or an arm cannot be.
        MethodError: The protocol gives other scores than it may.
    """
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
    for arm in arms:
        # Whether there are enough images does not depend on the seed; to know it takes no model.
        trainer.draw(arm, 0)
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
