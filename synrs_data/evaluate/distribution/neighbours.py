"""Nearest neighbours in a space of features, and the shares that rest on them: precision, recall, density, coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.distribution.samples import Features, pair_of

MANIFOLD_NEAREST = 3
"""Neighbours of precision and recall: Kynkaanniemi et al. 2019."""

DENSITY_NEAREST = 5
"""Neighbours of density and coverage: Naeem et al. 2020."""

_ROWS = 512


@dataclass(frozen=True, slots=True)
class Shares:
    """What each image adds to a share; a share is the mean of its array.

    Attributes:
        precision: Whether each synthetic image lies within the real ones, (n,).
        recall: Whether each real image lies within the synthetic ones, (m,).
        density: In how many neighbourhoods of real images each synthetic one lies, by the neighbours, (n,).
        coverage: Whether the neighbourhood of each real image holds a synthetic one, (m,).
    """

    precision: Features
    recall: Features
    density: Features
    coverage: Features


def shares(
    synthetic: Features,
    real: Features,
    *,
    manifold_nearest: int = MANIFOLD_NEAREST,
    density_nearest: int = DENSITY_NEAREST,
) -> Shares:
    """Return improved precision and recall, and density and coverage.

    A neighbourhood is the ball around an image through its k-th nearest neighbour of its own kind, the image itself
    not counted; its border belongs to it. Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing
    Generative Models, NeurIPS 2019; Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML
    2020 (whose code leaves the border out, which only matters for copies). All depend on n and m: compare values of
    equal sizes.

    Args:
        synthetic: Features, (n, width).
        real: Features, (m, width).
        manifold_nearest: Neighbours of precision and recall.
        density_nearest: Neighbours of density and coverage.

    Raises:
        UserError: The samples do not fit, or have not one image more than neighbours.
    """
    least = 1 + max(manifold_nearest, density_nearest)
    ours, theirs = pair_of(synthetic, real, least=least)
    of_real = _radii(theirs, (manifold_nearest, density_nearest))
    of_ours = _radii(ours, (manifold_nearest,))[0]
    precision, density = np.zeros(len(ours)), np.zeros(len(ours))
    recall, coverage = np.zeros(len(theirs), dtype=np.bool_), np.zeros(len(theirs), dtype=np.bool_)
    for part, squares in _blocks(ours, theirs):
        precision[part] = (squares <= of_real[0]).any(axis=1)
        inside = squares <= of_real[1]
        density[part] = inside.sum(axis=1) / density_nearest
        coverage |= inside.any(axis=0)
        recall |= (squares <= of_ours[part, None]).any(axis=0)
    return Shares(precision, recall.astype(np.float64), density, coverage.astype(np.float64))


def nearest(
    queries: Features, others: Features, count: int, *, same: bool = False
) -> tuple[NDArray[np.int64], Features]:
    """Return the nearest of some rows to each query and how far they are, nearest first.

    Args:
        queries: Features, (n, width).
        others: Features, (m, width).
        count: How many neighbours.
        same: Whether both are the same rows, of which none is its own neighbour.

    Returns:
        Rows of `others` and Euclidean distances, each (n, count).

    Raises:
        UserError: The samples do not fit, or there are too few others.
    """
    ours, theirs = pair_of(queries, others, least=1)
    pair_of(theirs, theirs, least=count + same)
    found = np.empty((len(ours), count), dtype=np.int64)
    for part, squares in _blocks(ours, theirs):
        if same:
            squares[np.arange(len(squares)), np.arange(part.start, part.start + len(squares))] = np.inf
        some = np.argpartition(squares, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(squares, some, axis=1), axis=1, kind="stable")
        found[part] = np.take_along_axis(some, order, axis=1)
    distances = np.empty(found.shape)
    for start in range(0, len(ours), _ROWS):
        part = slice(start, start + _ROWS)
        # From differences: sums of squares less products would leave copies at about 1e-8, not at zero.
        distances[part] = np.linalg.norm(ours[part, None] - theirs[found[part]], axis=2)
    return found, distances


def _radii(features: Features, counts: tuple[int, ...]) -> Features:
    """Return the squared distance of each row to its k-th nearest other one for each k, (counts, n)."""
    found = np.empty((len(counts), len(features)))
    for part, squares in _blocks(features, features):
        squares[np.arange(len(squares)), np.arange(part.start, part.start + len(squares))] = np.inf
        places = [count - 1 for count in counts]
        found[:, part] = np.partition(squares, places, axis=1)[:, places].T
    return found


def _blocks(first: Features, second: Features) -> Iterator[tuple[slice, Features]]:
    """Yield rows of `first`, and their squared distances to all of `second`, (rows, m)."""
    lengths = (second**2).sum(axis=1)
    for start in range(0, len(first), _ROWS):
        rows = first[start : start + _ROWS]
        squares = (rows**2).sum(axis=1)[:, None] + lengths - 2 * rows @ second.T
        yield slice(start, start + len(rows)), np.maximum(squares, 0, out=squares)
