"""`pair-agreement`: do the two images of a pair show one scene, in one place, at about one brightness?

HR is brought down by a plain kernel and compared with LR. A degradation that blurs and adds noise is meant to
differ from it, so a low PSNR alone condemns nothing; a shift that nobody asked for does, because it teaches a
super-resolution model to shift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.filters.base import Batch, Scores
from synrs_data.filters.grey import LUMA, grey
from synrs_data.filters.pyiqa_metrics import Metrics
from synrs_data.filters.registration import shift_between
from synrs_data.filters.structural_similarity import signal_to_noise, structural_similarity
from synrs_data.recipe import Threshold
from synrs_data.resampling import Kernel, shrink
from synrs_data.vocabulary import LabelSet

_MEASURED, _TOLD = 0.1, 4.0
"""A shift counts if its standard error is at most 0.1 LR pixel and it is 4 of them or more."""


class PairAgreementOptions(BaseModel):
    """Options of `pair-agreement`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kernel: Kernel = Field("matlab", description="How HR is brought down: `matlab` (bicubic) or `area`.")
    metrics: tuple[str, ...] = Field(
        (),
        description="Full-reference metrics of pyiqa on LR, with HR brought down as the reference (extra `iqa`, "
        "licensed for non-commercial use).",
    )


class PairAgreement:
    """PSNR, SSIM and unasked-for shift of LR against HR brought down, and pyiqa metrics."""

    Options: ClassVar[type[BaseModel]] = PairAgreementOptions
    columns: Mapping[str, str] = {
        "pair_psnr": "PSNR of LR against HR brought down, over RGB, in dB, at most 100 (equal)",
        "pair_ssim": "SSIM of LR against HR brought down, mean over RGB, at most 1",
        "pair_shift": "shift between them beyond what was asked, in LR pixels; 0 where none can be told",
    }
    needs_pairs: ClassVar[bool] = True

    def __init__(self, options: PairAgreementOptions, labels: LabelSet) -> None:
        self._kernel = options.kernel
        self._metrics = Metrics(options.metrics, "FR", "pair-agreement", "pair_iqa")
        self.columns = dict(type(self).columns) | self._metrics.columns()

    def thresholds(self) -> dict[str, Threshold]:
        """Reject pairs that lie a tenth of an LR pixel apart unasked, and those that have little to do with each other.

        `real-esrgan` moves scenes as the original does, and says by how much in `shift.x` and `shift.y`. Its noise
        hides the shift of one or two pairs in a hundred, which then fail. docs/degradations.md has the scores.
        """
        return {"pair_shift": Threshold(max=0.1), "pair_psnr": Threshold(min=10.0)}

    def digest(self) -> str:
        """Return nothing: no file of ours decides these scores."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return the measures of each pair."""
        down = shrink(batch.images, self._kernel, batch.scale, batch.device)
        pairs = list(zip(down, batch.lr, strict=True))
        scores: Scores = {
            "pair_psnr": [signal_to_noise(high, low) for high, low in pairs],
            "pair_ssim": [structural_similarity(high, low) for high, low in pairs],
            "pair_shift": [
                _unasked(high, low, drawn)
                for (high, low), drawn in zip(pairs, batch.degradations, strict=True)
            ],
        }
        return scores | self._metrics.score(batch.lr, down, batch.device)


def _unasked(high: NDArray[np.uint8], low: NDArray[np.uint8], drawn: Mapping[str, Any]) -> float:
    """Return the length of the shift beyond what was asked, in LR pixels.

    The two are compared in grey, where shifts of single bands count by their share of the luma.
    """
    found = shift_between(grey(high), grey(low))
    length = math.hypot(found.x - _asked(drawn, "x"), found.y - _asked(drawn, "y"))
    return length if found.error <= _MEASURED and length >= _TOLD * found.error else 0.0


def _asked(drawn: Mapping[str, Any], axis: str) -> float:
    asked = float(drawn.get(f"shift.{axis}", 0.0))
    for band, share in zip("rgb", LUMA, strict=True):
        asked += float(share) * float(drawn.get(f"band_shift.{band}.{axis}", 0.0))
    return asked
