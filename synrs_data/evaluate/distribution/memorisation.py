"""Memorisation: how near synthetic images come to training images, against how near held-out real ones come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.distribution.neighbours import nearest
from synrs_data.evaluate.distribution.samples import Features

FLOOR_SHARE = 0.01
"""Of held-out real images so many are nearer to training images than the limit that synthetic ones are held to."""

_NORMAL = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near images come to training images, and how near held-out real ones do.

    Attributes:
        median: Distance to the nearest training image, median over the images.
        floor_median: The same of the held-out real images.
        limit: Distance below which `FLOOR_SHARE` of the held-out images are.
        below_limit: Share of the images below it.
        nearer: Share of pairs of an image and a held-out one of which the image is nearer; ties count half.
        low: Lower end of the 95 % interval of `nearer`.
        high: Upper end.
    """

    median: float
    floor_median: float
    limit: float
    below_limit: float
    nearer: float
    low: float
    high: float


def nearest_to_training(distances: Features, floor: Features) -> Nearness:
    """Compare distances to the nearest training image with those of held-out real images.

    `nearer` is the Mann-Whitney statistic on which Meehan et al., A Non-Parametric Test to Detect Data-Copying in
    Generative Models, AISTATS 2020, rest C_T, as a share: 0.5 where synthetic images are as near as held-out ones, 1
    where each is nearer. Its interval is that of DeLong et al., Biometrics 44(3), 1988, 837-845. A model of poor
    images that copies some hides them in a share below 0.5: look at `below_limit` and at the pictures too.

    Args:
        distances: Of each synthetic image to its nearest training image, (n,), n at least 2.
        floor: Of each held-out real image, (m,), m at least 2.
    """
    limit = float(np.quantile(floor, FLOOR_SHARE))
    ours = _share_above(distances, np.sort(floor))
    theirs = 1 - _share_above(floor, np.sort(distances))
    nearer = float(ours.mean())
    half = _NORMAL * float(np.sqrt(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs)))
    return Nearness(
        median=float(np.median(distances)),
        floor_median=float(np.median(floor)),
        limit=limit,
        below_limit=float(np.mean(distances < limit)),
        nearer=nearer,
        low=max(0.0, nearer - half),
        high=min(1.0, nearer + half),
    )


@dataclass(frozen=True, slots=True)
class TrainingNeighbours:
    """The nearest training image of each of some images.

    Attributes:
        rows: Of the training images, (n,).
        distances: To it, (n,).
        ratios: That distance by the distance of the training image to its own nearest one, (n,); zero for a copy.
    """

    rows: NDArray[np.int64]
    distances: Features
    ratios: Features

    @property
    def authentic(self) -> NDArray[np.bool_]:
        """Whether each image is farther from its nearest training image than that one is from its own, (n,).

        Alaa et al., How Faithful is your Synthetic Data?, ICML 2022 (authenticity), as computed by the code of
        Jiralerspong et al. (marcojira/fls, metrics/AuthPct.py). Held-out real images are no copies and yet many of
        them fail it: compare the share with theirs, not with one.
        """
        return np.asarray(self.ratios > 1, dtype=np.bool_)


def training_neighbours(images: Features, training: Features, own: Features) -> TrainingNeighbours:
    """Return the nearest training image of each image.

    Args:
        images: Features, (n, width).
        training: Features, (m, width).
        own: `own_distances` of the training images.

    Raises:
        UserError: The samples do not fit or are too small.
    """
    found, apart = nearest(images, training, 1)
    rows, distances = found[:, 0], apart[:, 0]
    # Training images that come twice are at no distance from each other.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(distances == 0, 0, distances / own[rows])
    return TrainingNeighbours(rows, distances, ratios)


def own_distances(training: Features) -> Features:
    """Return the distance of each training image to its nearest other one, (m,).

    Raises:
        UserError: There are fewer than two.
    """
    return nearest(training, training, 1, same=True)[1][:, 0]


def _share_above(values: Features, ordered: Features) -> Features:
    """Return the share of ordered numbers above each value, ties half."""
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray(1 - (left + right) / (2 * len(ordered)), dtype=np.float64)
