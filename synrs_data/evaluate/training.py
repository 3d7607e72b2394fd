"""Train and test a classifier for every arm and seed; what is finished survives an interruption."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data import files
from synrs_data.errors import MethodError, UserError
from synrs_data.evaluate.arms import Arm, Draw, Pool, draw
from synrs_data.evaluate.baselines.base import ImageEncoder
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.image_set import ImageSet, join
from synrs_data.evaluate.protocols.base import Samples, TrainingProtocol
from synrs_data.evaluate.results import Counts
from synrs_data.shards.table import write_table

WORK = ".work"
_CONDITIONS = "conditions.json"

_MOST = 4 * 2**30
"""Bytes of decoded images of one set that are held at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predictions of every arm.

    Attributes:
        predicted: Class of each test item by arm, (seeds, n).
        counts: What each arm was trained on.
    """

    predicted: dict[str, NDArray[np.int64]]
    counts: dict[str, Counts]


class Trainer:
    """A protocol on the images of a benchmark, and of a synthetic set if there is one.

    Args:
        benchmark: What is tested.
        data: Its images.
        synthetic: Synthetic images; None without any.
        protocol: How classifiers are made.
        encoder: What features are from; None for a protocol on images.
        cache: Of features.
        device: "cpu", "cuda", "cuda:1"; what the protocol was given.
    """

    def __init__(
        self,
        benchmark: Classification,
        data: Data,
        synthetic: ImageSet | None,
        protocol: TrainingProtocol,
        encoder: ImageEncoder | None,
        cache: FeatureCache,
        device: str,
    ) -> None:
        self._device = device
        self._protocol, self._encoder, self._cache = protocol, encoder, cache
        self._classes = len(benchmark.classes)
        names = benchmark.class_names
        self._real = Pool(join(data.train, data.validation), names, apart=len(data.train))
        self._synthetic = None if synthetic is None else Pool(synthetic, names, apart=len(synthetic))
        self._test = data.test
        self._benchmark = benchmark
        self._inputs: dict[str, NDArray[Any]] = {}

    def draw(self, arm: Arm, seed: int) -> Draw:
        """Return which images an arm and a seed train on.

        Raises:
            UserError: There are too few.
        """
        return draw(arm, seed, self._real, self._synthetic)

    def predict(self, arm: Arm, seed: int) -> NDArray[np.int64]:
        """Train on an arm and return the predicted class of each test item, (n,).

        Raises:
            MethodError: The protocol gives other scores than it may.
        """
        drawn = self.draw(arm, seed)
        protocol = self._of_arm(arm)
        train = self._samples(drawn.real, drawn.synthetic, self._copies(arm, drawn, seed))
        validation = self._samples(drawn.validation_real, drawn.validation_synthetic, None)
        text = self._class_features if protocol.needs_text else None
        test = self._of("test")
        scores = protocol.fit_predict(train, validation, test, self._classes, text=text, seed=seed)
        if scores.shape != (len(test), self._classes) or not np.isfinite(scores).all():
            raise MethodError(
                "protocols", protocol.name, f"gave scores of the shape {scores.shape}, or not finite"
            )
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)

    def _samples(
        self, real: NDArray[np.int64], synthetic: NDArray[np.int64], copies: Samples | None
    ) -> Samples:
        parts = []
        if len(real):
            parts.append(
                Samples(self._of("real")[real], self._real.images.labels[real], np.zeros(len(real), np.bool_))
            )
        if len(synthetic):
            assert self._synthetic is not None
            labels = self._synthetic.images.labels[synthetic]
            parts.append(Samples(self._of("synthetic")[synthetic], labels, np.ones(len(synthetic), np.bool_)))
        if copies is not None:
            parts.append(copies)
        return Samples(
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.synthetic for part in parts]),
        )

    def _of_arm(self, arm: Arm) -> TrainingProtocol:
        """Return the protocol; for CutMix, which mixes labels, one that mixes its batches while it trains."""
        protocol = self._protocol
        if arm.kind != "cutmix":
            return protocol
        own = protocol.options.augmentation
        mixed = "cutmix" if own == "none" else own if "cutmix" in own else f"{own}+cutmix"
        options = protocol.options.model_copy(update={"augmentation": mixed})
        return type(protocol)(options, self._device)

    def _copies(self, arm: Arm, drawn: Draw, seed: int) -> Samples | None:
        """Return altered copies of real images, which are no synthetic ones; for CutMix as they are."""
        if not len(drawn.copied):
            return None
        from synrs_data.evaluate.protocols.augment import augment

        images = self._real.images.take(drawn.copied)
        altered = _pixels(images, self._size())
        if arm.kind == "flip-crop" or arm.kind == "cutout":
            altered = augment(altered, arm.kind, seed)
        inputs = altered if self._protocol.inputs == "images" else self._encode(altered)
        return Samples(inputs, images.labels, np.zeros(len(images), dtype=np.bool_))

    @cached_property
    def _class_features(self) -> NDArray[np.float32]:
        """Features of the classes' prompts, the same for every arm and seed."""
        assert self._encoder is not None
        return self._encoder.class_features(self._benchmark)

    def _encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert self._encoder is not None
        return self._encoder.encode(list(images))

    def _of(self, name: str) -> NDArray[Any]:
        """Return features or pixels of a whole set, made once a run."""
        if name not in self._inputs:
            pool = {"real": self._real, "synthetic": self._synthetic}.get(name)
            images = self._test if pool is None else pool.images
            if self._protocol.inputs == "images":
                self._inputs[name] = _pixels(images, self._size())
            else:
                assert self._encoder is not None
                self._inputs[name] = self._cache.features(self._encoder, images)
        return self._inputs[name]

    def _size(self) -> int | None:
        """Return the edge that a protocol wants of images; None for one that takes any."""
        size = getattr(self._protocol.options, "size", None)
        return size if isinstance(size, int) else None


