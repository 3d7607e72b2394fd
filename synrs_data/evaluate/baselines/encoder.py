"""Zero-shot, retrieval, or features to train on, by any image and text encoder of open_clip.

It is named by embedded name, folder, Hub id, or architecture with a file of weights.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data.build.environment import environment
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores, in_domain
from synrs_data.evaluate.batches import in_batches
from synrs_data.evaluate.benchmark import AnyBenchmark, Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.zero_shot import Embeddings, class_embeddings, cosines
from synrs_data.models.encoder import encoder_digest, load_encoder, weights_digest
from synrs_data.models.source import fetch_files, locate

QuickGelu = Literal["auto", "true", "false"]


class LoadedEncoder(Protocol):
    """What `EncoderBaseline` needs of a model: `synrs_data.models` has two kinds."""

    @property
    def quick_gelu(self) -> bool | None:
        """Whether it computes with QuickGELU; None where that does not apply."""
        ...

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How it prepares images."""
        ...

    @property
    def text(self) -> dict[str, Any]:
        """How it prepares texts."""
        ...

    def images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the L2-normalised features of images, (n, width)."""
        ...

    def texts(self, texts: Sequence[str], *, normalize: bool = True) -> NDArray[np.float32]:
        """Return the features of texts, (n, width)."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where weights are from.

    Attributes:
        model: What the user named.
        sha256: `BaselineRecord.weights_sha256`.
        revision: Commit of the Hub, "local" or "embedded".
        license: As the model's card says, or "unknown".
    """

    model: str
    sha256: str
    revision: str
    license: str


class EncoderOptions(BaselineOptions):
    """Options of every encoder."""

    batch: int = Field(64, ge=1, description="Images at once.")


class EncoderBaseline(ABC):
    """An encoder of images and texts as a baseline.

    Attributes:
        tasks: What it can do.
        method: Its registered name.
        name: What its results are called.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "retrieval")
    method: ClassVar[str]
    name: str

    def __init__(self, options: EncoderOptions, device: str) -> None:
        self._batch, self._trained_on = options.batch, options.trained_on
        self._device = device

    @property
    @abstractmethod
    def _encoder(self) -> LoadedEncoder:
        """The model, loaded once a process."""

    @abstractmethod
    def _origin(self) -> Origin:
        """Return where its weights are from."""

    @abstractmethod
    def _digest(self) -> str:
        """Return what stands for its weights and architecture in a fingerprint."""

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        """Embed every prompt of every class and every test image, and take their cosines."""
        if data is None:
            raise UserError(
                f"the benchmark '{benchmark.id}' has no images, only features", fix=benchmark.dataset.get
            )
        record, classes = self.record(benchmark), self._classes(benchmark)
        features = cache.features(self, data.test)
        return Scores(Items(data.test.keys, data.test.labels), cosines(features, classes), record)

    def record(self, benchmark: AnyBenchmark) -> BaselineRecord:
        """Return what it says of itself."""
        origin, encoder = self._origin(), self._encoder
        return BaselineRecord(
            name=self.name,
            method=self.method,
            model=origin.model,
            weights_sha256=origin.sha256,
            revision=origin.revision,
            license=origin.license,
            quick_gelu=encoder.quick_gelu,
            preprocessing=encoder.preprocessing,
            text=encoder.text,
            trained_on=self._trained_on,
            in_domain=in_domain(self._trained_on, benchmark),
        )

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the L2-normalised features of images, (n, width)."""
        return in_batches(self._encoder.images, images, self._batch)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the L2-normalised features of texts, (n, width)."""
        return self._encoder.texts(texts)

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that its features depend on but the images; weights are read for it once."""
        return {
            "encoder": self._digest(),
            "quick_gelu": self._encoder.quick_gelu,
            "preprocessing": self._encoder.preprocessing,
            "environment": environment(self._device),
        }

    def class_features(self, benchmark: Classification) -> NDArray[np.float32]:
        """Return the ensemble of each class's prompts, (classes, width)."""
        return np.asarray(self._classes(benchmark), dtype=np.float32)

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


class OpenClipOptions(EncoderOptions):
    """Options of `open-clip`."""

    model: str = Field(
        description="Embedded name, folder, Hub id, or an architecture of open_clip (with weights)."
    )
    weights: str = Field("", description="File of weights for an architecture's name.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id.")
    quick_gelu: QuickGelu = Field(
        "auto",
        description="auto: what the folder or architecture says; another value also overrides the check.",
    )


class OpenClip(EncoderBaseline):
    """Any open_clip model.

    Args:
        options: What to load.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: type[OpenClipOptions] = OpenClipOptions
    method = "open-clip"

    def __init__(self, options: OpenClipOptions, device: str) -> None:
        super().__init__(options, device)
        self._options = options
        stem = f"-{Path(options.weights).stem}" if options.weights else ""
        self.name = (
            result_name(f"{options.model.removeprefix('local-dir:').rstrip('/')}{stem}") or "open-clip"
        )

    @cached_property
    def _model(self) -> str:
        """What it is loaded by: as named, or the folder of a Hub id at a revision."""
        options = self._options
        if options.revision is None:
            return options.model
        fetch = fetch_files(["open_clip*.safetensors"])
        return str(locate(options.model, revision=options.revision, fetch=fetch).path)

    @property
    def _encoder(self) -> LoadedEncoder:
        options = self._options
        return load_encoder(self._model, options.weights, self._device, wanted(options.quick_gelu))

    @cached_property
    def _read(self) -> str:
        """What `_digest` returns: weights can be gigabytes, and the record wants it too."""
        return encoder_digest(self._model, self._options.weights)

    def _digest(self) -> str:
        return self._read

    def _origin(self) -> Origin:
        options = self._options
        if options.weights:
            return Origin(options.model, weights_digest(options.weights), "local", "unknown")
        digest = self._digest()
        # The digest's calculation has fetched a Hub id; this finds it again, with what its card says.
        found = locate(
            options.model.removeprefix("local-dir:"),
            revision=options.revision,
            fetch=fetch_files(["open_clip*.safetensors"]),
        )
        return Origin(options.model, digest, found.revision, found.license)


def wanted(quick_gelu: QuickGelu) -> bool | None:
    """Return what an option says of QuickGELU; None for "auto"."""
    return None if quick_gelu == "auto" else quick_gelu == "true"


def result_name(text: str) -> str:
    """Return the name of a result after the last part of a path or Hub id; empty if no letter or digit is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.rpartition("/")[2]).strip("-._")
