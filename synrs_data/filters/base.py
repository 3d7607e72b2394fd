"""The protocol of filters. A filter scores; it rejects nothing. Its default thresholds are data of the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from synrs_data.models.encoder import Features, load_encoder
from synrs_data.recipe import Threshold, path_option
from synrs_data.vocabulary import LabelSet

Scores = dict[str, Sequence[float] | Sequence[str]]
"""Columns of one value a candidate: finite numbers, or texts such as perceptual hashes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates that are scored together.

    Attributes:
        images: RGB images, each (height, width, 3) of 0 to 255.
        captions: One caption an image.
        labels: One label index an image.
        device: Where encoders run.
        lr: The low-resolution partner of each image, (height / scale, width / scale, 3) of 0 to 255; empty
            unless the recipe makes pairs.
        scale: How many pixels of an image one pixel of its partner covers along a side.
        degradations: What was drawn for each pair, see `degradations.base.Parameters`; empty without pairs.
    """

    images: Sequence[NDArray[np.uint8]]
    captions: Sequence[str]
    labels: Sequence[int]
    device: str
    lr: Sequence[NDArray[np.uint8]] = ()
    scale: int = 1
    degradations: Sequence[Mapping[str, Any]] = ()
    _features: dict[tuple[str, str], Features] = field(default_factory=dict)

    def features(self, model: str, weights: str) -> Features:
        """Return the images' features by an encoder; filters that share it encode once."""
        if (model, weights) not in self._features:
            self._features[model, weights] = load_encoder(model, weights, self.device).images(self.images)
        return self._features[model, weights]


class Filter(Protocol):
    """Scores candidates."""

    Options: ClassVar[type[BaseModel]]
    columns: Mapping[str, str]
    """Name and meaning of every column, in order."""
    needs_pairs: ClassVar[bool]
    """Whether it scores pairs of images alone; a filter that does not say so scores any image."""

    def __init__(self, options: Any, labels: LabelSet) -> None: ...

    def thresholds(self) -> dict[str, Threshold]:
        """Return the ranges that are accepted unless the recipe says otherwise."""
        ...

    def digest(self) -> str:
        """Return the sha256 over the files that decide the scores, empty if there are none.

        Raises:
            SynrsError: One of them is missing.
        """
        ...

    def score(self, batch: Batch) -> Scores:
        """Return every column of `columns` for a batch."""
        ...


class EncoderOptions(BaseModel):
    """Options of filters that use an image/text encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = path_option(
        "eurosat-tiny-clip",
        description="Embedded encoder, open_clip folder, Hub id, or open_clip architecture.",
    )
    weights: str = path_option("", description="File of weights, for an architecture; empty otherwise.")
