"""No model at all: protocols that train a network from scratch take the pixels."""

from __future__ import annotations

from pydantic import BaseModel

from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores, in_domain
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache


class PixelsOptions(BaselineOptions):
    """Options of `pixels`; it has seen no data set."""

    trained_on: tuple[str, ...] | None = ()


class Pixels:
    """What protocols that train on images start from.

    Args:
        options: None of its own.
        device: Unused.
    """

    Options: type[BaseModel] = PixelsOptions
    name = "pixels"

    def __init__(self, options: PixelsOptions, device: str) -> None:
        self._options = options

    def record(self, benchmark: Classification) -> BaselineRecord:
        """Return that there are no weights."""
        return BaselineRecord(
            name=self.name,
            method="pixels",
            model="none",
            weights_sha256=None,
            preprocessing={},
            trained_on=self._options.trained_on,
            in_domain=in_domain(self._options.trained_on, benchmark),
        )

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        """Refuse: pixels alone say nothing about classes.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "the baseline 'pixels' has no model, so it cannot score zero-shot",
            fix="give a protocol that trains on images, such as `--protocol from-scratch`",
        )
