"""`clip-agreement`: does an image/text encoder see the label in the image?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field

from synrs_data.filters.base import Batch, EncoderOptions, Scores
from synrs_data.models.encoder import Features, encoder_digest, load_encoder
from synrs_data.recipe import Threshold, path_option
from synrs_data.vocabulary import LabelSet, load_template_set


class ClipAgreementOptions(EncoderOptions):
    """Options of `clip-agreement`."""

    templates: str = path_option(
        "rs-basic", description="Template set of the class prompts; averaged a class."
    )
    logit_scale: float | None = Field(
        None, gt=0, description="Factor of the cosines before the softmax; null takes the encoder's own."
    )


class ClipAgreement:
    """CLIP filtering of He et al. (ICLR 2023, section 3.2): softmax over class prompts, keep p(label) > 1/N.

    A class's text feature is the mean of its normalised prompt features, normalised again.
    """

    Options: ClassVar[type[BaseModel]] = ClipAgreementOptions
    columns: Mapping[str, str] = {
        "clip_agreement_p": "probability of the label among all labels, 0 to 1",
        "clip_agreement_top": "1 if the label is the most probable one, else 0",
    }

    def __init__(self, options: ClipAgreementOptions, labels: LabelSet) -> None:
        self._options = options
        self._labels = labels
        self._cached: Features | None = None

    def thresholds(self) -> dict[str, Threshold]:
        """Accept p(label) from 1/N."""
        return {"clip_agreement_p": Threshold(min=1 / len(self._labels.labels))}

    def digest(self) -> str:
        """Return the digest of encoder and templates."""
        options = self._options
        return (
            f"{encoder_digest(options.model, options.weights)}/{load_template_set(options.templates).digest}"
        )

    def score(self, batch: Batch) -> Scores:
        """Return the probability of each image's label, and whether it is the most probable."""
        options = self._options
        prompts = self._class_features(batch.device)
        scale = options.logit_scale or load_encoder(options.model, options.weights, batch.device).logit_scale
        logits = scale * batch.features(options.model, options.weights).astype(np.float64) @ prompts.T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = odds / odds.sum(axis=1, keepdims=True)
        labels = np.asarray(batch.labels)
        return {
            "clip_agreement_p": chances[np.arange(len(labels)), labels].tolist(),
            "clip_agreement_top": (chances.argmax(axis=1) == labels).astype(float).tolist(),
        }

    def _class_features(self, device: str) -> Features:
        if self._cached is None:
            encoder = load_encoder(self._options.model, self._options.weights, device)
            templates = load_template_set(self._options.templates)
            means = np.stack(
                [encoder.texts(templates.fill(label)).mean(axis=0) for label in self._labels.labels]
            )
            self._cached = means / np.linalg.norm(means, axis=1, keepdims=True)
        return self._cached
