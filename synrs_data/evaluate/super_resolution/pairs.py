"""Pairs of a low- and a high-resolution image: from two folders, from tars and builds, or degraded from one source."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data import files
from synrs_data.build.pairs import PairMaker
from synrs_data.errors import RecipeError, UserError
from synrs_data.geo import GeoRecord
from synrs_data.image_sources import ImageSource, SourceImage, decode_rgb
from synrs_data.recipe import MethodSpec
from synrs_data.registry import lookup
from synrs_data.sample import Request
from synrs_data.shards.schema import HR, LR
from synrs_data.vocabulary import explain

_SHOWN = 3

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair.

    Attributes:
        key: Its name in its source; results list it.
        lr: Low resolution, (height, width, 3), 0 to 255.
        hr: High resolution, (height * scale, width * scale, 3).
    """

    key: str
    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]


class PairSource(Protocol):
    """Pairs by key; nothing is decoded before it is asked for.

    Attributes:
        scale: High-resolution pixels of a low-resolution one, along a side.
    """

    scale: int

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key, in order.

        Raises:
            UserError: There are none, or the two sides do not belong together.
        """
        ...

    def read(self, keys: Sequence[str] | None = None) -> Iterator[Pair]:
        """Yield pairs in the order of the keys that are asked for; all of them for None.

        Raises:
            UserError: A pair cannot be read, or its sizes do not fit.
        """
        ...

    def digest(self) -> str:
        """Return the sha256 over what decides all pairs."""
        ...


class PairedFolders:
    """Two folders, as RealSR's test pairs lie.

    Args:
        low: Low-resolution images: anything that `ImageSource` reads.
        high: High-resolution images.
        scale: What a low-resolution pixel covers along a side.
        match: "name": the two of a pair have one name but for its ending; "order": the first belongs to the first, in
            order of name; "either": by name if any name is on both sides, else by order.
    """

    def __init__(
        self, low: str, high: str, scale: int, match: Literal["name", "order", "either"] = "name"
    ) -> None:
        self.scale = scale
        self._low, self._high, self._match = ImageSource(low), ImageSource(high), match
        self._where = f"{low} and {high}"

    @cached_property
    def _pairs(self) -> dict[str, tuple[SourceImage, SourceImage]]:
        low, high = self._low.images, self._high.images
        shared = {_stem(image.name) for image in low} & {_stem(image.name) for image in high}
        if self._match == "order" or (self._match == "either" and not shared):
            if len(low) != len(high):
                raise UserError(
                    f"hold {len(low)} low- and {len(high)} high-resolution images",
                    where=self._where,
                    fix="give folders with as many images on both sides",
                )
            return {_stem(large.name): (small, large) for small, large in zip(low, high, strict=True)}
        return _matched(_by_stem(low, self._low), _by_stem(high, self._high), self._where)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key, in order; see `PairSource`."""
        return tuple(self._pairs)

    def read(self, keys: Sequence[str] | None = None) -> Iterator[Pair]:
        """Yield pairs; see `PairSource`."""
        yield from _read(self._pairs, keys, self.scale)

    def digest(self) -> str:
        """Return the sha256 over both folders and how they are matched."""
        text = f"{self._low.digest()} {self._high.digest()} {self._match} {self.scale}"
        return hashlib.sha256(text.encode()).hexdigest()


class PackedPairs:
    """Pairs as this package builds them: samples with `lr.png` and `hr.png`.

    Args:
        location: A finished build, its `data`, a tar, or `hf://datasets/USER/NAME[@REVISION]`.
        scale: What a low-resolution pixel covers along a side.
        split: Take shards of this split alone (`train-00000.tar`); None for all.
    """

    def __init__(self, location: str, scale: int, split: str | None = None) -> None:
        self.scale = scale
        self._location, self._split = location, split
        self._low, self._high = ImageSource(location, LR), ImageSource(location, HR)

    @cached_property
    def _pairs(self) -> dict[str, tuple[SourceImage, SourceImage]]:
        low, high = (
            {image.name.removesuffix(f".{field}"): image for image in source.images if self._has(image)}
            for source, field in ((self._low, LR), (self._high, HR))
        )
        if not high:
            raise UserError(
                f"has no shards of the split '{self._split}'",
                where=self._location,
                fix="name a split that the build has, or none",
            )
        return _matched(low, high, self._location)

    def _has(self, image: SourceImage) -> bool:
        return self._split is None or image.path.name.startswith(f"{self._split}-")

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key, in order; see `PairSource`."""
        return tuple(self._pairs)

    def read(self, keys: Sequence[str] | None = None) -> Iterator[Pair]:
        """Yield pairs; see `PairSource`."""
        yield from _read(self._pairs, keys, self.scale)

    def digest(self) -> str:
        """Return the sha256 over the tars and the split."""
        text = f"{self._low.digest()} {self._high.digest()} {self._split} {self.scale}"
        return hashlib.sha256(text.encode()).hexdigest()


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
        there = {_stem(image.name): image for image in source.images}
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
            high = decode_rgb(_known(self._found, key)(), f"{self._images}, {key}")
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


def _read(
    pairs: Mapping[str, tuple[SourceImage, SourceImage]], keys: Sequence[str] | None, scale: int
) -> Iterator[Pair]:
    for key in pairs if keys is None else keys:
        small, large = _known(pairs, key)
        low, high = (decode_rgb(image.read(), image.where) for image in (small, large))
        height, width = (size * scale for size in low.shape[:2])
        spare = (high.shape[0] - height, high.shape[1] - width)
        # A high-resolution image that was not cut before it was brought down has up to scale - 1 pixels more.
        if not all(0 <= each < scale for each in spare):
            raise UserError(
                f"the images of '{key}' have {low.shape[1]} x {low.shape[0]} and {high.shape[1]} x {high.shape[0]} "
                f"pixels, which is not a scale of {scale}",
                where=large.where,
                fix="give pairs of the benchmark's scale",
            )
        yield Pair(key, low, np.ascontiguousarray(high[:height, :width]))


def _matched(
    low: Mapping[str, SourceImage], high: Mapping[str, SourceImage], where: str
) -> dict[str, tuple[SourceImage, SourceImage]]:
    alone = sorted(low.keys() ^ high.keys())
    if alone:
        side = "high" if alone[0] in low else "low"
        raise UserError(
            f"'{alone[0]}' has no {side}-resolution image"
            + (f", and {len(alone) - 1} more have no partner" if len(alone) > 1 else ""),
            where=where,
            fix="give both images of a pair one name, or match them by order",
        )
    return {name: (low[name], high[name]) for name in sorted(high)}


def _by_stem(images: Sequence[SourceImage], source: ImageSource) -> dict[str, SourceImage]:
    found: dict[str, SourceImage] = {}
    for image in images:
        stem = _stem(image.name)
        if stem in found:
            raise UserError(
                f"has two images of the name '{stem}'", where=source.name, fix="give each image its own name"
            )
        found[stem] = image
    return found


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _known(found: Mapping[str, _Value], key: str) -> _Value:
    if key not in found:
        raise UserError(f"there is no pair '{key}'", fix="ask for keys that the source has")
    return found[key]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()) >> 1
