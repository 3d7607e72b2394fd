"""How the synthetic sets of the EuroSAT study differ from each other: the same arm, seeds, items, other images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from _study_plan import FIRST, STRATEGIES, Run
from numpy.typing import NDArray

from synrs_data.evaluate.results import PREDICTIONS, Result
from synrs_data.evaluate.statistics import STATISTICS, Difference, paired_over_seeds

PAIRS = (("le", "b"), ("le-cf", "le"), ("le-cf", "b"))
ARMS = ("synthetic", *(f"mixed@{shots}x{ratio}" for shots, ratio in product((1, 4, 16), FIRST)))


def strategy_differences(
    results: Path, runs: Sequence[Run], records: Sequence[Result], classifier: str
) -> list[tuple[str, list[Difference | None]]]:
    """Return, for each pair of sets, the difference in top-1 of each of `ARMS`; None where an arm was not run."""
    labels: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    right: dict[tuple[str, str], NDArray[np.bool_]] = {}
    classes, seed = 0, 0
    for run, record in zip(runs, records, strict=True):
        if run.classifier != classifier or run.synthetic is None:
            continue
        table = pl.read_parquet(results / run.name / PREDICTIONS)
        labels = table["label"].to_numpy()[: record.n]
        hits = (table["label"] == table["predicted"]).to_numpy()
        cube = hits.reshape(len(record.arms), len(record.seeds), record.n)
        classes, seed = len(record.arms[0].per_class), record.bootstrap.seed
        right |= {(run.synthetic, arm.name): own for arm, own in zip(record.arms, cube, strict=True)}

    def between(first: str, second: str, arm: str) -> Difference | None:
        own, other = right.get((first, arm)), right.get((second, arm))
        if own is None or other is None or own.shape != other.shape:
            return None
        return paired_over_seeds(labels, own, other, classes, STATISTICS["top1"], seed=seed)

    return [
        (f"{STRATEGIES[first]} less {STRATEGIES[second]}", [between(first, second, arm) for arm in ARMS])
        for first, second in PAIRS
    ]
