"""Samples of features: what all measures ask of them, and the standard error of what is defined for whole samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError

Features = NDArray[np.float64]
"""One row an image, (n, width)."""

HALVES = 50
"""Pairs of half samples behind a standard error; it is then known to about a tenth (1 / sqrt(2 * 50))."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A value and how sure it is.

    Attributes:
        value: Of the whole samples.
        standard_error: Standard deviation of the value over half samples.
    """

    value: float
    standard_error: float


def pair_of(
    first: NDArray[np.floating], second: NDArray[np.floating], least: int
) -> tuple[Features, Features]:
    """Return two samples as 64-bit numbers after checking them.

    Args:
        first: Features, (n, width).
        second: Features, (m, width).
        least: The smallest n and m that a measure is defined for.

    Raises:
        UserError: They are no samples of one width, hold values that are not finite, or are too small.
    """
    found = []
    for name, values in (("first", first), ("second", second)):
        if values.ndim != 2 or not values.shape[1]:
            raise UserError(
                f"the {name} sample has the shape {values.shape}", fix="give features of the shape (n, width)"
            )
        if len(values) < least:
            raise UserError(
                f"the {name} sample has {len(values)} images, the measure needs {least}",
                fix="take more images",
            )
        if not np.isfinite(values).all():
            raise UserError(
                f"the {name} sample has features that are not finite", fix="make the features anew"
            )
        found.append(np.asarray(values, dtype=np.float64))
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"the samples have features of {first.shape[1]} and {second.shape[1]} numbers",
            fix="take both from one extractor",
        )
    return found[0], found[1]


def half_samples(
    n: int, m: int, *, seed: int, halves: int = HALVES
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield the rows of pairs of half samples, drawn without replacement: (n // 2,) and (m // 2,).

    The standard deviation of a value over half samples estimates its standard error on the whole ones: for a mean,
    half of the rows without replacement vary by s^2/(n/2) (1 - 1/2) = s^2/n. This is the delete-d jackknife with
    d = n/2 (Shao and Wu, Annals of Statistics 17(3), 1989, 1176-1197). Drawing with replacement would not do: rows that
    come twice look like copies to every measure here, and raise a Frechet distance.

    Raises:
        UserError: A sample is too small to be halved.
    """
    if min(n, m) < 4:
        raise UserError(f"{min(n, m)} images cannot be halved", fix="take more images")
    random = np.random.default_rng(seed)
    for _ in range(halves):
        yield tuple(np.sort(random.permutation(size)[: size // 2]) for size in (n, m))
