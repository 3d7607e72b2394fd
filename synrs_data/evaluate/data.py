"""Open the images of a classification benchmark: its own tar, or a user's folder, shards or data set of the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.class_folders import sort_into_classes
from synrs_data.evaluate.image_set import ImageSet, contents
from synrs_data.evaluate.items import Items, Row, check_classes, label_indices, read_pinned, read_rows
from synrs_data.evaluate.parts import (
    Images,
    Part,
    SavedFeatures,
    Sha256,
    Source,
    canonical_digest,
    content_digest,
)
from synrs_data.image_sources import ImageSource, SourceImage


class DatasetRecord(Part):
    """Which data a result is of.

    Attributes:
        name: The data set.
        content_sha256: Of what was found: of the pinned files, or of the rule's `content_digest`.
        pinned: Whether the benchmark fixes this digest.
        source: Name of the folder, file or data set of the Hub; empty for the benchmark's own files.
        revision: Commit of the Hub, else "local"; empty for the benchmark's own files.
        train: Images to train on.
        validation: Images to validate on, if the benchmark sets them apart.
        test: Items.
        captions: Captions of the items, of retrieval.
        left_out: Images of a rule that are copies, or lie in folders of several classes.
    """

    name: str
    content_sha256: Sha256
    pinned: bool
    source: str = ""
    revision: str = ""
    train: int = 0
    validation: int = 0
    test: int
    captions: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """The images of a benchmark by split; train and validation may be empty."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    record: DatasetRecord


def open_data(benchmark: Classification, location: str | None = None) -> Data:
    """Find every image of a benchmark and check it against the pinned digests.

    Args:
        benchmark: The benchmark.
        location: Where a `source` lies: a path or hf://datasets/...; None for the benchmark's own `path`.

    Raises:
        UserError: Something is missing or has other bytes than the benchmark pins.
    """
    dataset = benchmark.dataset
    if isinstance(dataset, Source):
        return _source(benchmark, dataset, location)
    if location is not None:
        raise UserError(
            f"the benchmark '{benchmark.id}' brings its own data",
            where="`--data`",
            fix="leave `--data` out, or copy the benchmark's YAML with `kind: source` for data of your own",
        )
    if isinstance(dataset, SavedFeatures):
        raise UserError(f"the benchmark '{benchmark.id}' has no images, only features", fix=dataset.get)
    return _own_tar(benchmark, dataset)


@dataclass(frozen=True, slots=True)
class Known:
    """What of a benchmark's data is known without images, where a pinned table lists them.

    Attributes:
        items: Of the test.
        content: Digest of the data.
        train: Images of each class to train on.
        validation: Images of each class that are set apart to validate on.
        left_out: Images of a rule that it leaves out; 0 of a table.
    """

    items: Items
    content: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    left_out: int


def known_data(benchmark: Classification, location: str | None = None) -> Known:
    """Return what is known of the data, without images where a pinned table says it.

    Args:
        benchmark: One of images.
        location: See `open_data`; needed where a rule says what the test is.
    """
    dataset = benchmark.dataset
    classes, left_out = len(benchmark.classes), 0
    if isinstance(dataset, Source) and dataset.rule is not None:
        opened = open_data(benchmark, location)
        items, digest = Items(opened.test.keys, opened.test.labels), opened.record.content_sha256
        left_out = opened.record.left_out
        labels = [opened.train.labels, opened.validation.labels]
    else:
        rows, pinned = _rows(benchmark), pinned_content(benchmark)
        assert pinned is not None
        indices = {name: label_indices([row.label for row in own], benchmark) for name, own in rows.items()}
        items, digest = Items(tuple(row.key for row in rows["test"]), indices["test"]), pinned
        labels = [indices["train"], indices["validation"]]
    train, validation = (tuple(np.bincount(own, minlength=classes).tolist()) for own in labels)
    return Known(items, digest, train, validation, left_out)


def items_of_test(benchmark: Classification, location: str | None = None) -> tuple[Items, str]:
    """Return keys and labels of the test, and the digest of the data; see `known_data`."""
    known = known_data(benchmark, location)
    return known.items, known.content


def pinned_content(benchmark: Classification) -> str | None:
    """Return the digest that the benchmark fixes for its data; None for a rule that is not pinned."""
    dataset = benchmark.dataset
    if isinstance(dataset, SavedFeatures):
        return dataset.labels_sha256
    if isinstance(dataset, Images):
        return canonical_digest({"images": dataset.images_sha256, "items": dataset.items_sha256})
    return dataset.items_sha256 if dataset.rule is None else dataset.content_sha256


def _rows(benchmark: Classification) -> dict[str, list[Row]]:
    dataset = benchmark.dataset
    assert not isinstance(dataset, SavedFeatures)
    if isinstance(dataset, Images):
        name, digest, splits, key = dataset.items, dataset.items_sha256, dataset.splits, "key"
    else:
        assert dataset.items is not None
        assert dataset.items_sha256 is not None
        assert dataset.splits is not None
        name, digest, splits, key = dataset.items, dataset.items_sha256, dataset.splits, "name"
    return read_rows(benchmark, name, digest, splits, key=key)


