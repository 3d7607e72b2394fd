"""`sharpness`: how much fine detail an image has.

Upscaled or blurred images make poor high-resolution halves of pairs: what they lack cannot be learned from them.
"""

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

_FINE = 0.25
"""Half the Nyquist frequency, in cycles per pixel: what an image enlarged twice has nothing above."""


class SharpnessOptions(BaseModel):
    """`sharpness` has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sharpness:
    """Variance of the Laplacian, and the share of energy in high frequencies."""

    Options: ClassVar[type[BaseModel]] = SharpnessOptions
    columns: Mapping[str, str] = {
        "sharpness_laplacian": "variance of the Laplacian of grey levels, from 0; grows with contrast",
        "sharpness_high_frequency": "share of grey levels' spectral energy above half the Nyquist frequency, 0 to 1",
    }

    def __init__(self, options: SharpnessOptions, labels: LabelSet) -> None: ...

    def thresholds(self) -> dict[str, Threshold]:
        """Reject less than any of 126 lossless UC Merced and 300 EuroSAT images has.

        Their smallest values are 57.9 and 3.56 (Laplacian, a lake), and 0.0018 and 0.0063 (share). After a Gaussian
        blur of sigma 2 pixels, the median share is 0.00004 and 0.0005. The share tells blur apart better, because it
        does not depend on contrast.
        """
        return {
            "sharpness_laplacian": Threshold(min=3.0),
            "sharpness_high_frequency": Threshold(min=0.0015),
        }

    def digest(self) -> str:
        """Return nothing: no file decides these scores."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return both measures of each image."""
        greys = [grey(image) for image in batch.images]
        return {
            "sharpness_laplacian": [_laplacian(levels) for levels in greys],
            "sharpness_high_frequency": [_high_frequency(levels) for levels in greys],
        }


def _laplacian(levels: NDArray[np.float64]) -> float:
    """Return the variance of the 4-neighbour Laplacian inside the image.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000 (LAPV).
    """
    if min(levels.shape) < 3:
        return 0.0
    middle = levels[1:-1, 1:-1]
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    return float((around - 4 * middle).var())


def _high_frequency(levels: NDArray[np.float64]) -> float:
    """Return the share of energy above `_FINE`, the mean aside, under a Hann window; 0 for a flat image."""
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in levels.shape))
    centred = levels - (levels * window).sum() / window.sum()
    energy = np.abs(np.fft.fft2(centred * window)) ** 2
    rows, columns = (np.fft.fftfreq(size) for size in levels.shape)
    total = float(energy.sum())
    # Below this, a flat image's rounding errors.
    if total < 1e-12 * levels.size**2:
        return 0.0
    return float(energy[np.hypot(rows[:, None], columns[None, :]) > _FINE].sum() / total)
