"""`blockiness`: has an image been through strong JPEG compression?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from synrs_data.filters.base import Batch, Scores
from synrs_data.filters.grey import grey
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import LabelSet

_BLOCK = 8
_FLOOR = 0.5
"""Half a grey level, added to both steps, so that an image without any inside its blocks has a finite score."""


class BlockinessOptions(BaseModel):
    """`blockiness` has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Blockiness:
    """Steps between grey levels across the borders of 8x8 blocks, over those inside blocks.

    After Wang, Sheikh and Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002,
    section 2: the blockiness B over the activity A, here as their ratio. Blocks are counted from the image's corner,
    so an image that was cropped elsewhere than at a multiple of 8 after its compression shows none.
    """

    Options: ClassVar[type[BaseModel]] = BlockinessOptions
    columns: Mapping[str, str] = {
        "blockiness": "mean step across borders of 8x8 blocks over the mean step elsewhere; about 1 without JPEG",
    }

    def __init__(self, options: BlockinessOptions, labels: LabelSet) -> None: ...

    def thresholds(self) -> dict[str, Threshold]:
        """Reject what JPEG of a quality of about 50 and below does; see docs/degradations.md for the measurements."""
        return {"blockiness": Threshold(max=1.3)}

    def digest(self) -> str:
        """Return nothing: no file decides the score."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return the score of each image."""
        return {"blockiness": [_blockiness(grey(image)) for image in batch.images]}


def _blockiness(levels: NDArray[np.float64]) -> float:
    """Return the mean of the ratios along rows and columns; 1 for a side of a single block."""
    ratios = []
    for turned in (levels, levels.T):
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0)
        border = np.arange(1, turned.shape[1]) % _BLOCK == 0
        ratios.append(
            float((steps[border].mean() + _FLOOR) / (steps[~border].mean() + _FLOOR)) if border.any() else 1.0
        )
    return float(np.mean(ratios))
