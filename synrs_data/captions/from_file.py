"""Captions of the user's own, from a JSONL or CSV file."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pydantic import BaseModel, ConfigDict, Field

from synrs_data.captions.cleaning import MAX_CHARACTERS, one_line
from synrs_data.captions.geo_ranges import GeoRanges, with_geo
from synrs_data.errors import CaptionError
from synrs_data.geo import GEO_FIELDS, geo_record
from synrs_data.recipe import path_option
from synrs_data.resources import suggestion
from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet

COLUMNS = ("caption", "label", "image", *GEO_FIELDS)
"""Names of the columns that a captions file may have."""

Row = tuple[int, dict[str, Any]]


class FromFileOptions(BaseModel):
    """Options of `from-file`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = path_option(description="Captions file, .jsonl or .csv in UTF-8.")
    label: str | None = Field(
        None, description="Name of the label of every caption, for a file without a column 'label'."
    )
    geo: GeoRanges | None = Field(
        None, description="Geo-metadata that a row leaves unknown: value or [low, high]."
    )


class FromFile:
    """Reads one caption a row, in the order of the file.

    Columns: `caption`; `label`, a name of the recipe's label set; `image`, the name of the image that belongs to
    the caption, for generators that start from one; and any of `synrs_data.geo.GEO_FIELDS`.
    """

    Options: ClassVar[type[BaseModel]] = FromFileOptions

    def __init__(self, options: FromFileOptions) -> None:
        self._options = options

    def inputs(self) -> list[Path]:
        """Return the captions file.

        Raises:
            CaptionError: It is missing, a folder, or of another format.
        """
        path = Path(self._options.path).expanduser()
        if path.is_dir():
            raise CaptionError("is a folder", where=str(path), fix="name the captions file itself")
        if not path.is_file():
            raise CaptionError(
                "there is no such captions file", where=str(path), fix="correct 'captions.path' of the recipe"
            )
        if path.suffix.lower() not in _READERS:
            raise CaptionError(
                f"the ending '{path.suffix}' is no known format",
                where=str(path),
                fix=f"name it {' or '.join(sorted(_READERS))}",
            )
        return [path]

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book, one entry a row; the seed decides nothing but what is drawn for `geo`.

        Raises:
            CaptionError: The file is missing, empty or broken, or a row has an unknown column or label, no
                caption, a caption of over `MAX_CHARACTERS` characters, or impossible geo-metadata.
        """
        [path] = self.inputs()
        indices = {name: index for index, name in enumerate(labels.names)}
        book = []
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                for line, row in _READERS[path.suffix.lower()](file, str(path)):
                    book.append(self._caption(row, indices, path.name, line, where=f"{path}, line {line}"))
        except UnicodeDecodeError as error:
            raise CaptionError("is not UTF-8 text", where=str(path), fix="save it again as UTF-8") from error
        except OSError as error:
            raise CaptionError(
                f"cannot be read: {error.strerror}", where=str(path), fix="make it readable"
            ) from error
        if not book:
            raise CaptionError("holds no caption", where=str(path), fix="write at least one row")
        return with_geo(book, self._options.geo, seed=seed)

    def _caption(
        self, row: dict[str, Any], indices: dict[str, int], name: str, line: int, *, where: str
    ) -> Caption:
        _check_columns(row, where)
        return Caption(
            text=_text(row.get("caption"), where),
            label=self._label(row.get("label"), indices, where),
            source=f"file:{name}#{line}",
            geo=geo_record({key: row[key] for key in GEO_FIELDS if key in row}, where=where),
            image=_image(row.get("image"), where),
        )

    def _label(self, value: object, indices: dict[str, int], where: str) -> int:
        constant = self._options.label
        if value not in (None, "") and constant is not None:
            raise CaptionError(
                f"the row has its own label {value!r} beside the constant '{constant}'",
                where=where,
                fix="remove 'captions.label' of the recipe, or the column 'label' of the file",
            )
        name = constant if value in (None, "") else value
        if name is None:
            raise CaptionError(
                "the row has no label",
                where=where,
                fix="fill the column 'label', or set 'captions.label' of the recipe for all rows",
            )
        if not isinstance(name, str) or name not in indices:
            raise CaptionError(
                f"unknown label {name!r}", where=where, fix=suggestion(str(name), list(indices), what="label")
            )
        return indices[name]


def _check_columns(row: dict[str, Any], where: str) -> None:
    for column in row:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column.lower(), COLUMNS, n=1, cutoff=0.5)
            guess = f"did you mean '{near[0]}'? " if near else ""
            raise CaptionError(
                f"unknown column '{column}'", where=where, fix=f"{guess}known: {', '.join(COLUMNS)}"
            )


def _image(value: object, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise CaptionError(f"the image {value!r} is no name", where=where, fix="write it in quotes")
    return value or ""


def _text(value: object, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise CaptionError(f"the caption {value!r} is no text", where=where, fix="write it in quotes")
    text = one_line(value or "")
    if not text:
        raise CaptionError("the row has no caption", where=where, fix="fill the column 'caption'")
    if len(text) > MAX_CHARACTERS:
        raise CaptionError(
            f"the caption has {len(text):,} characters, over {MAX_CHARACTERS:,}",
            where=where,
            fix="shorten it",
        )
    return text


def _json_rows(file: TextIO, name: str) -> Iterator[Row]:
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise CaptionError(
                f"is not JSON: {reason}", where=f"{name}, line {line}", fix="write one JSON object a line"
            ) from error
        if not isinstance(row, dict):
            raise CaptionError(
                f"is a JSON {type(row).__name__}, not an object",
                where=f"{name}, line {line}",
                fix='write one object a line, such as {"caption": "a river.", "label": "River"}',
            )
        yield line, row


def _csv_rows(file: TextIO, name: str) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, [])
        repeated = sorted({column for column in header if header.count(column) > 1})
        if repeated:
            raise CaptionError(
                f"columns appear twice: {', '.join(repeated)}",
                where=f"{name}, line 1",
                fix="keep one of each",
            )
        if header:
            _check_columns(dict.fromkeys(header), f"{name}, line 1")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise CaptionError(
                    f"has {len(cells)} cells where the header has {len(header)}",
                    where=f"{name}, line {reader.line_num}",
                    fix="put a caption with a comma in double quotes",
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise CaptionError(
            f"is not CSV: {error}",
            where=f"{name}, line {reader.line_num}",
            fix="correct the quotes of the row",
        ) from error


_READERS = {".jsonl": _json_rows, ".csv": _csv_rows}
