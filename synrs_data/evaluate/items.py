"""The table of a benchmark's items: keys, splits, labels and digests, read only where its bytes are the pinned ones."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.parts import Splits
from synrs_data.resources import suggestion


@dataclass(frozen=True, slots=True)
class Items:
    """What a benchmark tests on.

    Attributes:
        keys: Of each item, in the benchmark's order.
        labels: Index of each item's class, (n,).
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a table.

    Attributes:
        key: Its name.
        label: Name of its class.
        sha256: Of the bytes of its image.
    """

    key: str
    label: str
    sha256: str


def row_keys(count: int) -> tuple[str, ...]:
    """Return the keys of saved features: row numbers of nine digits."""
    return tuple(f"{row:09d}" for row in range(count))


def read_rows(
    benchmark: Classification, name: str, digest: str, splits: Splits, *, key: str
) -> dict[str, list[Row]]:
    """Return the rows of each split, "train", "validation" and "test", in the order of the table.

    Args:
        benchmark: Whose table it is.
        name: The table, from the benchmark's folder.
        digest: The pinned sha256.
        splits: Which values of the column `split` are what.
        key: Name of the column that tells items apart.

    Raises:
        UserError: The table is not there, is not the pinned one, or is wrong: also if an image is in two splits.
    """
    where, fix = str(benchmark.at(name)), benchmark.dataset.get
    table = _table(read_pinned(benchmark, name, digest), name, where, (key, "split", "label", "sha256"))
    _check_unique(table[key].to_list(), key, where)
    found = {}
    for split, value in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        rows = table.filter(pl.col("split") == value) if value is not None else table.clear()
        if value is not None and not rows.height:
            raise UserError(f"has no row of the split '{value}'", where=where, fix=fix)
        values = zip(rows[key].to_list(), rows["label"].to_list(), rows["sha256"].to_list(), strict=True)
        found[split] = [Row(*row) for row in values]
        _check_labels(found[split], benchmark, where)
    _check_apart(found, where)
    return found


def label_indices(labels: list[str], benchmark: Classification) -> NDArray[np.int64]:
    """Return the index of each class name, (n,)."""
    index = {name: number for number, name in enumerate(benchmark.class_names)}
    return np.array([index[label] for label in labels], dtype=np.int64)


def check_classes(labels: list[str], benchmark: Classification, split: str, where: str) -> None:
    """Raise a UserError if a class has no image in a split."""
    if empty := [name for name in benchmark.class_names if name not in set(labels)]:
        raise UserError(
            f"has no image of {'the class' if len(empty) == 1 else 'the classes'} {', '.join(empty)} in its {split} "
            "split",
            where=where,
            fix=benchmark.dataset.get,
        )


def read_pinned(benchmark: Classification, name: str, digest: str) -> bytes:
    """Return a file's contents after checking them; a table or a tar of a benchmark fits in memory.

    Raises:
        UserError: It is not there, or has other bytes.
    """
    path, get = benchmark.at(name), benchmark.dataset.get
    if not files.exists(path) or not path.is_file():
        raise UserError(f"the benchmark '{benchmark.id}' needs this file", where=str(path), fix=get)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UserError(
            f"is not the file that the benchmark '{benchmark.id}' pins: its sha256 is {found}, not {digest}",
            where=str(path),
            fix=f"{get}; for other data, copy the benchmark's YAML and give it an id and digests of its own",
        )
    return content


def _table(content: bytes, name: str, where: str, columns: tuple[str, ...]) -> pl.DataFrame:
    parquet = Path(name).suffix == ".parquet"
    try:
        if parquet:
            table = pl.read_parquet(io.BytesIO(content))
        else:
            content.decode("utf-8")
            table = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except (UnicodeDecodeError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"cannot be read as {'Parquet' if parquet else 'CSV'}: {reason}",
            where=where,
            fix="correct the table",
        ) from error
    columns_fix = f"give each image the columns {', '.join(columns)}"
    if missing := [column for column in columns if column not in table.columns]:
        raise UserError(f"has no column {', '.join(missing)}", where=where, fix=columns_fix)
    if wrong := [column for column in columns if table[column].dtype != pl.String]:
        raise UserError(f"has other values than texts in {', '.join(wrong)}", where=where, fix=columns_fix)
    empty = table.select(
        pl.any_horizontal(pl.col(columns).is_null() | (pl.col(columns) == "")).arg_true()
    ).to_series()
    if len(empty):
        raise UserError(f"row {empty[0] + 1} has not one value for each column", where=where, fix=columns_fix)
    return table.select(columns)


def _check_unique(keys: list[str], column: str, where: str) -> None:
    repeated = next((key for key, count in Counter(keys).items() if count > 1), None)
    if repeated is not None:
        raise UserError(
            f"the {column} '{repeated}' comes back", where=where, fix=f"give each image a {column} of its own"
        )


def _check_apart(splits: dict[str, list[Row]], where: str) -> None:
    """Raise if an image is in two splits: what is tested or validated on may not be trained on under another name."""
    seen: dict[str, tuple[str, str]] = {}
    for split, rows in splits.items():
        for row in rows:
            other, key = seen.setdefault(row.sha256, (split, row.key))
            if other != split:
                raise UserError(
                    f"the image '{row.key}' of the {split} split is also '{key}' of the {other} split: both have the "
                    f"sha256 {row.sha256}",
                    where=where,
                    fix="keep each image in one split",
                )


def _check_labels(rows: list[Row], benchmark: Classification, where: str) -> None:
    unknown = sorted({row.label for row in rows} - set(benchmark.class_names))
    if unknown:
        raise UserError(
            f"has labels that are no class of the benchmark: {', '.join(unknown)}",
            where=where,
            fix=suggestion(unknown[0], benchmark.class_names, what="class"),
        )
