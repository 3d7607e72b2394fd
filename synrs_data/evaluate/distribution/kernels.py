"""Kernel distances: maximum mean discrepancies with the polynomial kernel of KID and the Gaussian one of CMMD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.samples import HALVES, Features, Spread, half_samples, pair_of

Kernel = Callable[[Features, Features], NDArray[np.float64]]
"""Of rows (n, width) and (m, width), (n, m)."""

SUBSETS, SUBSET_SIZE = 100, 1000
"""Of the kernel distance in torch-fidelity (`kid_subsets`, `kid_subset_size`, torch_fidelity/defaults.py)."""

SIGMA, SCALE = 10.0, 1000.0
"""Of CMMD: google-research/cmmd, distance.py (Jayasumana et al., Rethinking FID, CVPR 2024)."""

_ROWS = 512


@dataclass(frozen=True, slots=True)
class SubsetSpread:
    """A kernel distance as KID is reported.

    Attributes:
        mean: Over subsets.
        deviation: Standard deviation over subsets: of subsets of this size, not of the mean.
        subsets: Number of subsets.
        size: Images of each subset.
    """

    mean: float
    deviation: float
    subsets: int
    size: int


def polynomial(first: Features, second: Features) -> NDArray[np.float64]:
    """Return (x.y / width + 1)^3: Binkowski et al., Demystifying MMD GANs, ICLR 2018."""
    return np.asarray((first @ second.T / first.shape[1] + 1) ** 3, dtype=np.float64)


def gaussian(first: Features, second: Features) -> NDArray[np.float64]:
    """Return exp(-|x - y|^2 / (2 sigma^2)) with the sigma of CMMD."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.exp(-squares / (2 * SIGMA**2)), dtype=np.float64)


def kernel_distance(
    first: Features, second: Features, *, seed: int, subsets: int = SUBSETS, size: int = SUBSET_SIZE
) -> SubsetSpread:
    """Return the mean over subsets of the unbiased squared discrepancy with the polynomial kernel.

    That of features of Inception-v3 is KID (Binkowski et al. 2018). It may be below zero. A size above that of a
    sample is lowered to it; the result says which was used.

    Args:
        first: Features, (n, width), n at least 2.
        second: Features, (m, width), m at least 2.
        seed: Of the subsets.
        subsets: Number of subsets, each drawn without replacement.
        size: Images of each subset.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    ours, theirs = pair_of(first, second, least=2)
    size = min(size, len(ours), len(theirs))
    random = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        rows = [random.choice(len(each), size, replace=False) for each in (ours, theirs)]
        values.append(float(_discrepancies(ours[rows[0]], theirs[rows[1]], polynomial, unbiased=True)[0]))
    return SubsetSpread(float(np.mean(values)), float(np.std(values)), subsets, size)


def kernel_spread(first: Features, second: Features, *, seed: int, halves: int = HALVES) -> Spread:
    """Return the unbiased squared discrepancy of the whole samples, polynomial kernel, with its standard error.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    return _spread(first, second, polynomial, seed=seed, halves=halves, unbiased=True)


def cmmd(first: Features, second: Features) -> float:
    """Return 1,000 times the squared discrepancy with the Gaussian kernel of features of length one.

    The biased estimate, as published (google-research/cmmd, distance.py); on features of CLIP ViT-L/14-336 it is CMMD.

    Args:
        first: Features, (n, width); they are normalised here.
        second: Features, (m, width).

    Raises:
        UserError: The samples do not fit, are too small or have a row of zeros.
    """
    return float(SCALE * _discrepancies(*_of_length_one(first, second), gaussian, unbiased=False)[0])


def cmmd_spread(first: Features, second: Features, *, seed: int, halves: int = HALVES) -> Spread:
    """Return `cmmd` with its standard error over half samples.

    Raises:
        UserError: See `cmmd`.
    """
    ours, theirs = _of_length_one(first, second)
    found = _spread(ours, theirs, gaussian, seed=seed, halves=halves, unbiased=False)
    return Spread(SCALE * found.value, SCALE * found.standard_error)


def _of_length_one(first: Features, second: Features) -> tuple[Features, Features]:
    ours, theirs = pair_of(first, second, least=2)
    lengths = [np.linalg.norm(each, axis=1, keepdims=True) for each in (ours, theirs)]
    if not all(each.all() for each in lengths):
        raise UserError(
            "a row of features is all zeros, which has no direction", fix="make the features anew"
        )
    return ours / lengths[0], theirs / lengths[1]


def _spread(
    first: Features, second: Features, kernel: Kernel, *, seed: int, halves: int, unbiased: bool
) -> Spread:
    ours, theirs = pair_of(first, second, least=4)
    members = [np.zeros((len(each), halves + 1)) for each in (ours, theirs)]
    for each in members:
        each[:, 0] = 1
    for number, rows in enumerate(half_samples(len(ours), len(theirs), seed=seed, halves=halves), start=1):
        for each, chosen in zip(members, rows, strict=True):
            each[chosen, number] = 1
    values = _discrepancies(ours, theirs, kernel, members[0], members[1], unbiased=unbiased)
    return Spread(float(values[0]), float(values[1:].std(ddof=1)))


def _discrepancies(
    first: Features,
    second: Features,
    kernel: Kernel,
    of_first: Features | None = None,
    of_second: Features | None = None,
    *,
    unbiased: bool,
) -> Features:
    """Return the squared discrepancy of subsets, (subsets,), from one pass over the kernels.

    Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012, lemma 6: the unbiased and the biased estimate.

    Args:
        first: Features, (n, width).
        second: Features, (m, width).
        kernel: What compares rows.
        of_first: 1 where a row is in a subset, else 0, (n, subsets); None for one subset of all.
        of_second: The same of `second`, (m, subsets).
        unbiased: Whether rows are not compared with themselves.
    """
    ours = np.ones((len(first), 1)) if of_first is None else of_first
    theirs = np.ones((len(second), 1)) if of_second is None else of_second
    inner = []
    for rows, members in ((first, ours), (second, theirs)):
        count = members.sum(axis=0)
        total = _sums(rows, rows, members, members, kernel)
        if unbiased:
            alone = np.array([kernel(row[None], row[None])[0, 0] for row in rows])
            inner.append((total - alone @ members) / (count * (count - 1)))
        else:
            inner.append(total / count**2)
    cross = _sums(first, second, ours, theirs, kernel) / (ours.sum(axis=0) * theirs.sum(axis=0))
    return np.asarray(inner[0] + inner[1] - 2 * cross, dtype=np.float64)


def _sums(first: Features, second: Features, ours: Features, theirs: Features, kernel: Kernel) -> Features:
    """Return the sum of the kernel over pairs of each subset, (subsets,), some rows at a time."""
    total = np.zeros(ours.shape[1])
    for start in range(0, len(first), _ROWS):
        part = slice(start, start + _ROWS)
        total += (ours[part] * (kernel(first[part], second) @ theirs)).sum(axis=0)
    return total
