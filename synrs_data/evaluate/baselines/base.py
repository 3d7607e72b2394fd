"""What a baseline is, and what of it enters a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from synrs_data.evaluate.benchmark import AnyBenchmark, Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.parts import Part, Sha256


class BaselineOptions(BaseModel):
    """Options that every baseline of ours has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trained_on: tuple[str, ...] | None = Field(
        None, description="Data sets that the model was trained on, joined by +; not declared by default."
    )

    @field_validator("trained_on", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        return tuple(filter(None, value.split("+"))) if isinstance(value, str) else value


class BaselineRecord(Part):
    """What a baseline says of itself in a result.

    Attributes:
        name: Distinguishes it from the other baselines of a run; the name of its folder.
        method: Registered name.
        model: Model or file, as the user named it.
        weights_sha256: Digest of the file of weights or of features; of a model folder, the digest over the names and
            contents of its weights, configurations and tokenizers (`ModelFolder.sha256`); None where there are none.
        revision: Commit of a Hub id; "local" or "embedded" of others, empty where there is no model.
        license: Of the weights, "unknown" where nobody says it.
        quick_gelu: Whether the model computes with QuickGELU; None where that does not apply.
        preprocessing: How images are prepared.
        text: How texts are prepared; empty where there are none.
        trained_on: Data sets as declared, None if nobody declared them.
        in_domain: Whether the benchmark's data set is among them, None if they are not declared.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    method: str
    model: str
    weights_sha256: Sha256 | None
    revision: str = ""
    license: str = "unknown"
    quick_gelu: bool | None = None
    preprocessing: dict[str, Any]
    text: dict[str, Any] = Field(default_factory=dict)
    trained_on: tuple[str, ...] | None
    in_domain: bool | None


@dataclass(frozen=True, slots=True)
class Scores:
    """What a baseline gives.

    Attributes:
        items: Keys and labels in the benchmark's order.
        values: Score of each class for each item, (n, classes); the highest is the prediction.
        record: What it says of itself.
    """

    items: Items
    values: NDArray[np.float32]
    record: BaselineRecord


class Baseline(Protocol):
    """A registered class: made from its options, it scores a benchmark.

    A class may have `tasks`, the tasks that it can do; without it, that is classification.

    Attributes:
        Options: Pydantic model of its options.
        name: What its results are called, letters, digits, dots, dashes and underscores.
    """

    Options: type[BaseModel]
    name: str

    def __init__(self, options: Any, device: str) -> None: ...

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        """Score every class for every test item, zero-shot.

        Args:
            benchmark: What to score.
            data: Its images; None where it has only saved features.
            cache: Of features.

        Raises:
            UserError: Model or features are missing or do not fit.
        """
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """A baseline whose features a protocol can train on."""

    name: str

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that its features depend on but the images, as JSON values."""
        ...

    def record(self, benchmark: Classification) -> BaselineRecord:
        """Return what it says of itself."""
        ...

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one feature an image, (n, width); images are (height, width, 3)."""
        ...

    def class_features(self, benchmark: Classification) -> NDArray[np.float32]:
        """Return one L2-normalised text feature a class, (classes, width), by the benchmark's prompts."""
        ...


@runtime_checkable
class ImageTextEncoder(Protocol):
    """A baseline that puts images and texts into one space, so that it can do retrieval."""

    name: str

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that its features depend on but the images, as JSON values."""
        ...

    def record(self, benchmark: AnyBenchmark) -> BaselineRecord:
        """Return what it says of itself."""
        ...

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one feature an image, (n, width); images are (height, width, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one feature a text, (n, width)."""
        ...


def tasks_of(baseline: Any) -> tuple[str, ...]:
    """Return the tasks that a baseline, or its class, can do."""
    return tuple(getattr(baseline, "tasks", ("classification",)))


def in_domain(trained_on: tuple[str, ...] | None, benchmark: AnyBenchmark) -> bool | None:
    """Return whether a baseline was trained on the benchmark's data set; None if nobody says what it was trained on."""
    return None if trained_on is None else benchmark.dataset.name in trained_on
