"""Pairs of a low- and a high-resolution image: from two folders, or from tars and builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.image_sources import ImageSource, SourceImage, decode_rgb
from synrs_data.shards.schema import HR, LR

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

    def file_digests(self) -> tuple[str, ...]:
        """Return the sha256 of the file of each high-resolution image, by which builds say what they are made from."""
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
        shared = {stem(image.name) for image in low} & {stem(image.name) for image in high}
        if self._match == "order" or (self._match == "either" and not shared):
            if len(low) != len(high):
                raise UserError(
                    f"hold {len(low)} low- and {len(high)} high-resolution images",
                    where=self._where,
                    fix="give folders with as many images on both sides",
                )
            return {stem(large.name): (small, large) for small, large in zip(low, high, strict=True)}
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

    def file_digests(self) -> tuple[str, ...]:
        """Return the sha256 of each high-resolution file; see `PairSource`."""
        return tuple(hashlib.sha256(high.read()).hexdigest() for _, high in self._pairs.values())


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

    def file_digests(self) -> tuple[str, ...]:
        """Return the sha256 of each high-resolution file; see `PairSource`."""
        return tuple(hashlib.sha256(high.read()).hexdigest() for _, high in self._pairs.values())


def _read(
    pairs: Mapping[str, tuple[SourceImage, SourceImage]], keys: Sequence[str] | None, scale: int
) -> Iterator[Pair]:
    for key in pairs if keys is None else keys:
        small, large = known(pairs, key)
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
        name = stem(image.name)
        if name in found:
            raise UserError(
                f"has two images of the name '{name}'", where=source.name, fix="give each image its own name"
            )
        found[name] = image
    return found


def stem(name: str) -> str:
    """Return a name without its ending."""
    return PurePosixPath(name).with_suffix("").as_posix()


def known(found: Mapping[str, _Value], key: str) -> _Value:
    """Return what stands under a key, or raise a UserError that names it."""
    if key not in found:
        raise UserError(f"there is no pair '{key}'", fix="ask for keys that the source has")
    return found[key]
