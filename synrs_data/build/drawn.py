"""What a build's degradation drew, against what it should draw from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from synrs_data.build.plan import make
from synrs_data.build.protocol import calling
from synrs_data.degradations.distributions import Choice, Distribution, Uniform
from synrs_data.recipe import MethodSpec
from synrs_data.report.view import Drawn

MOST = 20_000
"""At most so many candidates are counted, evenly spaced."""

_BINS = 24


def drawn_parameters(tables: Sequence[pl.DataFrame], spec: MethodSpec | None) -> list[Drawn]:
    """Return a histogram of each parameter that the degradation draws; none for a recipe without one.

    Args:
        tables: Rows of candidates with their `key` and `degradation_parameters`.
        spec: The recipe's degradation.
    """
    if spec is None:
        return []
    columns = pl.concat([table.select("key", "degradation_parameters") for table in tables]).sort("key")
    step = max(1, -(-columns.height // MOST))
    values: dict[str, list[Any]] = {}
    for text in columns["degradation_parameters"].gather_every(step):
        for name, value in json.loads(text).items():
            values.setdefault(name, []).append(value)
    with calling("degradations", spec.method):
        specified = make("degradations", spec).distributions()
    return [_drawn(name, values[name], specified[name]) for name in specified if name in values]


def _drawn(name: str, values: list[Any], distribution: Distribution) -> Drawn:
    if isinstance(distribution, Choice):
        names = tuple(distribution.probabilities)
        found = [str(value) for value in values]
        other = sum(value not in distribution.probabilities for value in found)
        counts = [found.count(name) for name in names]
        ends = (*names, *(("other",) if other else ()))
        expected = [*distribution.probabilities.values(), *([0.0] if other else [])]
        counts += [other] if other else []
    else:
        edges = np.linspace(*_range(values, distribution), _BINS + 1)
        counts = np.histogram(np.asarray(values, dtype=np.float64), edges)[0].tolist()
        expected = np.diff(distribution.cdf(edges)).tolist()
        ends = (float(edges[0]), float(edges[-1]))
    shares = tuple(count / len(values) for count in counts)
    return Drawn(name, len(values), ends, shares, tuple(map(float, expected)))


def _range(values: list[Any], distribution: Uniform) -> tuple[float, float]:
    """Return a range that holds what is specified and what was drawn."""
    low, high = distribution.support
    return min(low, *values, low), max(high, *values, high)
