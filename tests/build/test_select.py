"""Selection turns scores into verdicts, each with its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from synrs_data.build.pack import even_parts
from synrs_data.build.select import split_of, verdicts
from synrs_data.errors import SelectionError
from synrs_data.filters.perceptual_hash import to_text
from synrs_data.recipe import Selection
from synrs_data.vocabulary import load_label_set

LABELS = load_label_set("eurosat")


def table(
    scores: list[float], hashes: list[int] | None = None, labels: list[int] | None = None
) -> pl.DataFrame:
    count = len(scores)
    return pl.DataFrame(
        {
            "key": [f"{index:09d}" for index in range(count)],
            "shard": [0] * count,
            "label": labels or [index % 2 for index in range(count)],
            "score": scores,
            "near_duplicate_phash": [to_text(value) for value in hashes or range(0, count << 32, 1 << 32)],
        }
    )


def select(**values: Any) -> Selection:
    return Selection.model_validate(values)


def reasons(frame: pl.DataFrame) -> list[str]:
    return frame["reason"].to_list()


def test_thresholds_name_the_score_the_value_and_the_limit() -> None:
    found = verdicts(table([0.1, 0.5, 0.9]), select(thresholds={"score": {"min": 0.2, "max": 0.8}}), LABELS)
    assert reasons(found) == ["score 0.1 is below 0.2", "", "score 0.9 is above 0.8"]
    assert found["rule"].to_list() == ["score", "", "score"]
    assert found["split"].to_list() == ["", "train", ""]


def test_the_ends_of_a_range_are_accepted() -> None:
    found = verdicts(table([0.2, 0.8]), select(thresholds={"score": {"min": 0.2, "max": 0.8}}), LABELS)
    assert reasons(found) == ["", ""]


def test_a_threshold_of_null_is_no_rule() -> None:
    assert reasons(verdicts(table([0.0]), select(thresholds={"score": None}), LABELS)) == [""]


def test_the_first_rule_that_fails_is_the_reason() -> None:
    rules = {"score": {"min": 0.5}}
    found = verdicts(
        table([0.1, 0.2, 0.9, 0.9], [0, 0, 0, 1]), select(thresholds=rules, near_duplicate_distance=1), LABELS
    )
    assert reasons(found) == [
        "score 0.1 is below 0.5",
        "score 0.2 is below 0.5",
        "",
        "near-duplicate of 000000002",
    ]


def test_of_two_near_duplicates_the_better_ranked_stays() -> None:
    choice = select(near_duplicate_distance=2, rank_by="score")
    found = verdicts(table([0.1, 0.9, 0.5], [0b0, 0b1, 0b1111]), choice, LABELS)
    assert reasons(found) == ["near-duplicate of 000000001", "", ""]


def test_a_chain_of_near_duplicates_keeps_every_second() -> None:
    # 0 and 2 are far apart; 1 is near both and goes, so 2 stays.
    found = verdicts(table([1.0, 1.0, 1.0], [0b0, 0b11, 0b1111]), select(near_duplicate_distance=2), LABELS)
    assert reasons(found) == ["", "near-duplicate of 000000000", ""]


def test_quotas_keep_the_best_of_each_label() -> None:
    choice = select(per_label={"max": 1}, rank_by="score")
    found = verdicts(table([0.1, 0.2, 0.3, 0.1]), choice, LABELS)
    assert found.filter(pl.col("reason") == "")["key"].to_list() == ["000000001", "000000002"]
    assert set(reasons(found)) == {"", "over the quota of 1 a label"}


def test_quotas_without_a_rank_keep_the_first() -> None:
    found = verdicts(table([0.1, 0.2, 0.3, 0.4]), select(per_label={"max": 1}), LABELS)
    assert found.filter(pl.col("reason") == "")["key"].to_list() == ["000000000", "000000001"]


def test_rejected_candidates_use_up_no_quota() -> None:
    choice = select(per_label={"max": 1}, thresholds={"score": {"min": 0.5}})
    found = verdicts(table([0.1, 0.1, 0.6, 0.7]), choice, LABELS)
    assert found.filter(pl.col("reason") == "")["key"].to_list() == ["000000002", "000000003"]


def test_top_k_keeps_the_best_of_all() -> None:
    found = verdicts(table([0.1, 0.9, 0.3, 0.8]), select(top_k=2, rank_by="score"), LABELS)
    assert found.filter(pl.col("reason") == "")["key"].to_list() == ["000000001", "000000003"]


def test_a_quota_that_cannot_be_met_says_how_many_and_why() -> None:
    choice = select(per_label={"min": 1}, thresholds={"score": {"min": 0.5}})
    with pytest.raises(SelectionError) as caught:
        verdicts(table([0.1, 0.9, 0.2]), choice, LABELS)
    text = str(caught.value)
    assert "AnnualCrop has 0 of 2 accepted (rejected: 2 by score)" in text
    assert "and 4 more labels" in text
    assert "Highway has 0 of 0 accepted (none was rejected: there are too few candidates)" in text


def test_nothing_accepted_is_an_error() -> None:
    with pytest.raises(SelectionError, match="none of 2 candidates is accepted; rejected: 2 by score"):
        verdicts(table([0.1, 0.2]), select(thresholds={"score": {"min": 0.5}}), LABELS)


def test_splits_have_their_shares_and_no_sample_moves() -> None:
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    keys = [f"{index:09d}" for index in range(20_000)]
    found = [split_of(key, shares) for key in keys]
    for name, share in shares.items():
        # Four standard deviations of a binomial share of 20,000.
        assert abs(found.count(name) / len(keys) - share) < 4 * (share * (1 - share) / len(keys)) ** 0.5
    fewer = verdicts(table([1.0] * 100), select(splits=shares), LABELS)
    assert fewer["split"].to_list() == found[:100]


def test_parts_differ_by_one_at_most() -> None:
    for total, largest in ((1, 5), (5, 5), (6, 5), (101, 10), (1000, 1)):
        parts = even_parts(total, largest)
        assert sum(parts) == total
        assert max(parts) <= largest
        assert max(parts) - min(parts) <= 1


def test_duplicates_of_ten_thousand_match_all_pairs() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**63, 1500, dtype=np.uint64)
    values[1000:] = values[:500] ^ (np.uint64(1) << rng.integers(0, 63, 500).astype(np.uint64))
    frame = table([1.0] * 1500, [int(value) for value in values])
    found = verdicts(frame, select(near_duplicate_distance=3), LABELS)
    near = np.bitwise_count(values[:, None] ^ values[None]) <= 3
    kept: list[int] = []
    for index in range(1500):
        if not near[index, kept].any():
            kept.append(index)
    assert found.filter(pl.col("reason") == "")["key"].to_list() == [f"{index:09d}" for index in kept]
