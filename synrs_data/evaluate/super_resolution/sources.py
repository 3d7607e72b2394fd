"""The pairs of a benchmark: found where the user has them, and refused where they are not the pinned ones."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import SuperResolution
from synrs_data.evaluate.data import DatasetRecord
from synrs_data.evaluate.super_resolution.degraded_pairs import DegradedImages
from synrs_data.evaluate.super_resolution.pairs import PackedPairs, PairedFolders, PairSource
from synrs_data.image_sources.hub import parse_address
from synrs_data.registry import lookup


def pair_source(
    benchmark: SuperResolution, data: str | None = None, *, split: str | None = None, device: str = "cpu"
) -> PairSource:
    """Return the test pairs of a benchmark, or those of another split of its table.

    Args:
        benchmark: Which data, of which scale.
        data: Where they lie; None for the benchmark's own `path`.
        split: Such as "train", where the benchmark has a table; None for its test.
        device: Where its degradation runs.

    Raises:
        UserError: Nobody says where the data lie, they are missing, or they are not the pinned ones.
        RecipeError: There is no such degradation.
    """
    dataset = benchmark.dataset
    location = data or _place(benchmark)
    if location is None:
        raise UserError(f"the benchmark '{benchmark.id}' needs its images", where="--data", fix=dataset.get)
    if split is not None and dataset.items is None:
        raise UserError(
            f"the benchmark '{benchmark.id}' has no splits", where=benchmark.id, fix="train on other pairs"
        )
    found: PairSource
    if dataset.kind == "pairs":
        low, high = (_below(location, part) for part in (dataset.lr, dataset.hr))
        found = PairedFolders(low, high, benchmark.scale, match="either")
    elif dataset.kind == "build":
        found = PackedPairs(location, benchmark.scale)
    else:
        found = _degraded(benchmark, _below(location, dataset.hr), split or str(dataset.split), device)
    if found.scale != benchmark.scale:
        raise UserError(
            f"the degradation '{dataset.degradation}' is of scale {found.scale}, the benchmark of {benchmark.scale}",
            where=benchmark.id,
            fix="name a degradation of the benchmark's scale",
        )
    if dataset.content_sha256 is not None and (digest := found.digest()) != dataset.content_sha256:
        raise UserError(
            f"are not the pairs that '{benchmark.id}' pins: their sha256 is {digest}, not {dataset.content_sha256}",
            where=location,
            fix=dataset.get,
        )
    return found


def dataset_record(
    benchmark: SuperResolution, source: PairSource, data: str | None, *, train: int, test: int
) -> DatasetRecord:
    """Return which pairs were found.

    With a table its digest stands for them, as the pixels of each image are in it; else what `digest` says.

    Args:
        benchmark: Which data.
        source: Its test pairs.
        data: Where they lie; None for the benchmark's own `path`.
        train: Number of real pairs to train on.
        test: Number of test pairs.
    """
    dataset = benchmark.dataset
    location = str(data or _place(benchmark))
    address = parse_address(location)
    return DatasetRecord(
        name=dataset.name,
        content_sha256=pinned_content(benchmark) or source.digest(),
        pinned=pinned_content(benchmark) is not None,
        source=Path(location).expanduser().resolve().name if address is None else address.name,
        revision="local" if address is None else address.revision or "main",
        train=train,
        test=test,
    )


def pinned_content(benchmark: SuperResolution) -> str | None:
    """Return the digest that a benchmark pins its pairs by; None where it does not."""
    return benchmark.dataset.items_sha256 or benchmark.dataset.content_sha256


def pinned_keys(benchmark: SuperResolution) -> tuple[str, ...] | None:
    """Return the keys of the test pairs of a benchmark with a table; None for one without.

    Raises:
        UserError: The table is missing or not the pinned one.
    """
    dataset = benchmark.dataset
    return None if dataset.items is None else tuple(_items(benchmark, dataset.items, str(dataset.split)))


def _place(benchmark: SuperResolution) -> str | None:
    path = benchmark.dataset.path
    return path if path is None or path.startswith("hf://") else str(benchmark.at(path))


def _below(location: str, part: str) -> str:
    return f"{location.rstrip('/')}/{part}" if part else location


def _degraded(benchmark: SuperResolution, images: str, split: str, device: str) -> DegradedImages:
    dataset = benchmark.dataset
    method = str(dataset.degradation)
    spec: dict[str, str | int] = {"method": method}
    if "scale" in lookup("degradations", method).Options.model_fields:
        spec["scale"] = benchmark.scale
    pinned = None if dataset.items is None else _items(benchmark, dataset.items, split)
    return DegradedImages(images, spec, pinned=pinned, device=device)


def _items(benchmark: SuperResolution, name: str, split: str) -> dict[str, str]:
    """Return the sha256 of the pixels of each image of a split by its name in the pinned table."""
    dataset, path = benchmark.dataset, benchmark.at(name)
    if not files.exists(path) or not path.is_file():
        raise UserError(
            f"the benchmark '{benchmark.id}' needs this table",
            where=str(path),
            fix="install synrs-data again",
        )
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != dataset.items_sha256:
        raise UserError(
            f"is not the table that '{benchmark.id}' pins: its sha256 is {found}, not {dataset.items_sha256}",
            where=str(path),
            fix="install synrs-data again, or use another id for another table",
        )
    return _rows(content, path, split)


def _rows(content: bytes, path: Path, split: str) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"cannot be read as CSV: {error}", where=str(path), fix="correct the table"
        ) from error
    columns = ("name", "split", "pixels_sha256")
    for line, row in enumerate(rows, start=2):
        if None in row or not all(row.get(column) for column in columns):
            raise UserError(
                f"line {line} has not one value for each column",
                where=str(path),
                fix=f"give each image the columns {', '.join(columns)}",
            )
    found = {row["name"]: row["pixels_sha256"] for row in rows if row["split"] == split}
    if not found:
        raise UserError(f"has no row of the split '{split}'", where=str(path), fix="name one that it has")
    return found
