"""What a training protocol is, what it trains on, and the protocols by name."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from synrs_data.errors import RecipeError, UserError
from synrs_data.resources import suggestion
from synrs_data.vocabulary import explain

Inputs = Literal["features", "images"]

PROTOCOLS: dict[str, str] = {
    "linear-probe": "synrs_data.evaluate.protocols.linear_probe:LinearProbe",
    "knn": "synrs_data.evaluate.protocols.knn:Knn",
    "classifier-tuning": "synrs_data.evaluate.protocols.classifier_tuning:ClassifierTuning",
    "from-scratch": "synrs_data.evaluate.protocols.from_scratch:FromScratch",
}
"""Name -> `module:class`, imported when it is used."""

LOWEST = -1e4
"""Score of a class that the training data do not have: finite, and below what any protocol gives."""

_NEXT_OPTION = re.compile(r",(?=[a-z_0-9]+=)")


@dataclass(frozen=True, slots=True)
class Samples:
    """Labelled items to train or to validate on.

    Attributes:
        inputs: Features, (n, width) float32, or images, (n, height, width, 3) uint8 RGB.
        labels: Index of each item's class, (n,).
        synthetic: Whether each item was generated, (n,).
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    synthetic: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[Any]) -> Samples:
        """Return the items of an index or a mask, in its order."""
        return Samples(self.inputs[index], self.labels[index], self.synthetic[index])

    def joined(self, other: Samples) -> Samples:
        """Return these items and then the other ones."""
        return Samples(
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.synthetic, other.synthetic]),
        )


class ProtocolOptions(BaseModel):
    """Base of a protocol's options: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainingProtocol(Protocol):
    """A class made from its options, which trains a classifier and scores test items with it.

    Attributes:
        Options: Pydantic model of its options.
        name: Registered name.
        inputs: What it trains on.
        needs_text: Whether it needs the text features of the classes.
        options: Those it was made with, for the result.
    """

    Options: type[BaseModel]
    name: ClassVar[str]
    inputs: ClassVar[Inputs]
    needs_text: ClassVar[bool]
    options: Any

    def __init__(self, options: Any, device: str) -> None: ...

    def fit_predict(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        *,
        text: NDArray[np.float32] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        """Train, choose by validation accuracy, and score every class for every test item.

        Args:
            train: What to train on; a class may be missing.
            validation: What hyper-parameters and checkpoints are chosen on; never the test. If it is empty, the
                protocol takes its default or its last checkpoint.
            test: Features or images, like `train.inputs`.
            classes: Number of classes.
            text: One L2-normalised text feature a class, (classes, width); None for a protocol without `needs_text`.
            seed: Of initialisation and order.

        Returns:
            Scores, (n_test, classes), all finite; the highest is the prediction. A class without a training item has
            `LOWEST`, unless text features describe it.

        Raises:
            UserError: Shapes do not fit, labels are out of range, values are not finite, or there is nothing to
                train on.
        """
        ...


def describe_protocols() -> list[tuple[str, type[BaseModel]]]:
    """Return each protocol's name with the model of its options."""
    return [(name, _load(name).Options) for name in PROTOCOLS]


def make_protocol(text: str, device: str) -> TrainingProtocol:
    """Return the protocol that a user named.

    Args:
        text: `NAME`, or `NAME:KEY=VALUE,KEY=VALUE` with options.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        RecipeError: There is no such protocol or option.
    """
    name, _, rest = text.partition(":")
    if name not in PROTOCOLS:
        raise RecipeError(
            f"unknown protocol '{name}'", fix=suggestion(name, list(PROTOCOLS), what="protocol")
        )
    cls = _load(name)
    options = {}
    for part in filter(None, _NEXT_OPTION.split(rest)):
        key, equals, value = part.partition("=")
        if not equals:
            raise RecipeError(
                f"protocol '{text}': '{part}' is no KEY=VALUE", fix=f"write `{name}:KEY=VALUE,KEY=VALUE`"
            )
        options[key] = value
    try:
        checked = cls.Options.model_validate(options)
    except ValidationError as error:
        raise RecipeError(
            f"protocol '{text}': {explain(error, cls.Options)}",
            fix=f"the options of '{name}' are {', '.join(cls.Options.model_fields)}",
        ) from error
    protocol: TrainingProtocol = cls(checked, device)
    return protocol


def check(
    train: Samples, validation: Samples, test: NDArray[Any], classes: int, *, inputs: Inputs, name: str
) -> None:
    """Raise a UserError unless a protocol can train on these.

    Args:
        train: At least one item.
        validation: May be empty.
        test: Inputs alone.
        classes: Number of classes.
        inputs: What the protocol trains on.
        name: Of the protocol, for the message.
    """
    where = f"protocol '{name}'"
    if not len(train):
        raise UserError("there is nothing to train on", where=where, fix="give the arm at least one item")
    shape = train.inputs.shape[1:]
    for what, part in (("train", train), ("validation", validation)):
        if not len(part.inputs) == len(part.labels) == len(part.synthetic):
            raise UserError(
                f"{what} has {len(part.inputs)} inputs, {len(part.labels)} labels and {len(part.synthetic)} origins",
                where=where,
                fix="give one of each for every item",
            )
        if len(part) and not 0 <= part.labels.min() <= part.labels.max() < classes:
            raise UserError(
                f"{what} has the labels {part.labels.min()} to {part.labels.max()}",
                where=where,
                fix=f"give indices of the {classes} classes, 0 to {classes - 1}",
            )
        _check_inputs(part.inputs, shape, inputs, what=what, where=where)
    _check_inputs(test, shape, inputs, what="test", where=where)


def _check_inputs(
    values: NDArray[Any], shape: tuple[int, ...], inputs: Inputs, *, what: str, where: str
) -> None:
    if len(values) == 0:
        return
    if inputs == "images":
        if values.ndim != 4 or values.shape[3] != 3 or values.dtype != np.uint8:
            raise UserError(
                f"{what} is {values.dtype} of shape {values.shape}",
                where=where,
                fix="give RGB images, (n, height, width, 3) uint8",
            )
    elif values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise UserError(
            f"{what} is {values.dtype} of shape {values.shape}",
            where=where,
            fix="give features, (n, width) float32",
        )
    elif not np.isfinite(values).all():
        raise UserError(f"{what} has features that are not finite", where=where, fix="compute them again")
    if values.shape[1:] != shape:
        raise UserError(
            f"an item of {what} has the shape {values.shape[1:]}, one of train {shape}",
            where=where,
            fix="give all of them the same size",
        )


def _load(name: str) -> Any:
    module, _, attribute = PROTOCOLS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
