"""Frechet distance of two samples of features, as normal distributions of their means and covariances."""

from __future__ import annotations

import numpy as np

from synrs_data.evaluate.distribution.samples import HALVES, Features, Spread, half_samples, pair_of

WIDE = 512
"""Above so many features fewer half samples are taken."""

IMAGES_A_FEATURE = 10
"""With fewer, values are called biased; our choice: below it, halving n moved values of equal distributions visibly."""


def frechet_distance(first: Features, second: Features) -> float:
    """Return the squared 2-Wasserstein distance of the normal distributions with the samples' moments.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances over n - 1: Dowson and Landau, Journal of Multivariate
    Analysis 12(3), 1982, 450-455; Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, equation
    6. The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric, or
    of the singular values of the product of both samples: no root of a negative or complex number is taken where a
    covariance is singular. The value is biased upwards, the more the smaller n is: compare values of equal n alone.

    Args:
        first: Features, (n, width), n at least 2.
        second: Features, (m, width), m at least 2.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    ours, theirs = pair_of(first, second, least=2)
    apart = ours.mean(axis=0) - theirs.mean(axis=0)
    rows = [(each - each.mean(axis=0)) / np.sqrt(len(each) - 1) for each in (ours, theirs)]
    traces = float(sum((each**2).sum() for each in rows))
    return max(0.0, float(apart @ apart) + traces - 2 * _root_trace(rows[0], rows[1]))


def _root_trace(ours: Features, theirs: Features) -> float:
    """Return tr((C1 C2)^(1/2)) for C = rows^T rows, whichever way is the smaller problem."""
    if max(len(ours), len(theirs)) < ours.shape[1]:
        # C1 C2 has the eigenvalues of (X1 X2^T) (X1 X2^T)^T other than zero.
        return float(np.linalg.svd(ours @ theirs.T, compute_uv=False).sum())
    values, vectors = np.linalg.eigh(ours.T @ ours)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    product = np.linalg.eigvalsh(root.T @ (theirs.T @ theirs) @ root)
    return float(np.sqrt(np.clip(product, 0, None)).sum())


def frechet_spread(first: Features, second: Features, *, seed: int, halves: int | None = None) -> Spread:
    """Return the Frechet distance with its standard error over half samples.

    Args:
        first: Features, (n, width).
        second: Features, (m, width).
        seed: Of the half samples.
        halves: Number of pairs of half samples; None for `frechet_halves`.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    value = frechet_distance(first, second)
    halves = frechet_halves(first.shape[1]) if halves is None else halves
    drawn = half_samples(len(first), len(second), seed=seed, halves=halves)
    values = [frechet_distance(first[ours], second[theirs]) for ours, theirs in drawn]
    return Spread(value, float(np.std(values, ddof=1)))


def frechet_halves(width: int) -> int:
    """Return how many pairs of half samples are taken: fewer of wide features, whose eigenvalues take seconds each."""
    return HALVES if width <= WIDE else HALVES // 5


def frechet_cautions(n: int, m: int, width: int) -> tuple[str, ...]:
    """Return why a Frechet distance of samples of this size says little, a sentence each; empty if it says enough."""
    least = min(n, m)
    if least <= width:
        return (f"{least} images give a singular covariance of {width} features: the value is mostly bias",)
    if least < IMAGES_A_FEATURE * width:
        return (f"{least} images are few for {width} features: compare only with values of the same n",)
    return ()
