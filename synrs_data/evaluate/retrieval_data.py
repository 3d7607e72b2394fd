"""Find the images and captions of a retrieval benchmark where the user has them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Retrieval
from synrs_data.evaluate.data import DatasetRecord
from synrs_data.evaluate.image_set import ImageSet, contents
from synrs_data.evaluate.parts import canonical_digest
from synrs_data.evaluate.retrieval import Truth
from synrs_data.image_sources import ImageSource, SourceImage
from synrs_data.models.source import user_path

_FORMAT = (
    "write JSON as `images[].{filename, split, sentences[].raw}`, or JSON lines of `{file, split, captions}` with a "
    "name that ends in .jsonl"
)


@dataclass(frozen=True, slots=True)
class Captioned:
    """The test of a retrieval benchmark."""

    images: ImageSet
    truth: Truth
    record: DatasetRecord


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    captions: tuple[str, ...]


def open_captioned(benchmark: Retrieval, location: str | None = None) -> Captioned:
    """Find every test image and its captions, and check them against what the benchmark pins.

    Args:
        benchmark: The benchmark.
        location: Folder that holds the captions' file and, in it or below it, the images; None for the benchmark's own
            `path`.

    Raises:
        UserError: Something is missing, damaged, or not what the benchmark pins.
    """
    dataset = benchmark.dataset
    place = location or (None if dataset.path is None else str(benchmark.at(dataset.path)))
    if place is None:
        raise UserError(f"the benchmark '{benchmark.id}' needs images and captions", fix=dataset.get)
    file = _captions_file(benchmark, place)
    entries = _entries(file, dataset.split, dataset.get)
    _check_counts(benchmark, entries, str(file))
    source = ImageSource(place)
    images = _find(source, entries, place, dataset.get)
    digests = tuple(hashlib.sha256(content).hexdigest() for content in contents(images))
    content = captioned_digest(entries, digests)
    if dataset.content_sha256 not in (None, content):
        raise UserError(
            f"holds other images or captions than the benchmark '{benchmark.id}' pins: the content hash is {content}, "
            f"not {dataset.content_sha256}",
            where=place,
            fix=f"{dataset.get}; for other data, copy the benchmark's YAML and give it another id and this hash",
        )
    keys = tuple(entry.name for entry in entries)
    captions = [text for entry in entries for text in entry.captions]
    truth = Truth(
        keys,
        tuple(text.capitalize() if benchmark.capitalize else text for text in captions),
        np.repeat(np.arange(len(entries)), [len(entry.captions) for entry in entries]),
    )
    record = DatasetRecord(
        name=dataset.name,
        content_sha256=content,
        pinned=dataset.content_sha256 is not None,
        source=source.name,
        revision=source.revision,
        test=len(entries),
        captions=len(captions),
    )
    labels = np.zeros(len(entries), dtype=np.int64)
    return Captioned(ImageSet(keys, labels, digests, images, dataset.get), truth, record)


def captioned_digest(entries: list[_Entry], digests: tuple[str, ...]) -> str:
    """Return the sha256 that stands for images and captions: [name, sha256, captions] of each, in their order."""
    rows = [
        [entry.name, digest, list(entry.captions)] for entry, digest in zip(entries, digests, strict=True)
    ]
    return canonical_digest(rows)


def _captions_file(benchmark: Retrieval, place: str) -> Path:
    """Return the captions' file; its case may be another, as mirrors name it."""
    name, fix = benchmark.dataset.captions, benchmark.dataset.get
    folder = user_path(place)
    if place.startswith("hf://") or not files.exists(folder) or not folder.is_dir():
        raise UserError("is no folder on this machine with images and captions", where=place, fix=fix)
    exact = folder / name
    if exact.is_file():
        return exact
    parent = exact.parent
    found = [path for path in parent.glob("*") if path.name.lower() == exact.name.lower() and path.is_file()]
    if len(found) != 1:
        raise UserError(f"has no file of captions '{name}'", where=place, fix=fix)
    return found[0]


