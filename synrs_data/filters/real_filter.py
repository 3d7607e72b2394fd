"""`real-filter`: is an image nearer to the real images of its own label than to those of another?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data.errors import RecipeError
from synrs_data.filters.base import Batch, EncoderOptions, Scores
from synrs_data.filters.leak import decode
from synrs_data.models.encoder import Features, encoder_digest, load_encoder
from synrs_data.real_images import LabelledFolder
from synrs_data.recipe import Threshold, path_option
from synrs_data.vocabulary import LabelSet

_AT_ONCE = 64


class RealFilterOptions(EncoderOptions):
    """Options of `real-filter`."""

    real: str = path_option(description="Real images: a folder a label, or files named LABEL_NUMBER.")
    shots: int | None = Field(
        None, ge=1, description="Real images of each label that are used; null for all."
    )
    shots_seed: int = Field(
        0,
        ge=0,
        description="Which ones; with the same seed and shots, those that `real-guidance` starts from.",
    )


class RealFilter:
    """Real filtering (RF) of He et al. (ICLR 2023, section 3.3): drop what lies close to other classes' features.

    A class's feature is the mean of its real images' features, normalised again: the nearest image would be
    the source itself where images start from real ones. The paper states neither code nor a threshold; a
    margin from 0 is ours.
    """

    Options: ClassVar[type[RealFilterOptions]] = RealFilterOptions
    columns: Mapping[str, str] = {
        "real_own": "cosine with the mean real feature of its own label, -1 to 1",
        "real_other": "highest cosine with the mean real feature of another label, -1 to 1",
        "real_margin": "the first less the second, -2 to 2",
    }

    def __init__(self, options: RealFilterOptions, labels: LabelSet) -> None:
        if len(labels.labels) < 2:
            raise RecipeError(
                "the filter 'real-filter' compares labels, and the recipe has one", fix="take it out"
            )
        self._options = options
        self._names = labels.names
        self._cached: Features | None = None

    @cached_property
    def _folder(self) -> LabelledFolder:
        return LabelledFolder(Path(self._options.real))

    def thresholds(self) -> dict[str, Threshold]:
        """Accept what is at least as near to its own label as to any other."""
        return {"real_margin": Threshold(min=0.0)}

    def digest(self) -> str:
        """Return the digest of the real images and of the encoder.

        Raises:
            UserError: A label has too few real images.
        """
        options = self._options
        self._folder.choose_all(self._names, options.shots, options.shots_seed)
        text = f"{self._folder.digest()}/{encoder_digest(options.model, options.weights)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def score(self, batch: Batch) -> Scores:
        """Return the similarity to the own label, to the nearest other one, and the margin."""
        options = self._options
        real = self._label_features(batch.device).astype(np.float64)
        similarity = batch.features(options.model, options.weights).astype(np.float64) @ real.T
        rows, labels = np.arange(len(batch.labels)), np.asarray(batch.labels)
        own = similarity[rows, labels].copy()
        similarity[rows, labels] = -np.inf
        other = similarity.max(axis=1)
        return {
            "real_own": own.tolist(),
            "real_other": other.tolist(),
            "real_margin": (own - other).tolist(),
        }

    def _label_features(self, device: str) -> Features:
        if self._cached is None:
            means = np.stack([self._mean(name, device) for name in self._names])
            self._cached = np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)
        return self._cached

    def _mean(self, label: str, device: str) -> NDArray[np.float64]:
        options = self._options
        encoder = load_encoder(options.model, options.weights, device)
        chosen = self._folder.choose(label, options.shots, options.shots_seed)
        parts = []
        for start in range(0, len(chosen), _AT_ONCE):
            part = chosen[start : start + _AT_ONCE]
            parts.append(encoder.images([decode(image.read(), str(image.path)) for image in part]))
        mean: NDArray[np.float64] = np.concatenate(parts).mean(axis=0, dtype=np.float64)
        return mean
