"""What each parameter of a second-order degradation is drawn from, given that it applies to an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from synrs_data.degradations import distributions
from synrs_data.degradations.distributions import Distribution, Uniform
from synrs_data.degradations.second_order_draws import MIXES, POWERS
from synrs_data.degradations.second_order_preset import Choice, Group, Shuffle, Step
from synrs_data.degradations.steps import Blur, Leaf, Noise, Resize

Pieces = Mapping[tuple[float, float], float]
Part = tuple[str, float, Mapping[str, float] | Pieces]
"""A parameter, how often it applies by this way, and what it is then drawn from: a probability by value or by span."""


def marginals(steps: Sequence[Step]) -> dict[str, Distribution]:
    """Return the distribution of every parameter that steps draw, seeds of noise aside, in the order of the file."""
    found: dict[str, dict[str | tuple[float, float], float]] = {}
    for name, weight, shares in _parts(steps, 1.0):
        sums = found.setdefault(name, defaultdict(float))
        for value, share in shares.items():
            sums[value] += weight * share
    return {name: _distribution(sums) for name, sums in found.items()}


def _distribution(sums: Mapping[str | tuple[float, float], float]) -> Distribution:
    total = sum(sums.values())
    pieces = [(share / total, *value) for value, share in sums.items() if isinstance(value, tuple) and share]
    if pieces:
        return Uniform(tuple(pieces))
    return distributions.Choice({str(value): share / total for value, share in sums.items() if share})


def _parts(steps: Sequence[Step], weight: float) -> Iterator[Part]:
    """Yield the parameters of steps that are reached with the probability `weight`."""
    for step in steps:
        if isinstance(step, Choice):
            yield f"{step.name}.option", weight, {option.name: option.probability for option in step.options}
            for option in step.options:
                yield from _parts(option.steps, weight * option.probability)
        elif isinstance(step, Shuffle):
            yield f"{step.name}.order", weight, _equal([" ".join(order) for order in step.orders])
            yield from _parts(step.steps, weight)
        else:
            share = step.probability
            if share < 1:
                yield f"{step.name}.applied", weight, {"True": share, "False": 1 - share}
            if isinstance(step, Group):
                yield from _parts(step.steps, weight * share)
            else:
                for key, part, shares in _values(step):
                    yield f"{step.name}.{key}", weight * share * part, shares


def _values(step: Leaf) -> Iterator[Part]:
    if isinstance(step, Blur):
        yield from _blur(step)
    elif isinstance(step, Resize):
        yield from _resize(step)
    elif isinstance(step, Noise):
        yield from _noise(step)
    else:
        yield "quality", 1.0, _numbers(step.quality, whole=step.whole)


def _blur(step: Blur) -> Iterator[Part]:
    kernels = {str(kind): share * (1 - step.sinc) for kind, share in step.kernels.items()}
    yield "kind", 1.0, {**kernels, "sinc": step.sinc}
    yield "size", 1.0, _equal([str(size) for size in step.sizes])
    if step.sinc:
        for size in step.sizes:
            yield "omega_c", step.sinc / len(step.sizes), {step.cutoff(size): 1.0}
    turned = sum(share for kind, share in kernels.items() if kind.endswith("aniso"))
    straight = sum(kernels.values()) - turned
    if step.sigma is not None:
        both = straight + (turned if step.variance is None else 0.0)
        yield "sigma_x", both, {step.sigma: 1.0}
    if turned and step.rotation is not None:
        spread, name = (step.sigma, "sigma") if step.variance is None else (step.variance, "variance")
        assert spread is not None, "the preset's check has seen to it"
        for axis in "xy":
            if (name, axis) != ("sigma", "x"):
                yield f"{name}_{axis}", turned, {spread: 1.0}
        yield "rotation", turned, {step.rotation: 1.0}
    for shape, beta in (("generalized", step.generalized_beta), ("plateau", step.plateau_beta)):
        share = sum(share for kind, share in kernels.items() if kind.startswith(shape))
        if share and beta is not None:
            yield "beta", share, {(beta[0], 1.0): 0.5, (1.0, beta[1]): 0.5}


def _resize(step: Resize) -> Iterator[Part]:
    if step.divisor is not None:
        yield "divisor", 1.0, {step.divisor: 1.0}
    elif step.range is not None:
        directions = {str(kind): share for kind, share in step.directions.items()}
        yield "kind", 1.0, directions
        for kind, span in (("up", (1.0, step.range[1])), ("down", (step.range[0], 1.0))):
            if share := directions.get(kind, 0.0):
                yield "scale", share, {span: 1.0}
    yield "mode", 1.0, _equal(step.modes)


def _noise(step: Noise) -> Iterator[Part]:
    yield "kind", 1.0, {str(kind): share for kind, share in step.kinds.items()}
    yield "channels", 1.0, {str(name): share for name, share in step.channels.items()}
    gaussian = step.kinds.get("gaussian", 0.0)
    correlated = gaussian * step.channels.get("correlated", 0.0)
    if step.sigma is not None and gaussian > correlated:
        yield "sigma", gaussian - correlated, _numbers(step.sigma, whole=step.whole)
    if correlated:
        for name in (*POWERS, *MIXES):
            yield name, correlated, {(0.0, 1.0): 1.0}
    if step.poisson_scale is not None and gaussian < 1:
        yield "poisson_scale", 1 - gaussian, {step.poisson_scale: 1.0}


def _numbers(span: tuple[float, float], *, whole: bool) -> Mapping[str, float] | Pieces:
    if whole:
        return _equal([str(value) for value in range(int(span[0]), int(span[1]) + 1)])
    return {span: 1.0}


def _equal(values: Sequence[str]) -> dict[str, float]:
    return {value: 1 / len(values) for value in values}