def _entries(path: Path, split: str, fix: str) -> list[_Entry]:
    """Return the images of a split with their captions, in the order of the file."""
    rows = _rows(path)
    found = []
    for number, row in enumerate(rows):
        try:
            entry = _entry(row)
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"its image {number + 1} has not a name, a split and captions", where=str(path), fix=_FORMAT
            ) from None
        if row["split"] == split:
            found.append(entry)
    if not found:
        splits = ", ".join(sorted({str(row["split"]) for row in rows})) or "none"
        raise UserError(f"has no image of the split '{split}'; it has {splits}", where=str(path), fix=fix)
    name, count = Counter(entry.name for entry in found).most_common(1)[0]
    if count > 1:
        raise UserError(
            f"the image '{name}' comes {count} times", where=str(path), fix="name each image once"
        )
    return found


def _rows(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        values = json.loads(text)
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=str(path), fix="put the file back"
        ) from error
    except (ValueError, RecursionError) as error:
        if "git-lfs" in path.read_text(encoding="utf-8", errors="replace")[:100]:
            raise UserError(
                "is a pointer of Git LFS, not the file itself",
                where=str(path),
                fix="run `git lfs pull` there",
            ) from error
        raise UserError(f"cannot be read as JSON: {error}", where=str(path), fix=_FORMAT) from error
    images = values.get("images") if isinstance(values, dict) else None
    if not isinstance(images, list):
        raise UserError("has no list `images`", where=str(path), fix=_FORMAT)
    return images


def _entry(row: Any) -> _Entry:
    """Return one image of either form.

    Raises:
        KeyError: A key is missing.
        TypeError: A value has another type.
        ValueError: A name or caption is empty.
    """
    if "sentences" in row:
        name, captions = row["filename"], [sentence["raw"] for sentence in row["sentences"]]
    else:
        name, captions = row["file"], row["captions"]
    if not isinstance(captions, list) or not all(
        isinstance(text, str) for text in [name, row["split"], *captions]
    ):
        raise TypeError
    if not captions or not all(text.strip() for text in [name, *captions]):
        raise ValueError
    return _Entry(name, tuple(captions))


def _check_counts(benchmark: Retrieval, entries: list[_Entry], where: str) -> None:
    dataset = benchmark.dataset
    sentences = sum(len(entry.captions) for entry in entries)
    for what, found, wanted in (
        ("images", len(entries), dataset.images),
        ("captions", sentences, dataset.sentences),
    ):
        if wanted is not None and found != wanted:
            raise UserError(
                f"its split '{dataset.split}' has {found} {what}, that of the benchmark '{benchmark.id}' has {wanted}",
                where=where,
                fix=dataset.get,
            )


def _find(source: ImageSource, entries: list[_Entry], place: str, fix: str) -> tuple[SourceImage, ...]:
    """Return the image of each entry: by its path, else by its file's name alone where only one has it."""
    by_path = {image.name: image for image in source.images}
    by_name = defaultdict[str, list[SourceImage]](list)
    for image in source.images:
        by_name[PurePosixPath(image.member or image.name).name].append(image)
    found, missing = [], []
    for entry in entries:
        there = by_name.get(PurePosixPath(entry.name).name, [])
        if entry.name in by_path:
            found.append(by_path[entry.name])
        elif len(there) == 1:
            found.append(there[0])
        elif there:
            raise UserError(
                f"has {len(there)} images that may be '{entry.name}', such as {there[0].name} and {there[1].name}",
                where=place,
                fix="give the folder that holds one of them alone",
            )
        else:
            missing.append(entry.name)
    if missing:
        raise UserError(
            f"has not {len(missing)} of the {len(entries)} images that have captions, such as '{missing[0]}'",
            where=place,
            fix=fix,
        )
    return tuple(found)
