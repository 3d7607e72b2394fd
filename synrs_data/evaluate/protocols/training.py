"""What training by gradient shares: batches, the cosine schedule, and the checkpoint that validation chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.protocols.scores import accuracy, log_probabilities


def epochs_of(
    items: NDArray[np.int64], size: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield batches without end: each epoch in a new order, its last batch as short as it comes out."""
    while True:
        order = random.permutation(items)
        for start in range(0, len(order), size):
            yield order[start : start + size]


def stream_of(
    items: NDArray[np.int64], size: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield batches of one size without end; a batch runs over the end of an epoch into the next.

    So a batch is full however few items there are, which the statistics of BatchNorm need.
    """
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, random.permutation(items)])
        yield waiting[:size]
        waiting = waiting[size:]


def cosine(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step, from 1 at step 0 to 0 at `steps`."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def checkpoints(steps: int, count: int) -> set[int]:
    """Return after which steps, counted from 1, a model is validated: `count` of them, evenly spaced up to the last."""
    return {max(1, round(steps * part / count)) for part in range(1, count + 1)}


class Choice:
    """The best checkpoint by validation: highest accuracy, then lowest cross-entropy, then earliest.

    With few validation items many checkpoints have equal accuracy, so cross-entropy decides among them. Without any the
    last checkpoint is the best.

    Args:
        labels: Of the validation items.
    """

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._labels = labels
        self._best = (-math.inf, -math.inf)

    def better(self, logits: NDArray[np.floating]) -> bool:
        """Return whether these logits of the validation items, (n, classes), are the best so far."""
        if not len(self._labels):
            return True
        scores = log_probabilities(logits)
        likelihood = float(scores[np.arange(len(scores)), self._labels].mean())
        found = (accuracy(scores, self._labels), likelihood)
        if found <= self._best:
            return False
        self._best = found
        return True
