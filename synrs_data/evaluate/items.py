"""The items of a benchmark and their labels, read only where their bytes are the pinned ones."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Benchmark, Images
from synrs_data.image_sources.decoding import decode_rgb
from synrs_data.resources import suggestion
from synrs_data.shards.tar import members

_COLUMNS = ("key", "split", "label", "sha256")


@dataclass(frozen=True, slots=True)
class Items:
    """What a benchmark tests on.

    Attributes:
        keys: Of each item, in the benchmark's order.
        labels: Index of each item's class, (n,).
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int64]


def row_keys(count: int) -> tuple[str, ...]:
    """Return the keys of saved features: row numbers of nine digits."""
    return tuple(f"{row:09d}" for row in range(count))


def read_items(benchmark: Benchmark, dataset: Images) -> Items:
    """Return keys and labels of the test split.

    Raises:
        UserError: The table is not there, or is not the pinned one.
    """
    names = {name: index for index, name in enumerate(benchmark.class_names)}
    rows = [row for row in _table(benchmark, dataset) if row["split"] == dataset.split]
    if not rows:
        raise UserError(f"has no row of the split '{dataset.split}'", where=dataset.items, fix=dataset.get)
    unknown = sorted({row["label"] for row in rows} - names.keys())
    if unknown:
        raise UserError(
            f"has labels that are no class of the benchmark: {', '.join(unknown)}",
            where=dataset.items,
            fix=suggestion(unknown[0], list(names), what="class"),
        )
    labels = np.array([names[row["label"]] for row in rows], dtype=np.int64)
    return Items(tuple(row["key"] for row in rows), labels)


def read_images(benchmark: Benchmark, dataset: Images) -> Iterator[NDArray[np.uint8]]:
    """Yield the image of each item in the order of `read_items`, (height, width, 3).

    Raises:
        UserError: The tar is not there, or is not the pinned one, or an image is not the one of the table.
    """
    path = benchmark.at(dataset.images)
    _check(benchmark, dataset.images, dataset.images_sha256, dataset.get)
    wanted = {
        row["key"]: row["sha256"] for row in _table(benchmark, dataset) if row["split"] == dataset.split
    }
    waiting = iter(wanted)
    for key, fields in members(path):
        if key not in wanted:
            continue
        content = next((fields[name] for name in ("jpg", "png", "webp") if name in fields), b"")
        found = hashlib.sha256(content).hexdigest()
        if key != next(waiting) or found != wanted[key]:
            raise UserError(
                f"the image '{key}' is not the one that {dataset.items} lists: {found}, not {wanted[key]}",
                where=str(path),
                fix=dataset.get,
            )
        yield decode_rgb(content, f"{path}, '{key}'")
    if (missing := next(waiting, None)) is not None:
        raise UserError(f"has no image '{missing}'", where=str(path), fix=dataset.get)


def _table(benchmark: Benchmark, dataset: Images) -> list[dict[str, str]]:
    content = _check(benchmark, dataset.items, dataset.items_sha256, dataset.get)
    where = str(benchmark.at(dataset.items))
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot be read as CSV: {error}", where=where, fix="correct the table") from error
    for line, row in enumerate(rows, start=2):
        if None in row or not all(row.get(name) for name in _COLUMNS):
            raise UserError(
                f"line {line} has not one value for each column",
                where=where,
                fix=f"give each image the columns {', '.join(_COLUMNS)}",
            )
    keys = [row["key"] for row in rows]
    if len(set(keys)) < len(keys):
        repeated = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise UserError(
            f"the key '{repeated}' comes back", where=where, fix="give each image a key of its own"
        )
    return rows


def _check(benchmark: Benchmark, name: str, digest: str, get: str) -> bytes:
    """Return a file's contents after checking them; a table or a tar of a benchmark fits in memory."""
    path = benchmark.at(name)
    if not files.exists(path) or not path.is_file():
        raise UserError(f"the benchmark '{benchmark.id}' needs this file", where=str(path), fix=get)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UserError(
            f"is not the file that the benchmark '{benchmark.id}' pins: its sha256 is {found}, not {digest}",
            where=str(path),
            fix=get,
        )
    return content
