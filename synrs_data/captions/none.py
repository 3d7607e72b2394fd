"""`none`: empty captions, for recipes whose images need no words, such as pairs of real images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet


class NoCaptionsOptions(BaseModel):
    """`none` has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoCaptions:
    """Gives one empty caption a label."""

    Options: ClassVar[type[BaseModel]] = NoCaptionsOptions

    def __init__(self, options: NoCaptionsOptions) -> None:
        pass

    def inputs(self) -> list[Path]:
        """Return nothing: no file decides the captions."""
        return []

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book: one empty caption a label."""
        return [Caption(text="", label=index, source="none") for index in range(len(labels.labels))]
