"""What a second-order degradation draws for one image, and the steps that this makes it take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from synrs_data.degradations.base import Parameters
from synrs_data.degradations.second_order_preset import Choice, Group, Shuffle, Step
from synrs_data.degradations.steps import Blur, Leaf, Noise, Resize

Drawn = dict[str, str | int | float | bool]
AnyT = TypeVar("AnyT")

SEEDS = 2**53
"""JSON readers keep whole numbers below this exact."""

POWERS = tuple(f"power_{i}" for i in (1, 2, 3))
MIXES = tuple(f"mix_{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))
"""Correlated noise: the eigenvalues of its covariance, and a matrix whose orthonormal basis is the eigenvectors."""


def draw(steps: Sequence[Step], random: np.random.Generator) -> Drawn:
    """Return every value that is drawn for one image, named `step.value`, in the order of the file."""
    drawn: Drawn = {}
    for step in steps:
        if isinstance(step, Choice):
            options = {option.name: option for option in step.options}
            chosen = _pick(random, {name: option.probability for name, option in options.items()})
            drawn[f"{step.name}.option"] = chosen
            drawn |= draw(options[chosen].steps, random)
        elif isinstance(step, Shuffle):
            drawn[f"{step.name}.order"] = " ".join(_any(random, step.orders))
            drawn |= draw(step.steps, random)
        else:
            if step.probability < 1:
                applied = random.random() < step.probability
                drawn[f"{step.name}.applied"] = applied
                if not applied:
                    continue
            inner = draw(step.steps, random) if isinstance(step, Group) else _values(step, random)
            drawn |= inner
    return drawn


def taken(steps: Sequence[Step], drawn: Parameters) -> Iterator[Leaf]:
    """Yield the steps that change an image, in the order in which they do, from what was drawn for it."""
    for step in steps:
        if isinstance(step, Choice):
            chosen = drawn[f"{step.name}.option"]
            yield from taken(next(option.steps for option in step.options if option.name == chosen), drawn)
        elif isinstance(step, Shuffle):
            named = {inner.name: inner for inner in step.steps}
            yield from taken([named[name] for name in str(drawn[f"{step.name}.order"]).split()], drawn)
        elif drawn.get(f"{step.name}.applied", True):
            if isinstance(step, Group):
                yield from taken(step.steps, drawn)
            else:
                yield step


def _values(step: Leaf, random: np.random.Generator) -> Drawn:
    if isinstance(step, Blur):
        values = _blur(step, random)
    elif isinstance(step, Resize):
        values = _resize(step, random)
    elif isinstance(step, Noise):
        values = _noise(step, random)
    else:
        values = {"quality": _number(random, step.quality, whole=step.whole)}
    return {f"{step.name}.{key}": value for key, value in values.items()}


def _blur(step: Blur, random: np.random.Generator) -> Drawn:
    size = _any(random, step.sizes)
    if random.random() < step.sinc:
        return {"kind": "sinc", "size": size, "omega_c": _number(random, step.cutoff(size))}
    kind = _pick(random, step.kernels)
    values: Drawn = {"kind": kind, "size": size}
    if not kind.endswith("aniso"):
        values["sigma_x"] = _number(random, step.sigma)
    else:
        name, span = ("sigma", step.sigma) if step.variance is None else ("variance", step.variance)
        for axis in "xy":
            values[f"{name}_{axis}"] = _number(random, span)
        values["rotation"] = _number(random, step.rotation)
    shape = kind.partition("_")[0]
    if beta := {"generalized": step.generalized_beta, "plateau": step.plateau_beta}.get(shape):
        values["beta"] = _number(random, (beta[0], 1.0) if random.random() < 0.5 else (1.0, beta[1]))
    return values


def _resize(step: Resize, random: np.random.Generator) -> Drawn:
    values: Drawn = {}
    if step.divisor is not None:
        values["divisor"] = _number(random, step.divisor)
    elif step.range is not None:
        kind = values["kind"] = _pick(random, step.directions)
        if kind != "keep":
            span = (1.0, step.range[1]) if kind == "up" else (step.range[0], 1.0)
            values["scale"] = _number(random, span)
    return values | {"mode": _any(random, step.modes)}


def _noise(step: Noise, random: np.random.Generator) -> Drawn:
    kind, channels = _pick(random, step.kinds), _pick(random, step.channels)
    values: Drawn = {"kind": kind, "channels": channels}
    if kind == "poisson":
        values["poisson_scale"] = _number(random, step.poisson_scale)
    elif channels == "correlated":
        values |= {name: float(random.random()) for name in (*POWERS, *MIXES)}
    else:
        values["sigma"] = _number(random, step.sigma, whole=step.whole)
    return values | {"seed": int(random.integers(SEEDS))}


def _number(
    random: np.random.Generator, span: tuple[float, float] | None, *, whole: bool = False
) -> int | float:
    assert span is not None, "the preset's check has seen to it"
    if whole:
        return int(random.integers(int(span[0]), int(span[1]), endpoint=True))
    # Rounding may end a hair above the highest value.
    return min(span[0] + (span[1] - span[0]) * random.random(), span[1])


def _any(random: np.random.Generator, values: Sequence[AnyT]) -> AnyT:
    return values[int(random.integers(len(values)))]


def _pick(random: np.random.Generator, shares: Mapping[AnyT, float]) -> AnyT:
    place = random.random()
    for value, share in shares.items():
        place -= share
        if place < 0:
            return value
    # Rounding errors of the sum leave a hair, which belongs to the last value that can be.
    return [value for value, share in shares.items() if share > 0][-1]
