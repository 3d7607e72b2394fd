"""Zero-shot by an image and text encoder: any model of open_clip, by embedded name, folder, Hub id or architecture."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores, in_domain
from synrs_data.evaluate.benchmark import Benchmark, Images
from synrs_data.evaluate.items import read_images, read_items
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

    def score(self, benchmark: Benchmark) -> Scores:
        """Embed every prompt of every class and every image, and take their cosines."""
        options, dataset = self._options, benchmark.dataset
        if not isinstance(dataset, Images):
            raise UserError(f"the benchmark '{benchmark.id}' has no images, only features", fix=dataset.get)
        items = read_items(benchmark, dataset)
        digest = encoder_digest(options.model, options.weights)
        encoder = load_encoder(options.model, options.weights, self._device)
        classes = self._classes(encoder, benchmark)
        images, parts = read_images(benchmark, dataset), []
        while batch := list(islice(images, options.batch)):
            parts.append(encoder.images(batch))
        record = BaselineRecord(
            name=self.name,
            method=self.method,
            model=options.model,
            weights_sha256=files.sha256(Path(options.weights)) if options.weights else digest,
            preprocessing=encoder.preprocessing,
            trained_on=options.trained_on,
            in_domain=in_domain(options.trained_on, benchmark),
        )
        return Scores(items, cosines(np.concatenate(parts), classes), record)

    @staticmethod
    def _classes(encoder: Encoder, benchmark: Benchmark) -> Embeddings:
        texts = [
            template.format(label=label.phrase, spoken=label.spoken)
            for template in benchmark.templates()
            for label in benchmark.classes
        ]
        features = encoder.texts(texts, normalize=False)
        return class_embeddings(
            features.reshape(-1, len(benchmark.classes), features.shape[1]), benchmark.ensemble
        )
