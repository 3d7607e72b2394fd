"""Scores and distances in a card: quantiles and a histogram of block characters, in plain text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.report.view import BuildFacts, aligned, bounds

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_LEVELS = "▁▂▃▄▅▆▇█"
_BINS = 16


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """How one score is distributed over some samples.

    Attributes:
        score: The score column.
        group: Which samples: "candidates" or "accepted".
        quantiles: Its quantiles of `QUANTILES`, as text.
        histogram: Its histogram; the lowest block is an empty bin, the others are shares of the fullest.
    """

    score: str
    group: str
    quantiles: list[str]
    histogram: str


@dataclass(frozen=True, slots=True)
class LeakRow:
    """What one filter found that looks for copies of real images.

    Attributes:
        real: Name of the real images that candidates were compared with.
        compared: Their number; None for a build that did not record it.
        rejected: Candidates that it rejected.
        same_hash: Candidates with the perceptual hash of a real image.
        packed_same_hash: How many of them are packed all the same.
        distance: Quantiles of the distance to the nearest real image over all candidates, as text.
        similarity: The same of the similarity to the nearest; empty if it was not computed.
    """

    real: str
    compared: int | None
    rejected: int
    same_hash: int
    packed_same_hash: int
    distance: list[str]
    similarity: list[str]


def score_rows(facts: BuildFacts) -> list[ScoreRow]:
    """Return two rows a score, of all candidates and of the accepted; nothing for a build without candidates."""
    rows: list[ScoreRow] = []
    for name in facts.scores if facts.candidates else ():
        accepted = _values(facts.packed, name)
        candidates = np.sort(np.concatenate([accepted, _values(facts.rejected, name)]))
        low, high = float(candidates[0]), float(candidates[-1])
        rows.append(ScoreRow(name, "candidates", quantiles(candidates), sparkline(candidates, low, high)))
        if len(accepted):
            rows.append(ScoreRow(name, "accepted", quantiles(accepted), sparkline(accepted, low, high)))
    return rows


def accepted_ranges(facts: BuildFacts) -> dict[str, str]:
    """Return the accepted range of each score in words, empty for a score without a threshold."""
    limits = facts.recipe.select.thresholds
    found = {name: limits.get(name) for name in facts.scores}
    return {name: bounds(limit) if limit is not None else "" for name, limit in found.items()}


def leak_row(facts: BuildFacts) -> LeakRow | None:
    """Return what the filter `leak` of a build found; None if it has none."""
    spec = next((spec for spec in facts.recipe.filters if spec.method == "leak"), None)
    if spec is None or not facts.candidates:
        return None
    tables = (facts.packed, facts.rejected)
    packed, rejected = (_values(table, "leak_hash_distance") for table in tables)
    both = np.concatenate([packed, rejected])
    similarity = [_values(table, "leak_similarity") for table in tables if "leak_similarity" in table.columns]
    return LeakRow(
        real=str((spec.model_extra or {})["real"]).rstrip("/").rpartition("/")[2],
        compared=facts.compared.get("leak"),
        rejected=facts.rejected.filter(pl.col("rule").str.starts_with("leak_")).height,
        same_hash=int((both == 0).sum()),
        packed_same_hash=int((packed == 0).sum()),
        distance=quantiles(both),
        similarity=quantiles(np.concatenate(similarity)) if similarity else [],
    )


def quantiles(values: NDArray[np.float64]) -> list[str]:
    """Return the quantiles of `QUANTILES`, linear between samples, with three digits."""
    return [aligned(float(value)) for value in np.quantile(np.sort(values), QUANTILES)]


def sparkline(values: NDArray[np.float64], low: float, high: float) -> str:
    """Return a histogram of 16 equal bins as block characters.

    Args:
        values: The values, all of them from low to high.
        low: Lower edge of the first bin.
        high: Upper edge of the last.
    """
    # A range of almost no width has no bins that floats can tell apart.
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        return _LEVELS[-1]
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high))
    peak = max(int(counts.max()), 1)
    # A bin that holds anything is seen to hold something.
    return "".join(_LEVELS[-(-int(count) * (len(_LEVELS) - 1) // peak)] for count in counts)


def _values(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.sort(table[name].cast(pl.Float64).to_numpy())
    return values
