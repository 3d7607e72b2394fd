"""The protocol of caption strategies.

A strategy writes the *caption book* of a build once, before any image is made: a list in order of
assignment, so that candidate `i` gets entry `i % len(book)`. A strategy that balances labels therefore
interleaves them: label 0, label 1, ..., label 0, ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet


class CaptionStrategy(Protocol):
    """Writes the captions of a build."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any) -> None: ...

    def inputs(self) -> list[Path]:
        """Return the files whose contents decide the captions; their digests enter the fingerprint.

        Raises:
            SynrsError: One of them is missing.
        """
        ...

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book: at least one caption, the same for the same options, labels and seed.

        Raises:
            CaptionError: There are not enough unique captions, a label is unknown, a file is empty.
        """
        ...
