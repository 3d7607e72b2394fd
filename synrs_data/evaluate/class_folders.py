"""A data set without a table: classes are folders, or a column of parquet shards; the split follows from the images."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.items import Row
from synrs_data.evaluate.parts import ClassFolders
from synrs_data.image_sources import SourceImage


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule finds.

    Attributes:
        splits: Rows of "train", "validation" and "test", classes in their order, images in that of their hash.
        left_out: Copies of other images, and images that lie in folders of several classes.
    """

    splits: dict[str, list[Row]]
    left_out: int


def sort_into_classes(
    images: Sequence[tuple[SourceImage, str]], benchmark: Classification, rule: ClassFolders, where: str
) -> Found:
    """Give every image a class by its folder and a split by its contents.

    Names of folders are compared without regard to case, spaces and punctuation. Images in folders of no class are
    left alone.

    Args:
        images: Each with the sha256 of its bytes.
        benchmark: Whose classes they are.
        rule: How the classes are split.
        where: The place, for messages.

    Raises:
        UserError: A class has no folder or no image, or there are more or fewer images than the rule says.
    """
    folders = {_plain(name): name for name in benchmark.class_names}
    found: dict[str, set[str]] = {}
    counts = Counter[str]()
    columns = {
        path: _column(path, rule.label_column)
        for path in {image.path: None for image, _ in images if image.column}
    }
    for image, sha256 in images:
        places = (
            [columns[image.path][int(image.member)]] if image.column else re.split(r"[/:]", image.name)[:-1]
        )
        if (label := _label(places, folders)) is not None:
            found.setdefault(sha256, set()).add(label)
            counts[label] += 1
    _check(counts, benchmark, rule, where)
    own: dict[str, list[str]] = {name: [] for name in benchmark.class_names}
    for sha256, labels in found.items():
        if len(labels) == 1:
            own[next(iter(labels))].append(sha256)
    splits: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for label, digests in own.items():
        ranked = sorted(digests, key=lambda sha256: _rank(rule.salt, label, sha256))
        first = round(rule.train * len(ranked))
        second = first + round(rule.validation * len(ranked))
        parts = (ranked[:first], ranked[first:second], ranked[second:])
        for rows, part in zip(splits.values(), parts, strict=True):
            # A key says class and contents, so that it is the same in every layout.
            rows += [Row(f"{label}/{sha256[:16]}", label, sha256) for sha256 in part]
    return Found(splits, counts.total() - sum(len(digests) for digests in own.values()))


def _check(counts: Counter[str], benchmark: Classification, rule: ClassFolders, where: str) -> None:
    if missing := [name for name in benchmark.class_names if not counts[name]]:
        raise UserError(
            f"has no images of {len(missing)} of {len(benchmark.classes)} classes: {', '.join(missing)}",
            where=where,
            fix=benchmark.dataset.get,
        )
    if rule.images is not None and counts.total() != rule.images:
        each = ", ".join(f"{name} {counts[name]}" for name in benchmark.class_names)
        raise UserError(
            f"has {counts.total()} images in its class folders, not {rule.images}: {each}",
            where=where,
            fix=f"{benchmark.dataset.get}; for other data, copy the benchmark's YAML and give it another id",
        )


def _label(parts: Sequence[str], folders: dict[str, str]) -> str | None:
    """Return the class of the innermost folder that is named like one."""
    return next((folders[_plain(part)] for part in reversed(parts) if _plain(part) in folders), None)


def _column(path: Path, name: str) -> list[str]:
    """Return the class name of each row of a parquet shard.

    Numbers are named by `ClassLabel` in the metadata `huggingface` that `datasets` writes (`datasets.arrow_writer`).
    """
    import polars as pl

    try:
        schema = pl.read_parquet_schema(path)
        if name not in schema:
            raise UserError(
                f"has no column '{name}' that says the class, only {', '.join(schema)}",
                where=str(path),
                fix="name it by `label_column` of the benchmark's `rule`",
            )
        values = pl.read_parquet(path, columns=[name])[name]
        if values.dtype == pl.String:
            return [str(value or "") for value in values]
        features = json.loads(pl.read_parquet_metadata(path)["huggingface"])["info"]["features"]
        names = features[name]["names"]
        return [names[value] if value is not None and 0 <= value < len(names) else "" for value in values]
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"the column '{name}' gives no class names: {(str(error).splitlines() or [''])[0]}",
            where=str(path),
            fix="give shards that `datasets` has written with a ClassLabel, or a column of names",
        ) from error


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _rank(salt: str, label: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{salt}/{label}/{sha256}".encode(), digest_size=8).digest()
