"""Zero-shot, or features to train on, by any image and text encoder of open_clip.

It is named by embedded name, folder, Hub id, or architecture with a file of weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data import files
from synrs_data.build.environment import environment
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores, in_domain
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.zero_shot import Embeddings, class_embeddings, cosines
from synrs_data.models.encoder import Encoder, encoder_digest, load_encoder


class OpenClipOptions(BaselineOptions):
    """Options of `open-clip`."""

    model: str = Field(
        description="Embedded name, folder, Hub id, or an architecture of open_clip (with weights)."
    )
    weights: str = Field("", description="File of weights for an architecture's name.")
    batch: int = Field(64, ge=1, description="Images at once.")


class OpenClip:
    """Any open_clip model.

    Args:
        options: What to load.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: type[OpenClipOptions] = OpenClipOptions
    method = "open-clip"

    def __init__(self, options: OpenClipOptions, device: str) -> None:
        self._options = options
        self._device = device
        stem = f"-{Path(options.weights).stem}" if options.weights else ""
        text = f"{options.model.removeprefix('local-dir:').rstrip('/').rpartition('/')[2]}{stem}"
        self.name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "open-clip"

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        """Embed every prompt of every class and every test image, and take their cosines."""
        if data is None:
            raise UserError(
                f"the benchmark '{benchmark.id}' has no images, only features", fix=benchmark.dataset.get
            )
        record, classes = self.record(benchmark), self._classes(benchmark)
        features = cache.features(self, data.test)
        return Scores(Items(data.test.keys, data.test.labels), cosines(features, classes), record)

    def record(self, benchmark: Classification) -> BaselineRecord:
        """Return what it says of itself."""
        options = self._options
        digest = encoder_digest(options.model, options.weights)
        return BaselineRecord(
            name=self.name,
            method=self.method,
            model=options.model,
            weights_sha256=files.sha256(Path(options.weights)) if options.weights else digest,
            preprocessing=self._encoder.preprocessing,
            trained_on=options.trained_on,
            in_domain=in_domain(options.trained_on, benchmark),
        )

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the L2-normalised features of images, (n, width)."""
        batch = self._options.batch
        parts = [
            self._encoder.images(images[start : start + batch]) for start in range(0, len(images), batch)
        ]
        return np.concatenate(parts)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that its features depend on but the images."""
        return {
            "encoder": encoder_digest(self._options.model, self._options.weights),
            "preprocessing": self._encoder.preprocessing,
            "environment": environment(self._device),
        }

    def class_features(self, benchmark: Classification) -> NDArray[np.float32]:
        """Return the ensemble of each class's prompts, (classes, width)."""
        return np.asarray(self._classes(benchmark), dtype=np.float32)

    @property
    def _encoder(self) -> Encoder:
        return load_encoder(self._options.model, self._options.weights, self._device)

    def _classes(self, benchmark: Classification) -> Embeddings:
        texts = [
            template.format(label=label.phrase, spoken=label.spoken)
            for template in benchmark.templates()
            for label in benchmark.classes
        ]
        features = self._encoder.texts(texts, normalize=False)
        return class_embeddings(
            features.reshape(-1, len(benchmark.classes), features.shape[1]), benchmark.ensemble
        )
