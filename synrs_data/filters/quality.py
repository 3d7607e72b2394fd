"""`quality`: is the image flat, clipped or empty? And any no-reference metric of pyiqa by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.filters.base import Batch, Scores
from synrs_data.filters.grey import grey
from synrs_data.filters.pyiqa_metrics import Metrics
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import LabelSet


class QualityOptions(BaseModel):
    """Options of `quality`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = Field(
        (),
        description="No-reference metrics of pyiqa (extra `iqa`, licensed for non-commercial use); `piqe` and "
        "`entropy` need no download.",
    )


class Quality:
    """Entropy, clipping and flatness of an image, and pyiqa metrics."""

    Options: ClassVar[type[BaseModel]] = QualityOptions
    columns: Mapping[str, str] = {
        "quality_entropy": "Shannon entropy of the 256 grey levels in bits, 0 to 8",
        "quality_clipped": "share of pixels at 0 or 255 in every channel, 0 to 1",
        "quality_contrast": "standard deviation of grey levels, 0 to 127.5",
    }

    def __init__(self, options: QualityOptions, labels: LabelSet) -> None:
        self._metrics = Metrics(options.metrics, "NR", "quality", "quality")
        self.columns = dict(type(self).columns) | self._metrics.columns()

    def thresholds(self) -> dict[str, Threshold]:
        """Reject what no satellite sees: one flat colour, or a fifth of the image burnt out."""
        return {"quality_entropy": Threshold(min=1.5), "quality_clipped": Threshold(max=0.2)}

    def digest(self) -> str:
        """Return nothing: no file of ours decides these scores."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return the measures of each image."""
        greys = [_grey(image) for image in batch.images]
        scores: Scores = {
            "quality_entropy": [_entropy(grey) for grey in greys],
            "quality_clipped": [_clipped(image) for image in batch.images],
            "quality_contrast": [float(grey.std()) for grey in greys],
        }
        return scores | self._metrics.score(batch.images, (), batch.device)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    # Entropy is of whole levels.
    levels: NDArray[np.float64] = np.rint(grey(image))
    return levels


def _entropy(grey: NDArray[np.float64]) -> float:
    shares = np.bincount(grey.astype(np.int64).ravel(), minlength=256) / grey.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _clipped(image: NDArray[np.uint8]) -> float:
    return float(((image == 0).all(axis=2) | (image == 255).all(axis=2)).mean())
