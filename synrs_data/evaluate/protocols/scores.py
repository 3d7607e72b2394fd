"""Scores of protocols: finite, comparable, and defined for classes that nothing was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.protocols.base import LOWEST

_FLOOR = -1e3
"""Log-probabilities end here: what a confident model gives its last classes may be far lower, and means nothing."""


def log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the log-softmax over the last axis, at least -1000."""
    values = np.asarray(logits, dtype=np.float64)
    shifted = values - values.max(axis=-1, keepdims=True)
    found = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(np.maximum(found, _FLOOR), dtype=np.float64)


def over_all_classes(
    scores: NDArray[np.floating], present: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Return scores of the classes that were trained on among those of all; the others have `LOWEST`.

    Args:
        scores: (n, len(present)).
        present: Indices of their classes, rising.
        classes: Number of all classes.
    """
    found = np.full((len(scores), classes), LOWEST, dtype=np.float32)
    found[:, present] = scores
    return found


def normalised(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features of length one along the last axis; a feature of zeros stays one."""
    values = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def accuracy(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share of items whose highest score is their label's."""
    return float(np.mean(scores.argmax(axis=1) == labels))
