"""Frechet distance of two samples of features, as normal distributions of their means and covariances."""

from __future__ import annotations

import numpy as np

from synrs_data.evaluate.distribution.samples import HALVES, Features, Spread, half_samples, pair_of

IMAGES_A_FEATURE = 10
"""With fewer, values are called biased; our choice: below it, halving n moved values of equal distributions visibly."""


def frechet_distance(first: Features, second: Features) -> float:
    """Return the squared 2-Wasserstein distance of the normal distributions with the samples' moments.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances over n - 1: Dowson and Landau, Journal of Multivariate
    Analysis 12(3), 1982, 450-455; Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, equation
    6. The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric, so
    no root of a negative or complex number is taken where a covariance is singular. The value is biased upwards, the
    more the smaller n is: compare values of equal n alone.

    Args:
        first: Features, (n, width), n at least 2.
        second: Features, (m, width), m at least 2.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    ours, theirs = pair_of(first, second, least=2)
    apart = ours.mean(axis=0) - theirs.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (ours, theirs)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(np.clip(values, 0, None))
    product = np.linalg.eigvalsh(root.T @ covariances[1] @ root)
    traces = float(np.trace(covariances[0]) + np.trace(covariances[1]))
    cross = float(np.sqrt(np.clip(product, 0, None)).sum())
    return max(0.0, float(apart @ apart) + traces - 2 * cross)


def frechet_spread(first: Features, second: Features, *, seed: int, halves: int = HALVES) -> Spread:
    """Return the Frechet distance with its standard error over half samples.

    Args:
        first: Features, (n, width).
        second: Features, (m, width).
        seed: Of the half samples.
        halves: Number of pairs of half samples.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    value = frechet_distance(first, second)
    drawn = half_samples(len(first), len(second), seed=seed, halves=halves)
    values = [frechet_distance(first[ours], second[theirs]) for ours, theirs in drawn]
    return Spread(value, float(np.std(values, ddof=1)))


def frechet_cautions(n: int, m: int, width: int) -> tuple[str, ...]:
    """Return why a Frechet distance of samples of this size says little, a sentence each; empty if it says enough."""
    least = min(n, m)
    if least <= width:
        return (f"{least} images give a singular covariance of {width} features: the value is mostly bias",)
    if least < IMAGES_A_FEATURE * width:
        return (f"{least} images are few for {width} features: compare only with values of the same n",)
    return ()
