"""Presets of `real-esrgan`: a chain of random steps as data, shipped under `builders/vocab/degradations`.

Four steps change the image: `blur`, `resize`, `noise` and `jpeg`. Three arrange others: `group` does all of its
steps or none, `choice` one of its options, `shuffle` all of its steps in an order drawn for each image. Every
number that is drawn, and from what, is in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import permutations
from typing import Annotated, Literal

from pydantic import Field, model_validator

from synrs_data.degradations.presets import load_preset_of, preset_path
from synrs_data.degradations.steps import (
    Blur,
    Jpeg,
    Name,
    Noise,
    Part,
    Probability,
    Resize,
    Skippable,
    add_up,
)

KIND = "second-order"

_MOST_SHUFFLED = 7


class Group(Skippable):
    """All of some steps, or none of them."""

    step: Literal["group"]
    steps: Steps


class Option(Part):
    """One of the options of a choice."""

    name: Name
    probability: Probability
    steps: Steps


class Choice(Part):
    """One of some options; their probabilities add up to 1."""

    step: Literal["choice"]
    name: Name
    options: Annotated[tuple[Option, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Choice:
        if len({option.name for option in self.options}) < len(self.options):
            raise ValueError("two options have one name")
        add_up({option.name: option.probability for option in self.options})
        return self


class Shuffle(Part):
    """All of some steps, in any order that `before` allows, all equally likely.

    Attributes:
        before: Pairs of names: the first comes before the second.
    """

    step: Literal["shuffle"]
    name: Name
    steps: Annotated[Steps, Field(max_length=_MOST_SHUFFLED)]
    before: tuple[tuple[Name, Name], ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Shuffle:
        names = [step.name for step in self.steps]
        if strange := [name for pair in self.before for name in pair if name not in names]:
            raise ValueError(f"`before` names '{strange[0]}', which is none of the steps {', '.join(names)}")
        if not self.orders:
            raise ValueError("`before` allows no order")
        return self

    @cached_property
    def orders(self) -> tuple[tuple[str, ...], ...]:
        """Every order that is allowed, by the names of the steps."""
        found = permutations([step.name for step in self.steps])
        return tuple(order for order in found if all(order.index(a) < order.index(b) for a, b in self.before))


Step = Annotated[Blur | Resize | Noise | Jpeg | Group | Choice | Shuffle, Field(discriminator="step")]
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
for _model in (Group, Option, Choice, Shuffle):
    _model.model_rebuild()


class Usm(Part):
    """Unsharp masking of the HR image: see `synrs_data.degradations.sharpen`."""

    weight: float = Field(gt=0)
    radius: int = Field(ge=1, le=200)
    threshold: float = Field(ge=0, le=255)


class SecondOrderPreset(Part):
    """A degradation as a chain of random steps.

    Attributes:
        kind: "second-order".
        title: What it is.
        source: Where the numbers come from, and what differs.
        scale: How many HR pixels one LR pixel covers along a side.
        sharpen: Whether the HR image is sharpened first.
        usm: How.
        steps: The steps in order. The last that changes the size is one with `relative_to: lr` and `factor: 1`.
    """

    kind: Literal["second-order"]
    title: str = ""
    source: str = ""
    scale: int = Field(ge=1, le=16)
    sharpen: bool
    usm: Usm
    steps: Steps

    @model_validator(mode="after")
    def _sound(self) -> SecondOrderPreset:
        _kinds_by_name(self.steps)
        if False in _ends_at_lr(self.steps, frozenset({False})):
            raise ValueError(
                "the image may end in another size than the LR image: the last resize that is sure to be done needs "
                "`relative_to: lr` and `factor: 1`"
            )
        return self


def load_preset(name: str) -> SecondOrderPreset:
    """Load a preset by shipped name or path; see `load_preset_of`."""
    return load_preset_of(KIND, name, SecondOrderPreset)


def preset_digest(name: str) -> str:
    """Return the sha256 over a preset's file."""
    return hashlib.sha256(preset_path(name).read_bytes()).hexdigest()


def _inner(step: Step) -> Iterator[tuple[Step, ...]]:
    """Yield the steps inside a step: those of each option of a choice."""
    if isinstance(step, Choice):
        yield from (option.steps for option in step.options)
    elif isinstance(step, Group | Shuffle):
        yield step.steps


def _kinds_by_name(steps: Sequence[Step]) -> dict[str, str]:
    """Return the kind of step by name; only options of one choice may share names, for steps of one kind."""
    kinds: dict[str, str] = {}
    for step in steps:
        below: dict[str, str] = {step.name: step.step}
        for part in _inner(step):
            for name, kind in _kinds_by_name(part).items():
                if below.setdefault(name, kind) != kind or name == step.name:
                    raise ValueError(f"two different steps have the name '{name}'")
        if repeated := sorted(kinds.keys() & below.keys()):
            raise ValueError(f"two steps of one image have the name '{repeated[0]}'")
        kinds |= below
    return kinds


def _ends_at_lr(steps: Sequence[Step], before: frozenset[bool]) -> frozenset[bool]:
    """Return whether the image may have, and may not have, the LR size after some steps, given the same before."""
    state = before
    for step in steps:
        if isinstance(step, Resize):
            after = frozenset({step.reaches_lr})
        elif isinstance(step, Group):
            after = _ends_at_lr(step.steps, state)
        elif isinstance(step, Choice):
            after = frozenset().union(*(_ends_at_lr(option.steps, state) for option in step.options))
        elif isinstance(step, Shuffle):
            named = {inner.name: inner for inner in step.steps}
            orders = ([named[name] for name in order] for order in step.orders)
            after = frozenset().union(*(_ends_at_lr(order, state) for order in orders))
        else:
            continue
        certain = isinstance(step, Choice | Shuffle) or step.probability == 1
        state = after if certain else after | state
    return state