def _own_tar(benchmark: Classification, dataset: Images) -> Data:
    read_pinned(benchmark, dataset.images, dataset.images_sha256)
    path = benchmark.at(dataset.images)
    splits = _rows(benchmark)
    there = {image.member.partition(".")[0]: image for image in ImageSource(str(path)).images}
    for row in (row for rows in splits.values() for row in rows):
        if row.key not in there:
            raise UserError(f"has no image '{row.key}'", where=str(path), fix=dataset.get)
    digest = pinned_content(benchmark)
    assert digest is not None
    return _data(
        benchmark,
        splits,
        {row.sha256: there[row.key] for rows in splits.values() for row in rows},
        DatasetRecord(name=dataset.name, content_sha256=digest, pinned=True, test=0),
        where=str(path),
    )


def _source(benchmark: Classification, dataset: Source, location: str | None) -> Data:
    place = location or dataset.path
    if place is None:
        raise UserError(f"the benchmark '{benchmark.id}' needs its images", fix=dataset.get)
    if location is None and not place.startswith("hf://"):
        place = str(benchmark.at(place))
    source = ImageSource(place, dataset.field)
    by_digest: dict[str, SourceImage] = {}
    hashed = []
    for image, sha256 in _hashed(source):
        by_digest.setdefault(sha256, image)
        hashed.append((image, sha256))
    left_out = 0
    if dataset.rule is None:
        splits = _rows(benchmark)
        _check_there(benchmark, splits, by_digest, {image.name: sha for image, sha in hashed}, place)
        digest = dataset.items_sha256
    else:
        found = sort_into_classes(hashed, benchmark, dataset.rule, place)
        splits, left_out = found.splits, found.left_out
        digest = content_digest([(row.label, row.sha256) for rows in splits.values() for row in rows])
        if dataset.content_sha256 not in (None, digest):
            raise UserError(
                f"holds other images than the benchmark '{benchmark.id}' pins: the content hash is {digest}, not "
                f"{dataset.content_sha256}",
                where=place,
                fix=f"{dataset.get}; for other data, copy the benchmark's YAML and give it another id and this hash",
            )
    assert digest is not None
    record = DatasetRecord(
        name=dataset.name,
        content_sha256=digest,
        pinned=dataset.rule is None or dataset.content_sha256 is not None,
        source=source.name,
        revision=source.revision,
        test=0,
        left_out=left_out,
    )
    return _data(benchmark, splits, by_digest, record, where=place)


def _hashed(source: ImageSource) -> Iterator[tuple[SourceImage, str]]:
    for image, content in zip(source.images, contents(source.images), strict=True):
        yield image, hashlib.sha256(content).hexdigest()


def _check_there(
    benchmark: Classification,
    splits: dict[str, list[Row]],
    by_digest: dict[str, SourceImage],
    by_name: dict[str, str],
    where: str,
) -> None:
    """Raise if an image of the table is not there: whole classes first, then images that changed, then missing ones."""
    wanted = [row for rows in splits.values() for row in rows]
    missing = [row for row in wanted if row.sha256 not in by_digest]
    if not missing:
        return
    there = {row.label for row in wanted if row.sha256 in by_digest}
    dataset = benchmark.dataset
    if gone := [name for name in benchmark.class_names if name not in there]:
        raise UserError(
            f"has no image of {len(gone)} of {len(benchmark.classes)} classes: {', '.join(gone)}",
            where=where,
            fix=dataset.get,
        )
    tails = {PurePosixPath(name).parts[-2:]: sha256 for name, sha256 in by_name.items()}
    for row in missing:
        if (found := by_name.get(row.key) or tails.get(PurePosixPath(row.key).parts[-2:])) is not None:
            raise UserError(
                f"the image '{row.key}' is not the one that the benchmark '{benchmark.id}' pins: {found}, not "
                f"{row.sha256} ({len(missing)} of {len(wanted)} images are not there)",
                where=where,
                fix=f"{dataset.get}; for other data, copy the benchmark's YAML with a table and an id of its own",
            )
    raise UserError(
        f"has not {len(missing)} of the {len(wanted)} images, such as '{missing[0].key}'",
        where=where,
        fix=dataset.get,
    )


def _data(
    benchmark: Classification,
    splits: dict[str, list[Row]],
    images: dict[str, SourceImage],
    record: DatasetRecord,
    *,
    where: str,
) -> Data:
    sets = {}
    for split, rows in splits.items():
        labels = [row.label for row in rows]
        if rows or split == "test":
            check_classes(labels, benchmark, split, where)
        sets[split] = ImageSet(
            tuple(row.key for row in rows),
            label_indices(labels, benchmark),
            tuple(row.sha256 for row in rows),
            tuple(images[row.sha256] for row in rows),
            benchmark.dataset.get,
        )
    counts = {split: len(images) for split, images in sets.items()}
    return Data(record=record.model_copy(update=counts), **sets)
