"""`clip-score`: how close are image and caption to an image/text encoder?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel

from synrs_data.filters.base import Batch, EncoderOptions, Scores
from synrs_data.models.encoder import encoder_digest, load_encoder
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import LabelSet


class ClipScore:
    """Cosine of image and caption features (CLIPScore of Hessel et al., EMNLP 2021, without its factor 2.5)."""

    Options: ClassVar[type[BaseModel]] = EncoderOptions
    columns: Mapping[str, str] = {"clip_score": "cosine of image and caption features, -1 to 1"}

    def __init__(self, options: EncoderOptions, labels: LabelSet) -> None:
        self._options = options

    def thresholds(self) -> dict[str, Threshold]:
        """Accept everything: a sensible threshold depends on the encoder."""
        return {}

    def digest(self) -> str:
        """Return the digest of the encoder."""
        return encoder_digest(self._options.model, self._options.weights)

    def score(self, batch: Batch) -> Scores:
        """Return the cosine of each image with its caption."""
        options = self._options
        images = batch.features(options.model, options.weights)
        texts = load_encoder(options.model, options.weights, batch.device).texts(batch.captions)
        return {"clip_score": [float(image @ text) for image, text in zip(images, texts, strict=True)]}
