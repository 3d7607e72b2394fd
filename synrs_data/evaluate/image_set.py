"""Labelled images, wherever their bytes lie: what encoders embed and protocols train on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.image_sources import SourceImage, decode_rgb
from synrs_data.image_sources.containers import read_parquet


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images with keys and labels; nothing is decoded before it is asked for.

    Attributes:
        keys: Of each image.
        labels: Index of each image's class, (n,).
        digests: The sha256 of each image's bytes.
        images: Where each one lies.
        fix: What to do where one is not what it was, as an instruction.
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int64]
    digests: tuple[str, ...]
    images: tuple[SourceImage, ...]
    fix: str

    def __len__(self) -> int:
        return len(self.keys)

    def digest(self) -> str:
        """Return the sha256 that stands for the images in their order, whatever their keys and labels are."""
        return hashlib.sha256("".join(f"{digest}\n" for digest in self.digests).encode()).hexdigest()

    def take(self, rows: NDArray[np.int64]) -> ImageSet:
        """Return the images of some rows, in their order."""
        return ImageSet(
            tuple(self.keys[row] for row in rows),
            self.labels[rows],
            tuple(self.digests[row] for row in rows),
            tuple(self.images[row] for row in rows),
            self.fix,
        )

    def read(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield row and pixels, (height, width, 3), of every image, in the order in which they are stored.

        Raises:
            UserError: An image has gone, has other bytes than before, or cannot be decoded.
        """
        order = sorted(range(len(self)), key=lambda row: _place(self.images[row]))
        for row, content in zip(order, contents([self.images[row] for row in order]), strict=True):
            found = hashlib.sha256(content).hexdigest()
            if found != self.digests[row]:
                raise UserError(
                    f"the image '{self.keys[row]}' is not the one that is listed: {found}, not {self.digests[row]}",
                    where=self.images[row].where,
                    fix=self.fix,
                )
            yield row, decode_rgb(content, self.images[row].where)


def join(first: ImageSet, second: ImageSet) -> ImageSet:
    """Return the images of two sets as one."""
    return ImageSet(
        first.keys + second.keys,
        np.concatenate([first.labels, second.labels]),
        first.digests + second.digests,
        first.images + second.images,
        first.fix,
    )


def contents(images: Sequence[SourceImage]) -> Iterator[bytes]:
    """Yield the bytes of images; consecutive ones of a parquet file cost one reading of its column.

    Raises:
        UserError: A file has gone or is damaged.
    """
    import polars as pl
    from polars import selectors

    held, column = None, None
    for image in images:
        if not image.column:
            yield image.read()
            continue
        if held != (image.path, image.column):
            # The first row by the careful reader, which turns what polars raises into a message.
            read_parquet(image.path, image.column, int(image.member))
            held = (image.path, image.column)
            scan = pl.scan_parquet(image.path, glob=False).select(selectors.by_name(image.column))
            column = scan.collect().to_series().struct.field("bytes")
        assert column is not None
        yield column[int(image.member)] or b""


def _place(image: SourceImage) -> tuple[str, int, int]:
    return str(image.path), image.offset, int(image.member) if image.column else 0
