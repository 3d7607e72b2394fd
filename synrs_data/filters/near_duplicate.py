"""`near-duplicate`: a perceptual hash of every candidate, which `select` compares over the whole dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from synrs_data.filters.base import Batch, Scores
from synrs_data.filters.perceptual_hash import perceptual_hash, to_text
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import LabelSet


class NearDuplicateOptions(BaseModel):
    """`near-duplicate` has no options; the distance is `select.near_duplicate_distance`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NearDuplicate:
    """The 64-bit pHash of an image."""

    Options: ClassVar[type[BaseModel]] = NearDuplicateOptions
    columns: Mapping[str, str] = {"near_duplicate_phash": "64-bit perceptual hash, 16 hexadecimal digits"}

    def __init__(self, options: NearDuplicateOptions, labels: LabelSet) -> None: ...

    def thresholds(self) -> dict[str, Threshold]:
        """Return nothing: the rule is on pairs."""
        return {}

    def digest(self) -> str:
        """Return nothing: no file decides the hash."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return the hash of each image."""
        return {"near_duplicate_phash": [to_text(perceptual_hash(image)) for image in batch.images]}
