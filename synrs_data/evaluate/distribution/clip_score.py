"""Agreement of images with their captions, against the agreement with captions of other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.samples import Features, pair_of
from synrs_data.evaluate.statistics import mean_interval

SHUFFLES = 100


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well captions fit their images.

    Attributes:
        mean: Cosine of image and caption, mean over images; 100 times it is the CLIP score of torchmetrics, 2.5 times
            it that of Hessel et al. 2021, both of which set pairs below zero to zero.
        null: Mean cosine with captions of other images whose text is another, over shuffles.
        null_deviation: Standard deviation of that mean over shuffles.
        difference: `mean` less `null`.
        low: Lower end of the 95 % interval of the difference, percentile bootstrap over images.
        high: Upper end.
        n: Number of images.
        captions: Number of different captions.
        shuffles: Number of shuffles.
    """

    mean: float
    null: float
    null_deviation: float
    difference: float
    low: float
    high: float
    n: int
    captions: int
    shuffles: int


def caption_agreement(
    images: Features, texts: Features, captions: Sequence[str], *, seed: int, shuffles: int = SHUFFLES
) -> Agreement:
    """Compare each image with its caption and with captions of others.

    A score alone says nothing: encoders give every caption of remote sensing a high cosine with every such image. What
    a caption adds is the difference to a caption that is not the image's.

    Args:
        images: Features of images, (n, width).
        texts: Features of their captions in the same space, (n, width).
        captions: The captions themselves, n.
        seed: Of shuffles and bootstrap.
        shuffles: How often captions are shuffled.

    Raises:
        UserError: The samples do not fit, or all captions are the same.
    """
    ours, theirs = (_normalised(each) for each in pair_of(images, texts, least=2))
    _, kinds = np.unique(np.array(captions), return_inverse=True)
    if len(ours) != len(theirs) or len(kinds) != len(ours):
        raise UserError(
            f"{len(ours)} images have {len(theirs)} captions", fix="give one caption to each image"
        )
    count = int(kinds.max()) + 1
    if count < 2:
        raise UserError(
            "all images have the same caption, so none can be exchanged for another", fix="leave captions out"
        )
    own = _cosines(ours, theirs)
    random = np.random.default_rng(seed)
    total, times, means = np.zeros(len(own)), np.zeros(len(own)), []
    for _ in range(shuffles):
        order = random.permutation(len(own))
        other = kinds[order] != kinds
        found = _cosines(ours, theirs[order])
        if other.any():
            means.append(found[other].mean())
        total += np.where(other, found, 0)
        times += other
    # An image that never met another caption, as when nearly all are alike, has no null of its own.
    met = times > 0
    gains = own[met] - total[met] / times[met]
    low, high = mean_interval(gains[None], seed=seed)
    return Agreement(
        mean=float(own.mean()),
        null=float(np.mean(means)),
        null_deviation=float(np.std(means)),
        difference=float(gains.mean()),
        low=low,
        high=high,
        n=len(own),
        captions=count,
        shuffles=shuffles,
    )


def _normalised(features: Features) -> Features:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not lengths.all():
        raise UserError(
            "a row of features is all zeros, which has no direction", fix="make the features anew"
        )
    return np.asarray(features / lengths, dtype=np.float64)


def _cosines(first: Features, second: Features) -> Features:
    """Return the cosine of each row with the row beside it, (n,)."""
    return np.asarray(np.einsum("nw,nw->n", first, second), dtype=np.float64)
