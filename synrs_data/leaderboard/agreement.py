"""Predictions that agree with the labels in a way that models do not: what a maintainer should look at.

Nothing here proves deceit, and who knows the tests can pass them: errors drawn from a real confusion matrix look real.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.leaderboard.rules import Finding

_PERFECT = 0.999
_ITEMS = 200
_ERRORS = 40
_CLASSES = 4
_REPLICATES = 999
_LEVEL = 0.01


def find_flags(table: pl.DataFrame, classes: int) -> Iterator[Finding]:
    """Yield the flags F01 and F02 of predictions, each at most once.

    Args:
        table: Verified predictions: arm, seed, label and predicted.
        classes: Number of classes.
    """
    seen = set[str]()
    for (arm, seed), block in table.group_by("arm", "seed", maintain_order=True):
        labels, predicted = block["label"].to_numpy(), block["predicted"].to_numpy()
        right = float((labels == predicted).mean())
        where = f"{arm} seed {seed}"
        if len(labels) >= _ITEMS and right > _PERFECT and "F01" not in seen:
            seen.add("F01")
            yield Finding("F01", f"{where} is right on {right * 100:.2f} % of {len(labels)} items")
        level = evenness(labels, predicted, classes)
        if level is not None and level > _LEVEL and "F02" not in seen:
            seen.add("F02")
            wrong = int((labels != predicted).sum())
            yield Finding(
                "F02",
                f"the {wrong} errors of {where} are as even as chance would have them (p = {level:.3f})",
            )


def evenness(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> float | None:
    """Return how probable errors as uneven as these are if, in every class, they fell on the others with equal chances.

    A Monte Carlo test (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.2.1) of Pearson's
    statistic, given the errors of each class. Models err unevenly: their p-value is the lowest there is, 1/1000. Labels
    with uniform noise have any p-value alike, so 99 of 100 arms and seeds of them are above 0.01.

    Args:
        labels: Class of each item, (n,).
        predicted: Predicted class of each item, (n,).
        classes: Number of classes.

    Returns:
        The p-value; None where fewer than 40 errors, or fewer than 4 classes, say too little, or where less than three
        times as many items are right as guessing would have.
    """
    wrong = labels != predicted
    errors = int(wrong.sum())
    if errors < _ERRORS or classes < _CLASSES or (len(labels) - errors) * classes < 3 * len(labels):
        return None
    found = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(found, (labels[wrong], predicted[wrong]), 1)
    rng = np.random.default_rng(0)
    observed, drawn = 0.0, np.zeros(_REPLICATES)
    chances = np.full(classes - 1, 1 / (classes - 1))
    for number, row in enumerate(found):
        total = int(row.sum())
        if total:
            expected = total / (classes - 1)
            observed += float(((np.delete(row, number) - expected) ** 2 / expected).sum())
            draws = rng.multinomial(total, chances, size=_REPLICATES)
            drawn += ((draws - expected) ** 2 / expected).sum(axis=1)
    return float((1 + (drawn >= observed - 1e-9).sum()) / (_REPLICATES + 1))
