"""What a baseline is, and what of it enters a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from synrs_data.evaluate.benchmark import Benchmark, Part, Sha256
from synrs_data.evaluate.items import Items


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
            contents of its weights, configurations and tokenizers (`ModelFolder.sha256`).
        preprocessing: How images are prepared.
        trained_on: Data sets as declared, None if nobody declared them.
        in_domain: Whether the benchmark's data set is among them, None if they are not declared.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    method: str
    model: str
    weights_sha256: Sha256
    preprocessing: dict[str, Any]
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

    Attributes:
        Options: Pydantic model of its options.
        name: What its results are called, letters, digits, dots, dashes and underscores.
    """

    Options: type[BaseModel]
    name: str

    def __init__(self, options: Any, device: str) -> None: ...

    def score(self, benchmark: Benchmark) -> Scores:
        """Score every class for every item.

        Raises:
            UserError: Model, features or the benchmark's data are missing or do not fit.
        """
        ...


def in_domain(trained_on: tuple[str, ...] | None, benchmark: Benchmark) -> bool | None:
    """Return whether a baseline was trained on the benchmark's data set; None if nobody says what it was trained on."""
    return None if trained_on is None else benchmark.dataset.name in trained_on
