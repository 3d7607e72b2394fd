"""What a parameter is drawn from, for the report and for tests of the draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Uniform:
    """A mixture of uniform distributions.

    Attributes:
        pieces: Probability, lowest and highest value of each; the probabilities add up to 1. A piece whose lowest
            value is its highest is that value alone.
    """

    pieces: tuple[tuple[float, float, float], ...]

    @classmethod
    def between(cls, low: float, high: float) -> Uniform:
        """Return the uniform distribution from `low` to `high`."""
        return cls(((1.0, low, high),))

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return min(low for _, low, _ in self.pieces), max(high for _, _, high in self.pieces)

    def cdf(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of at most each value."""
        points = np.asarray(values, dtype=np.float64)
        total = np.zeros_like(points)
        for share, low, high in self.pieces:
            below = points >= low if low == high else np.clip((points - low) / (high - low), 0.0, 1.0)
            total += share * below
        return total


@dataclass(frozen=True, slots=True)
class Choice:
    """A distribution over a few values.

    Attributes:
        probabilities: Probability by value, the value as text (`str(value)`); they add up to 1.
    """

    probabilities: Mapping[str, float]


Distribution = Uniform | Choice
