"""Copies of test images in another set: by pixels, and by perceptual hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.filters.perceptual_hash import Hashes

BITS = 4
"""Hashes that differ in at most so many bits are near, as for the filters `leak` and `near-duplicate`."""

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Marks:
    """What copies are found by, of the images of a set.

    Attributes:
        pixels: `pixel_digest` of each.
        hashes: Perceptual hash of each, (n,).
    """

    pixels: tuple[str, ...]
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class Leaks:
    """What of a set is near a test image.

    Attributes:
        exact: Whether a test image has the same pixels, (n,).
        nearest: Row of the test image of the nearest hash, (n,).
        distance: Bits in which it differs, (n,).
    """

    exact: NDArray[np.bool_]
    nearest: NDArray[np.int64]
    distance: NDArray[np.int64]

    @property
    def near(self) -> NDArray[np.bool_]:
        """Whether the nearest hash is within `BITS`, or the pixels are the same, (n,)."""
        return self.exact | (self.distance <= BITS)


def pixel_digest(image: NDArray[np.uint8]) -> str:
    """Return the sha256 of the size and the RGB values of an image, (height, width, 3)."""
    return hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode() + image.tobytes()).hexdigest()


def find_leaks(marks: Marks, test: Marks) -> Leaks:
    """Compare a set with test images.

    Images without structure, such as open sea, have hashes that are near by chance: compare the number with that of
    real images that are no test images.
    """
    known = _rows(test.pixels)
    nearest, distance = _nearest(marks.hashes, test.hashes)
    exact = np.array([digest in known for digest in marks.pixels], dtype=np.bool_)
    # Of images with the same pixels, the hash is the same too, but another image may come first.
    for row in np.flatnonzero(exact):
        nearest[row] = known[marks.pixels[row]]
    return Leaks(exact, nearest, distance)


def _rows(digests: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, digest in enumerate(digests):
        found.setdefault(digest, row)
    return found


def _nearest(hashes: Hashes, others: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row of the nearest of some hashes to each, and the bits that differ, each (n,)."""
    rows, bits = np.empty(len(hashes), dtype=np.int64), np.empty(len(hashes), dtype=np.int64)
    for start in range(0, len(hashes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        counts = np.bitwise_count(hashes[part, None] ^ others[None])
        rows[part] = counts.argmin(axis=1)
        bits[part] = counts.min(axis=1)
    return rows, bits
