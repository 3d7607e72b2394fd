"""Image-text retrieval: which candidates each query finds, recall at k both ways, and intervals over images.

The protocol is the one of `retrieval.py` of ChenDelong1999/RemoteCLIP, itself `zeroshot_retrieval.py` of
LAION-AI/CLIP_benchmark: a query is a hit at k if any right candidate is among its first k, and mean recall is the mean
of the six recalls at 1, 5 and 10. CLIP_benchmark calls `image_retrieval_recall@k` what is `t2i-r@k` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.statistics import LEVEL, REPLICATES
from synrs_data.evaluate.zero_shot import normalise

Direction = Literal["i2t", "t2i"]
Variant = Literal["strict", "dedup-caption"]

KS = (1, 5, 10)
DEPTH = 10
"""How many candidates of each query a result keeps."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Images and captions of a test.

    Attributes:
        images: Key of each image.
        captions: Every caption as models are given it, image by image.
        owners: Row of each caption's image, (captions,); every image has one at least.
    """

    images: tuple[str, ...]
    captions: tuple[str, ...]
    owners: NDArray[np.int64]

    def caption_keys(self) -> tuple[str, ...]:
        """Return the key of each caption: its image's, `#`, and its place among that image's captions from 0."""
        _, first, counts = np.unique(self.owners, return_index=True, return_counts=True)
        places = np.arange(len(self.owners)) - np.repeat(first, counts)
        return tuple(
            f"{self.images[owner]}#{place}" for owner, place in zip(self.owners, places, strict=True)
        )

    def candidates(self, direction: Direction, variant: Variant) -> NDArray[np.int64]:
        """Return the rows of images or captions that may be found; of equal captions `dedup-caption` has the first."""
        if direction == "t2i":
            return np.arange(len(self.images))
        if variant == "strict":
            return np.arange(len(self.captions))
        return np.unique(np.unique(self.captions, return_index=True)[1])

    def right(self, direction: Direction, variant: Variant) -> NDArray[np.bool_]:
        """Return which candidates are right for each query, (queries, candidates)."""
        own: NDArray[np.bool_] = self.owners[:, None] == np.arange(len(self.images))
        if variant == "dedup-caption":
            _, texts = np.unique(self.captions, return_inverse=True)
            has = np.zeros((texts.max() + 1, len(self.images)), dtype=np.bool_)
            has[texts, self.owners] = True
            own = has[texts]
        return own if direction == "t2i" else own[self.candidates(direction, variant)].T


@dataclass(frozen=True, slots=True)
class Ranking:
    """What each query finds.

    Attributes:
        found: Rows of the first ten candidates in order, (queries, at most 10); of images or captions.
        first: Place of the first right candidate from 1, (queries,).
    """

    found: NDArray[np.int64]
    first: NDArray[np.int64]


def rank(cosines: NDArray[np.float32], truth: Truth, direction: Direction, variant: Variant) -> Ranking:
    """Order the candidates of each query from the highest cosine down; of equal ones the benchmark's first wins.

    Args:
        cosines: Of each image with each caption, (images, captions).
        truth: Which of them belong together.
        direction: "i2t" for images as queries, "t2i" for captions.
        variant: Which candidates there are and which are right.
    """
    candidates = truth.candidates(direction, variant)
    scores = (cosines if direction == "i2t" else cosines.T)[:, candidates]
    order = np.argsort(-scores, axis=1, kind="stable")
    right = np.take_along_axis(truth.right(direction, variant), order, axis=1)
    return Ranking(candidates[order[:, :DEPTH]], np.asarray(right.argmax(axis=1) + 1, dtype=np.int64))


def similarities(images: NDArray[np.floating], texts: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosine of each image with each caption, (images, captions), rounded to 32 bits before it is ranked.

    Args:
        images: Embeddings, (images, width).
        texts: Embeddings, (captions, width).
    """
    first, second = (normalise(np.asarray(each, dtype=np.float64)) for each in (images, texts))
    return np.asarray(first @ second.T, dtype=np.float32)


def parse_metric(name: str) -> tuple[Variant, tuple[tuple[Direction, int], ...]]:
    """Return the variant of a metric and the recalls whose mean it is, such as (("i2t", 5),)."""
    body, _, ending = name.partition(":")
    variant: Variant = "dedup-caption" if ending else "strict"
    if body == "mean-recall":
        return variant, tuple(product(("i2t", "t2i"), KS))
    way, _, k = body.partition("-r@")
    direction: Direction = "i2t" if way == "i2t" else "t2i"
    return variant, ((direction, int(k)),)


class Recalls:
    """Recall at k, and its interval over images.

    A caption is drawn with its image, so that the captions of an image, which are alike, are not taken for
    independent queries. Candidates stay all of the test's: recall falls with their number.

    Args:
        truth: Images and captions.
        first: Place of the first right candidate of each query, by direction and variant.
    """

    def __init__(self, truth: Truth, first: Mapping[tuple[Direction, Variant], NDArray[np.int64]]) -> None:
        self._truth = truth
        self._first = first

    def value(self, metric: str) -> float:
        """Return a metric, in 0 to 1."""
        return float(self._of(metric, np.ones((1, len(self._truth.images))))[0])

    def interval(self, metric: str, *, seed: int, replicates: int = REPLICATES) -> tuple[float, float]:
        """Return the 95 % percentile interval of a metric under resampling of images with replacement."""
        n = len(self._truth.images)
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=replicates)
        low, high = np.quantile(self._of(metric, draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def _of(self, metric: str, times: NDArray[np.integer] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a metric where each image is there some times, (replicates, images)."""
        variant, parts = parse_metric(metric)
        weights = np.asarray(times, dtype=np.float64)
        values = []
        for direction, k in parts:
            hits = np.asarray(self._first[direction, variant] <= k, dtype=np.float64)
            if direction == "i2t":
                values.append(weights @ hits / weights.sum(axis=1))
            else:
                owners = self._truth.owners
                values.append(weights @ np.bincount(owners, weights=hits) / (weights @ np.bincount(owners)))
        return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def chance(truth: Truth, metric: str) -> float:
    """Return what a metric is expected to be where candidates come in random order.

    A query with r right ones of N candidates is a hit at k with probability 1 - C(N - r, k) / C(N, k).
    """
    variant, parts = parse_metric(metric)
    values = []
    for direction, k in parts:
        right = truth.right(direction, variant)
        n, count = right.shape[1], right.sum(axis=1)
        steps = np.arange(min(k, n))
        left = np.clip(n - count[:, None] - steps, 0, None) / (n - steps)
        values.append(1 - left.prod(axis=1).mean())
    return float(np.mean(values))
