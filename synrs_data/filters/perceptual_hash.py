"""The 64-bit perceptual hash, and distances between many of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

Hashes = NDArray[np.uint64]

_SIDE = 32
_KEPT = 8


def _cosines() -> NDArray[np.float64]:
    """Return the first `_KEPT` rows of the type-II discrete cosine transform of length `_SIDE`."""
    places = np.arange(_SIDE) + 0.5
    return np.cos(np.pi / _SIDE * np.outer(np.arange(_KEPT), places))


_DCT = _cosines()


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Return the pHash of an RGB image (height, width, 3): 64 bits.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): grey, 32x32, DCT, the
    8x8 lowest frequencies, each bit says whether its coefficient is above their median without the mean.
    """
    small = PillowImage.fromarray(image).convert("L").resize((_SIDE, _SIDE), PillowImage.Resampling.LANCZOS)
    low = _DCT @ np.asarray(small, dtype=np.float64) @ _DCT.T
    # Rounding hides differences of rounding in the sums, which would flip bits of flat images.
    low = np.round(low, 6)
    bits = low.ravel() > np.median(low.ravel()[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def to_text(value: int) -> str:
    """Return a hash as 16 hexadecimal digits."""
    return f"{value:016x}"


def from_texts(texts: list[str]) -> Hashes:
    """Return hashes written as hexadecimal digits, (n,)."""
    return np.array([int(text, 16) for text in texts], dtype=np.uint64)


def nearest_distance(hashes: Hashes, others: Hashes, *, at_once: int = 256) -> NDArray[np.int64]:
    """Return the smallest Hamming distance of each hash (n,) to any of the others (m,), 0 to 64."""
    nearest = np.empty(len(hashes), dtype=np.int64)
    for start in range(0, len(hashes), at_once):
        part = hashes[start : start + at_once, None] ^ others[None]
        nearest[start : start + at_once] = np.bitwise_count(part).min(axis=1)
    return nearest


def close_pairs(hashes: Hashes, distance: int) -> Iterator[NDArray[np.int64]]:
    """Yield arrays (n, 2) of positions i < j whose hashes differ in at most `distance` bits.

    Exact, without comparing all pairs: of `distance + 1` bands of bits, two such hashes agree in one at least
    (pigeonhole), so only hashes that share a band are compared. A pair can be yielded more than once.
    """
    edges = np.linspace(0, 64, distance + 2).astype(int)
    for low, high in pairwise(edges):
        mask = np.uint64(((1 << int(high - low)) - 1) << int(low))
        order = np.argsort(hashes & mask, kind="stable")
        bands = (hashes & mask)[order]
        starts = np.flatnonzero(np.concatenate(([True], bands[1:] != bands[:-1], [True])))
        for start, end in pairwise(starts):
            if end - start > 1:
                yield from _close_in_group(hashes, np.sort(order[start:end]), distance)


def _close_in_group(
    hashes: Hashes, members: NDArray[np.int64], distance: int, *, at_once: int = 512
) -> Iterator[NDArray[np.int64]]:
    values = hashes[members]
    for start in range(0, len(members), at_once):
        rows = values[start : start + at_once]
        close = np.bitwise_count(rows[:, None] ^ values[None, start:]) <= distance
        first, second = np.nonzero(np.triu(close, k=1))
        if len(first):
            yield np.stack([members[start + first], members[start + second]], axis=1)
