"""k nearest neighbours by cosine, weighted as DINO's evaluation does, or a plain majority."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data.evaluate.protocols.base import Inputs, ProtocolOptions, Samples, check
from synrs_data.evaluate.protocols.scores import normalised, over_all_classes

_AT_ONCE = 1024
"""Test items whose cosines are held at a time: 1,024 with 100,000 training items are 400 MB."""


class KnnOptions(ProtocolOptions):
    """Options of `knn`; the defaults are those of DINO (facebookresearch/dino, eval_knn.py)."""

    k: int = Field(20, ge=1, description="Neighbours that vote; all of them where there are fewer.")
    weights: Literal["softmax", "uniform"] = Field(
        "softmax", description="Weight of a vote: exp(cosine / temperature), or one."
    )
    temperature: float = Field(0.07, gt=0, description="Of the weights `softmax`.")


class Knn:
    """Nearest neighbours: nothing is trained or chosen, so validation, text and seed are not used.

    The score of a class is its share of the votes, 0 to 1. Of classes with equal votes the lowest index wins.

    Args:
        options: How neighbours vote.
        device: Not used: it runs on the CPU.
    """

    Options: type[KnnOptions] = KnnOptions
    name: ClassVar[str] = "knn"
    inputs: ClassVar[Inputs] = "features"
    needs_text: ClassVar[bool] = False

    def __init__(self, options: KnnOptions, device: str) -> None:
        self.options = options

    def fit_predict(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        *,
        text: NDArray[np.float32] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        """Let the nearest training items of each test item vote; see `TrainingProtocol.fit_predict`."""
        check(train, validation, test, classes, inputs=self.inputs, name=self.name)
        references = normalised(train.inputs)
        parts = [
            self._votes(normalised(test[start : start + _AT_ONCE]) @ references.T, train.labels, classes)
            for start in range(0, len(test), _AT_ONCE)
        ]
        votes = np.concatenate([np.empty((0, classes), dtype=np.float32), *parts])
        present = np.unique(train.labels)
        return over_all_classes(votes[:, present], present, classes)

    def _votes(
        self, cosines: NDArray[np.float32], labels: NDArray[np.int64], classes: int
    ) -> NDArray[np.float32]:
        k = min(self.options.k, cosines.shape[1])
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        similar = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        weights = np.ones_like(similar)
        if self.options.weights == "softmax":
            # Less the highest: the same shares, and no overflow at a low temperature.
            weights = np.exp((similar - similar.max(axis=1, keepdims=True)) / self.options.temperature)
        votes = np.zeros((len(cosines), classes))
        np.add.at(votes, (np.arange(len(cosines))[:, None], labels[nearest]), weights)
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), dtype=np.float32)