def run_arms(
    trainer: Trainer,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder: Path,
    conditions: dict[str, Any],
    report: Callable[[str], None],
) -> Outcome:
    """Train every arm with every seed, or read what an interrupted run has finished.

    Args:
        trainer: What trains.
        arms: In the order of the result.
        seeds: In the order of the result.
        folder: Of the result; finished pairs lie in `.work` below it.
        conditions: Everything that predictions depend on but arm and seed; other ones begin anew.
        report: Takes a line for each finished pair.

    Raises:
        UserError: An arm has too few images; that is found before the first training.
    """
    counts = {}
    for arm in arms:
        for seed in seeds:
            drawn = trainer.draw(arm, seed)
            counts[arm.name] = Counts(
                real=len(drawn.real),
                synthetic=len(drawn.synthetic),
                copies=len(drawn.copied),
                validation=len(drawn.validation_real) + len(drawn.validation_synthetic),
            )
    work = begin_work(folder / WORK, conditions)
    predicted: dict[str, list[NDArray[np.int64]]] = {arm.name: [] for arm in arms}
    for arm, seed in ((arm, seed) for seed in seeds for arm in arms):
        path = work / f"{arm.name}-{seed}.parquet"
        values = _finished(path, trainer)
        kept = values is not None
        if values is None:
            values = trainer.predict(arm, seed)
            write_table(path, pl.DataFrame({"predicted": values}))
        predicted[arm.name].append(values)
        report(f"{arm.name}, seed {seed}: {'kept from before' if kept else 'trained'}")
    return Outcome({name: np.stack(values) for name, values in predicted.items()}, counts)


def end_work(folder: Path) -> None:
    """Remove what a finished run has kept for its continuation."""
    shutil.rmtree(folder / WORK, ignore_errors=True)


def begin_work(work: Path, conditions: dict[str, Any]) -> Path:
    """Return the folder of what an interrupted run has finished, emptied if they are of other conditions."""
    text = json.dumps(conditions, sort_keys=True, indent=1)
    try:
        same = (work / _CONDITIONS).read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if not same:
        # What cannot be removed may not stay either: it would pass for work under the new conditions.
        with files.writable(work), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(work)
        files.make_folder(work)
        files.write_text(work / _CONDITIONS, text)
    return work


def _finished(path: Path, trainer: Trainer) -> NDArray[np.int64] | None:
    """Return the predictions of a finished pair; None if there are none, or damaged ones."""
    try:
        values = pl.read_parquet(io.BytesIO(path.read_bytes()))["predicted"]
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    whole = values.dtype == pl.Int64 and len(values) == len(trainer._test) and not values.has_nulls()
    return values.to_numpy() if whole and values.is_between(0, trainer._classes - 1).all() else None


def _pixels(images: ImageSet, size: int | None) -> NDArray[np.uint8]:
    """Return the pixels of a set, (n, height, width, 3), brought to squares of `size` if they are of others.

    Raises:
        UserError: They differ in size, or are too many for memory as they are, and no size is asked for.
    """
    fix = "give the protocol a size, such as `--protocol from-scratch:size=64`"
    found: NDArray[np.uint8] | None = None
    for row, read in images.read():
        image = read if size is None or read.shape[:2] == (size, size) else _resized(read, size)
        if found is None:
            found = _room(len(images), image, fix)
        if image.shape != found.shape[1:]:
            raise UserError(
                f"the images differ in size: '{images.keys[row]}' has {image.shape[1]} x {image.shape[0]} pixels, "
                f"others {found.shape[2]} x {found.shape[1]}",
                where=images.images[row].where,
                fix=fix,
            )
        found[row] = image
    assert found is not None
    return found


def _room(count: int, image: NDArray[np.uint8], fix: str) -> NDArray[np.uint8]:
    if image.nbytes * count > _MOST:
        raise UserError(
            f"{count} images of {image.shape[1]} x {image.shape[0]} pixels fill "
            f"{image.nbytes * count / 2**30:.1f} GiB of memory",
            fix=fix,
        )
    return np.empty((count, *image.shape), dtype=np.uint8)


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the middle square of an image in another size, by Pillow's bicubic filter with its antialiasing."""
    edge = min(image.shape[:2])
    top, left = ((length - edge) // 2 for length in image.shape[:2])
    square = PillowImage.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(square.resize((size, size), PillowImage.Resampling.BICUBIC))
