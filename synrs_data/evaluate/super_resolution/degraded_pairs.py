"""Pairs whose low-resolution image is made here, from a high-resolution one, by a degradation of this package."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data import files
from synrs_data.build.pairs import PairMaker
from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.super_resolution.pairs import Pair, known, stem
from synrs_data.geo import GeoRecord
from synrs_data.image_sources import ImageSource, decode_rgb
from synrs_data.recipe import MethodSpec
from synrs_data.registry import lookup
from synrs_data.sample import Request
from synrs_data.vocabulary import explain

_SHOWN = 3


class DegradedImages:
    """High-resolution images, and their partners made from them by a degradation of this package.

    High-resolution images are cut to multiples of the scale, at the right and below.

    Args:
        images: Anything that `ImageSource` reads, or a CSV table with the columns `path` (from the table's folder)
            and `split`, such as `sr_hr_lossless.csv` of UC Merced.
        degradation: Registered name and options, such as `{"method": "bicubic", "scale": 4}`.
        split: Rows of the table that are taken; only with a table.
        pinned: sha256 of the pixels (`pixels_digest`) of the images that are taken, by name without the ending, in
            order: files of any lossless format do. The names are then the keys.
        seed: Of what the degradation draws; another key draws other numbers.
        device: Where the degradation runs.

    Raises:
        RecipeError: There is no such degradation or option.
    """

    def __init__(
        self,
        images: str,
        degradation: Mapping[str, Any],
        *,
        split: str | None = None,
        pinned: Mapping[str, str] | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self._images, self._split, self._seed = images, split, seed
        self._pinned = pinned
        self._spec = MethodSpec.model_validate(dict(degradation))
        self._maker = _maker(self._spec, device)
        self.scale = self._maker.scale

    @cached_property
    def _found(self) -> dict[str, Callable[[], bytes]]:
        path = Path(self._images)
        if path.suffix.lower() == ".csv":
            return {name: (path.parent / name).read_bytes for name in _table(path, self._split)}
        if self._split is not None:
            raise UserError("only a table has splits", where=self._images, fix="take `split` out")
        source = ImageSource(self._images)
        if self._pinned is None:
            return {image.name: image.read for image in source.images}
        there = {stem(image.name): image for image in source.images}
        if missing := [name for name in self._pinned if name not in there]:
            raise UserError(
                f"{len(missing)} of {len(self._pinned)} test images are not there: {_some(missing)}",
                where=self._images,
                fix="give the folder that these names are relative to",
            )
        return {name: there[name].read for name in self._pinned}

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key, in order; see `PairSource`."""
        return tuple(self._found)

    def read(self, keys: Sequence[str] | None = None) -> Iterator[Pair]:
        """Yield pairs; see `PairSource`."""
        for key in self.keys if keys is None else keys:
            high = decode_rgb(known(self._found, key)(), f"{self._images}, {key}")
            if self._pinned is not None and (found := pixels_digest(high)) != self._pinned[key]:
                raise UserError(
                    f"'{key}' has other pixels than the pinned ones: their sha256 is {found}, not {self._pinned[key]}",
                    where=self._images,
                    fix="give the original images or lossless copies of them",
                )
            height, width = (size - size % self.scale for size in high.shape[:2])
            if not height or not width:
                raise UserError(
                    f"'{key}' is smaller than {self.scale} pixels", where=self._images, fix="remove it"
                )
            request = Request("", 0, _seed(self._seed, key), GeoRecord())
            made = self._maker.make([request], [np.ascontiguousarray(high[:height, :width])])
            yield Pair(key, made.lr[0], made.hr[0])

    def digest(self) -> str:
        """Return the sha256 over names and contents of the images, degradation and seed."""
        found = hashlib.sha256(f"{self._spec.model_dump_json()} {self._seed}\n".encode())
        for key, content in self._found.items():
            found.update(f"{key} {hashlib.sha256(content()).hexdigest()}\n".encode())
        return found.hexdigest()

    def file_digests(self) -> tuple[str, ...]:
        """Return the sha256 of each file; see `PairSource`."""
        return tuple(hashlib.sha256(content()).hexdigest() for content in self._found.values())


def pixels_digest(image: NDArray[np.uint8]) -> str:
    """Return the sha256 over size and pixels of an image, whatever its file's format."""
    height, width = image.shape[:2]
    content = f"{height} {width}\n".encode() + np.ascontiguousarray(image).tobytes()
    return hashlib.sha256(content).hexdigest()


def _maker(spec: MethodSpec, device: str) -> PairMaker:
    try:
        return PairMaker(spec, device, lambda *_, **__: None)
    except ValidationError as error:
        options = lookup("degradations", spec.method).Options
        raise RecipeError(
            explain(error, options),
            where=f"the degradation '{spec.method}'",
            fix="`synrs-data list degradations` shows the options",
        ) from error


def _table(path: Path, split: str | None) -> list[str]:
    """Return the paths of a table's split, each of which is there."""
    if not files.exists(path) or not path.is_file():
        raise UserError("there is no such table", where=str(path), fix="correct the path")
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"cannot be read as CSV: {error}", where=str(path), fix="correct the table"
        ) from error
    for line, row in enumerate(rows, start=2):
        if None in row or not row.get("path") or not row.get("split"):
            raise UserError(
                f"line {line} has no path or no split",
                where=str(path),
                fix="give each image the columns path and split",
            )
    names = [row["path"] for row in rows if split in (None, row["split"])]
    if not names:
        raise UserError(f"has no row of the split '{split}'", where=str(path), fix="name one that it has")
    if missing := [name for name in names if not files.exists(path.parent / name)]:
        raise UserError(
            f"{len(missing)} of {len(names)} images are not there: {_some(missing)}",
            where=str(path),
            fix="put them beside the table",
        )
    return list(dict.fromkeys(names))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()) >> 1
