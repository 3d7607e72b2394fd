"""Turn scores into verdicts: thresholds, near-duplicates, quotas, the best k, and splits.

Works on a table of all candidates at once; nothing is generated or decoded.
"""

from __future__ import annotations

import hashlib
from itertools import accumulate

import numpy as np
import polars as pl

from synrs_data.errors import SelectionError
from synrs_data.filters.perceptual_hash import close_pairs, from_texts
from synrs_data.recipe import Selection, Threshold
from synrs_data.vocabulary import LabelSet

_HASH = "near_duplicate_phash"


def verdicts(table: pl.DataFrame, select: Selection, labels: LabelSet) -> pl.DataFrame:
    """Return the table with the columns `reason`, `rule` and `split`, sorted by key.

    Args:
        table: One row a candidate, with `key`, `label` and the score columns; and `derived_from`, if candidates
            start from images.
        select: The selection part of the recipe.
        labels: The label set.

    Returns:
        The table; `reason` and `rule` are empty and `split` is set for what is packed, the other way round
        for what is not.

    Raises:
        SelectionError: A quota cannot be met, or nothing is accepted.
    """
    table = table.sort("key").with_columns(reason=pl.lit(""), rule=pl.lit(""))
    for column, threshold in select.thresholds.items():
        if threshold is not None:
            table = _apply_threshold(table, column, threshold)
    if select.near_duplicate_distance is not None:
        table = _reject_duplicates(table, select.near_duplicate_distance, select.rank_by)
    _check_quota(table, select, labels)
    if select.per_label.max is not None:
        place = _rank(select.rank_by).over("label")
        text = f"over the quota of {select.per_label.max} a label"
        table = _reject_over(table, place, select.per_label.max, text, "per_label")
    if select.top_k is not None:
        text = f"not among the best {select.top_k}"
        table = _reject_over(table, _rank(select.rank_by), select.top_k, text, "top_k")
    if not (table["reason"] == "").any():
        raise SelectionError(
            f"none of {table.height} candidates is accepted; {_why(table)}",
            where="select",
            fix="relax `select.thresholds`: `synrs-data select DIR --set select.thresholds.NAME.min=...`",
        )
    accepted = pl.col("reason") == ""
    # What was made from one real image stays in one split: its images are no independent samples.
    sources = table["derived_from"] if "derived_from" in table.columns else [""] * table.height
    groups = [source or key for source, key in zip(sources, table["key"], strict=True)]
    splits = pl.Series("split", [split_of(group, select.splits) for group in groups])
    return table.with_columns(pl.when(accepted).then(splits).otherwise(pl.lit("")).alias("split"))


def split_of(key: str, splits: dict[str, float]) -> str:
    """Return the split of a sample: a hash of its key, or of its source, on the unit interval, cut by the shares.

    A sample keeps its split while the shares stay, whatever else is accepted.
    """
    place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64
    for name, edge in zip(splits, accumulate(splits.values()), strict=True):
        if place < edge:
            return name
    return list(splits)[-1]


def _apply_threshold(table: pl.DataFrame, column: str, threshold: Threshold) -> pl.DataFrame:
    value = pl.col(column)
    for limit, fails, word in (
        (threshold.min, value < (threshold.min or 0.0), "below"),
        (threshold.max, value > (threshold.max or 0.0), "above"),
    ):
        if limit is not None:
            text = pl.format(f"{column} {{}} is {word} {limit:.4g}", value.round_sig_figs(4))
            table = _reject(table, fails, text, column)
    return table


def _reject_duplicates(table: pl.DataFrame, distance: int, rank_by: str | None) -> pl.DataFrame:
    """Reject every candidate that is near one that is kept; the better-ranked of two is kept."""
    accepted = table.with_row_index("row").filter(pl.col("reason") == "")
    if rank_by is not None:
        accepted = accepted.sort([rank_by, "key"], descending=[True, False])
    near: dict[int, list[int]] = {}
    for pairs in close_pairs(from_texts(accepted[_HASH].to_list()), distance):
        for first, second in pairs.tolist():
            near.setdefault(second, []).append(first)
    rows, keys = accepted["row"].to_numpy(), accepted["key"].to_list()
    twin: dict[int, int] = {}
    for place in sorted(near):
        kept = [other for other in near[place] if other not in twin]
        if kept:
            twin[place] = min(kept)
    reasons = [""] * table.height
    for place, other in twin.items():
        reasons[int(rows[place])] = f"near-duplicate of {keys[other]}"
    found = pl.Series("found", reasons)
    return _reject(table, found != "", found, "near_duplicate")


def _rank(rank_by: str | None) -> pl.Expr:
    """Return the place of each accepted candidate, from 1, best first, ties by key."""
    accepted = pl.col("reason") == ""
    if rank_by is None:
        return accepted.cum_sum()
    value = pl.when(accepted).then(pl.col(rank_by)).otherwise(-np.inf)
    return value.rank("ordinal", descending=True)


def _reject_over(table: pl.DataFrame, place: pl.Expr, most: int, text: str, rule: str) -> pl.DataFrame:
    return _reject(table, place > most, pl.lit(text), rule)


def _reject(
    table: pl.DataFrame, fails: pl.Expr | pl.Series, text: pl.Expr | pl.Series, rule: str
) -> pl.DataFrame:
    """Give a reason to the candidates that fail and have none yet."""
    newly = (pl.col("reason") == "") & fails
    return table.with_columns(
        reason=pl.when(newly).then(text).otherwise(pl.col("reason")),
        rule=pl.when(newly).then(pl.lit(rule)).otherwise(pl.col("rule")),
    )


def _check_quota(table: pl.DataFrame, select: Selection, labels: LabelSet) -> None:
    least = select.per_label.min
    short = []
    for index, name in enumerate(labels.names):
        own = table.filter(pl.col("label") == index)
        count = int((own["reason"] == "").sum())
        if count < least:
            short.append(f"{name} has {count} of {own.height} accepted ({_why(own)})")
    if short:
        more = f"; and {len(short) - 5} more labels" if len(short) > 5 else ""
        raise SelectionError(
            f"the quota of at least {least} a label cannot be met: {'; '.join(short[:5])}{more}",
            where="select.per_label.min",
            fix="raise `candidates`, relax the thresholds, or lower the quota; nothing generated is lost",
        )


def _why(table: pl.DataFrame) -> str:
    counts = (
        table.filter(pl.col("rule") != "")
        .group_by("rule")
        .len()
        .sort("len", "rule", descending=[True, False])
    )
    reasons = [f"{count} by {rule}" for rule, count in counts.iter_rows()]
    return "rejected: " + ", ".join(reasons) if reasons else "none was rejected: there are too few candidates"
