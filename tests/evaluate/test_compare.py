"""Results side by side: what is paired with what, what is refused, and that numbers follow from predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.compare import compare
from synrs_data.evaluate.compare_records import Comparison, Row
from synrs_data.evaluate.compare_rows import holm
from synrs_data.evaluate.statistics import mcnemar_over_seeds
from tests.evaluate.compare_results import N, benchmark, predictions, synthetic, write

ARMS = {"real@8": 0.6, "mixed@8x1": 0.7, "flip-crop@8x1": 0.62, "synthetic": 0.4}
LABELS = np.arange(N, dtype=np.int64) % 3


def row(comparison: Comparison, label: str, strategy: str | None = None) -> Row:
    (found,) = (
        r for r in comparison.rows if r.label == label and (strategy is None or r.synthetic == strategy)
    )
    return found


def test_numbers_are_those_of_eval_run(tmp_path: Path) -> None:
    result = write(tmp_path / "a", ARMS, strategy=synthetic("b"))
    found = compare([tmp_path / "a"])
    assert (found.n, found.classes, found.metric) == (N, ("field", "lake", "town"), "top1")
    for arm in result.arms:
        own, metric = row(found, arm.name), arm.metrics[0]
        assert (own.value, own.per_seed, own.interval) == (metric.value, metric.per_seed, metric.interval)
        assert own.per_class == arm.per_class
        assert (own.difference is None) == (metric.difference is None)
        if own.difference is not None and metric.difference is not None:
            assert (own.difference.to, own.difference.seeds) == (metric.difference.to, result.seeds)
            assert own.difference.value == metric.difference.value
            assert own.difference.interval == metric.difference.interval
            assert own.difference.above_zero == metric.difference.above_zero


def test_mcnemar_is_of_every_seed_and_corrected_for_all_comparisons(tmp_path: Path) -> None:
    write(tmp_path / "a", ARMS, strategy=synthetic("b"))
    found = compare([tmp_path / "a"])
    real, mixed = (
        predictions(LABELS, 3, ARMS[name], (0, 1, 2)) == LABELS for name in ("real@8", "mixed@8x1")
    )
    wanted = mcnemar_over_seeds(mixed, real)
    compared = row(found, "mixed@8x1").difference
    assert compared is not None
    assert compared.mcnemar.p_values == wanted.p_values
    assert compared.mcnemar.combined == wanted.combined
    assert (compared.mcnemar.better, compared.mcnemar.worse) == (sum(p < 0.05 for p in wanted.p_values), 0)
    tests = [each.difference.mcnemar for each in found.rows if each.difference is not None]
    assert found.comparisons == len(tests) == 3
    assert [test.holm for test in tests] == holm([test.combined for test in tests])
    assert any(test.holm > test.combined for test in tests)


def test_seeds_that_disagree_are_counted_apart(tmp_path: Path) -> None:
    made = [predictions(LABELS, 3, skill, (seed,))[0] for seed, skill in enumerate((0.9, 0.3, 0.95, 0.6))]
    write(
        tmp_path / "a",
        {"real@8": 0.6, "mixed@8x1": 0.6},
        seeds=(0, 1, 2, 3),
        strategy=synthetic("b"),
        made={"mixed@8x1": np.stack(made)},
    )
    compared = row(compare([tmp_path / "a"]), "mixed@8x1").difference
    assert compared is not None
    assert (compared.mcnemar.better, compared.mcnemar.worse, len(compared.mcnemar.p_values)) == (2, 1, 4)


def test_holm_gives_the_known_values() -> None:
    # By hand: the smallest of m values times m, the next times m - 1, and so on, never falling, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_two_synthetic_sets_share_the_real_arm_and_the_controls(tmp_path: Path) -> None:
    for name in ("b", "le"):
        write(tmp_path / name, ARMS, strategy=synthetic(name))
    found = compare([tmp_path / "b", tmp_path / "le"])
    assert [(r.label, r.synthetic) for r in found.rows] == [
        ("real@8", None),
        ("flip-crop@8x1", None),
        ("mixed@8x1", "b"),
        ("mixed@8x1", "le"),
        ("synthetic", "b"),
        ("synthetic", "le"),
    ]
    for name in ("b", "le"):
        (control,) = row(found, "mixed@8x1", name).controls
        assert control.to == "flip-crop@8x1"
        assert control.value == pytest.approx(
            row(found, "mixed@8x1", name).value - row(found, "flip-crop@8x1").value
        )
    assert (found.comparisons, found.control_comparisons) == (5, 2)


def test_a_real_arm_of_another_result_is_found_and_seeds_are_paired(tmp_path: Path) -> None:
    write(tmp_path / "real", {"real@8": 0.6}, seeds=(0, 1, 2, 3, 4))
    write(tmp_path / "mixed", {"mixed@8x1": 0.7}, seeds=(1, 2), strategy=synthetic("b"))
    found = compare([tmp_path / "real", tmp_path / "mixed"])
    mixed, real = row(found, "mixed@8x1"), row(found, "real@8")
    assert mixed.difference is not None
    assert mixed.difference.seeds == (1, 2)
    assert mixed.difference.value == pytest.approx(mixed.value - np.mean(real.per_seed[1:3]))
    assert not any("those seeds alone" in note for note in found.notes)
    assert any("arms of 2 seeds" in note for note in found.notes)


def test_a_difference_over_fewer_seeds_than_the_arm_has_is_said(tmp_path: Path) -> None:
    write(tmp_path / "real", {"real@8": 0.6}, seeds=(0, 1))
    write(tmp_path / "mixed", {"mixed@8x1": 0.7}, seeds=(0, 1, 2, 3, 4), strategy=synthetic("b"))
    found = compare([tmp_path / "real", tmp_path / "mixed"])
    assert any(
        "over those seeds alone that both arms have" in note and "mixed@8x1" in note for note in found.notes
    )


def test_arms_without_a_common_seed_or_shot_count_are_named_and_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "real", {"real@8": 0.6, "real@2": 0.4}, seeds=(0, 1))
    write(tmp_path / "mixed", {"mixed@8x1": 0.7}, seeds=(2, 3), strategy=synthetic("b"))
    write(tmp_path / "other", {"mixed@4x1": 0.7}, seeds=(0, 1), strategy=synthetic("b"))
    found = compare([tmp_path / name for name in ("real", "mixed", "other")])
    assert found.comparisons == 0
    assert found.verdicts == ()
    assert [line.partition(",")[0] for line in found.unmatched] == ["mixed@4x1 of b", "mixed@8x1 of b"]


def test_results_of_the_same_arms_with_other_seeds_are_put_together(tmp_path: Path) -> None:
    write(tmp_path / "late", ARMS, seeds=(2, 3, 4), strategy=synthetic("b"))
    write(tmp_path / "early", ARMS, seeds=(0, 1, 2), strategy=synthetic("b"))
    write(tmp_path / "whole", ARMS, seeds=(0, 1, 2, 3, 4), strategy=synthetic("b"))
    found = compare([tmp_path / "late", tmp_path / "early"])
    assert found.rows == compare([tmp_path / "whole"]).rows
    assert row(found, "real@8").seeds == (0, 1, 2, 3, 4)


def test_results_that_disagree_about_an_arm_are_kept_apart_and_named(tmp_path: Path) -> None:
    write(tmp_path / "b", ARMS, strategy=synthetic("b"))
    other = {"real@8": 0.5, "mixed@8x1": 0.7}
    write(tmp_path / "le", other, strategy=synthetic("le"), environment={"device": "cuda", "numpy": "2"})
    found = compare([tmp_path / "b", tmp_path / "le"])
    assert [r.label for r in found.rows if r.kind == "real"] == ["real@8 (b)", "real@8 (le)"]
    for name in ("b", "le"):
        compared = row(found, "mixed@8x1", name).difference
        assert compared is not None
        assert compared.to == f"real@8 ({name})"
    assert any("give other predictions for real@8" in note for note in found.notes)
    assert any("differ in device" in note for note in found.notes)


def test_protocols_baselines_and_builds_of_one_name_are_told_apart(tmp_path: Path) -> None:
    arms = {"real@8": 0.6, "mixed@8x1": 0.7}
    write(
        tmp_path / "a", arms, strategy=synthetic("b"), protocol=("linear-probe", {"c": 0.1, "refit": "train"})
    )
    write(
        tmp_path / "b",
        arms,
        strategy=synthetic("b"),
        protocol=("linear-probe", {"c": None, "refit": "train"}),
    )
    write(tmp_path / "c", arms, strategy=synthetic("b", derived_from_other=3), protocol=("knn", {}))
    write(tmp_path / "d", arms, baseline="other", strategy=synthetic("b"), protocol=("knn", {}))
    found = compare([tmp_path / name for name in "abcd"])
    assert [each.label for each in found.classifiers] == [
        "encoder linear-probe (c=0.1)",
        "encoder linear-probe (c=none)",
        "encoder knn",
        "other knn",
    ]
    first, second = (each.label for each in found.strategies)
    assert first != second
    assert first.startswith("b ")
    assert any(
        note.startswith(f"3 of the 90 images of {second} were made from real images") for note in found.notes
    )
    # No arm is compared with one of another classifier.
    assert found.comparisons == 4


def test_the_verdict_counts_intervals_above_below_and_across_zero(tmp_path: Path) -> None:
    seeds = (0, 1, 2)
    same = predictions(LABELS, 3, 0.6, seeds)
    arms = {"real@8": 0.6, "mixed@8x1": 0.9, "mixed@8x2": 0.3, "mixed@8x4": 0.6, "mixed@8x8": 0.9}
    write(
        tmp_path / "a", arms, seeds=seeds, strategy=synthetic("b"), made={"real@8": same, "mixed@8x4": same}
    )
    (verdict,) = compare([tmp_path / "a"]).verdicts
    assert (verdict.kind, verdict.against, verdict.synthetic) == ("mixed", "real", "b")
    assert (verdict.above, verdict.below, verdict.across, verdict.arms) == (2, 1, 1, 4)
    assert verdict.holm == 3


def test_a_control_can_be_what_arms_are_compared_with(tmp_path: Path) -> None:
    arms = {"real@8": 0.6, "mixed@8x1": 0.7, "mixed@8x2": 0.7, "flip-crop@8x1": 0.62, "cutout@8x1": 0.61}
    write(tmp_path / "a", arms, strategy=synthetic("b"))
    found = compare([tmp_path / "a"], baseline_arm="flip-crop")
    compared = row(found, "mixed@8x1").difference
    assert compared is not None
    assert compared.to == "flip-crop@8x1"
    assert [each.to for each in row(found, "mixed@8x1").controls] == ["cutout@8x1"]
    assert row(found, "mixed@8x2").difference is None
    assert [line.partition(",")[0] for line in found.unmatched] == ["mixed@8x2 of b"]
    assert {each.against for each in found.verdicts} == {"flip-crop", "cutout"}


def test_one_arm_can_be_what_all_others_are_compared_with(tmp_path: Path) -> None:
    write(tmp_path / "a", ARMS | {"real@2": 0.5, "mixed@2x1": 0.55}, strategy=synthetic("b"))
    found = compare([tmp_path / "a"], baseline_arm="real@2")
    others = {each.difference.to for each in found.rows if each.difference is not None}
    assert others == {"real@2"}
    assert row(found, "mixed@8x1").difference is not None


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("cutout", "no result has the arm 'cutout'"),
        ("real@4", "no result has the arm 'real@4'"),
        ("mixed@8x1", "'mixed@8x1' has synthetic images"),
        ("synthetic", "'synthetic' has synthetic images"),
        ("reel", "there is no arm 'reel'"),
    ],
)
def test_a_baseline_arm_that_is_none_is_refused(tmp_path: Path, arm: str, message: str) -> None:
    write(tmp_path / "a", ARMS, strategy=synthetic("b"))
    with pytest.raises(UserError, match=message):
        compare([tmp_path / "a"], baseline_arm=arm)


def test_another_metric_can_be_compared_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", ARMS, n=100, strategy=synthetic("b"))
    top1, mean = (compare([tmp_path / "a"], metric=name) for name in ("top1", "mean-per-class"))
    assert (top1.metric, mean.metric) == ("top1", "mean-per-class")
    assert row(top1, "real@8").value != row(mean, "real@8").value
    with pytest.raises(UserError, match="no metric 'top5'") as caught:
        compare([tmp_path / "a"], metric="top5")
    assert "did you mean 'top1'?" in str(caught.value)


def test_results_of_other_tasks_are_refused_with_both_hashes(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"real@8": 0.6})
    second = write(tmp_path / "b", {"real@8": 0.6}, of=benchmark(version=2))
    with pytest.raises(UserError, match="task hash") as caught:
        compare([tmp_path / "a", tmp_path / "b"])
    assert first.task_hash in str(caught.value)
    assert second.task_hash in str(caught.value)


def test_results_of_other_data_are_refused_with_both_hashes(tmp_path: Path) -> None:
    write(tmp_path / "a", {"real@8": 0.6})
    write(tmp_path / "b", {"real@8": 0.6})
    edit(tmp_path / "b", lambda values: values["dataset"].update(content_sha256="d" * 64))
    with pytest.raises(UserError, match=r"content sha256 of .* is c{64}, that of .* is d{64}"):
        compare([tmp_path / "a", tmp_path / "b"])


def test_results_of_other_items_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", {"real@8": 0.6})
    write(tmp_path / "b", {"real@8": 0.6}, n=N - 3)
    with pytest.raises(VerificationError, match="has other items, labels or classes"):
        compare([tmp_path / "a", tmp_path / "b"])


def test_a_result_given_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", {"real@8": 0.6})
    with pytest.raises(UserError, match="is given twice"):
        compare([tmp_path / "a", tmp_path / "a" / "result.json"])


def test_results_in_folders_of_one_name_are_told_apart_without_their_paths(tmp_path: Path) -> None:
    places = ["x/run", "y/run", "z/y/run", "alone"]
    for seed, place in enumerate(places):
        write(tmp_path / place, {"real@8": 0.6}, seeds=(seed,))
    found = compare([tmp_path / place for place in places])
    assert [each.name for each in found.results] == ["x/run", "y/run #2", "y/run #3", "alone"]


def test_results_of_other_tasks_than_classification_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", {"real@8": 0.6})
    edit(tmp_path / "a", lambda values: values["benchmark"].update(task="retrieval"))
    with pytest.raises(UserError, match="is a result of retrieval, which has no arms to compare"):
        compare([tmp_path / "a"])
    edit(tmp_path / "a", lambda values: values["benchmark"].update(task="super-resolution"))
    with pytest.raises(UserError, match="is a result of super-resolution"):
        compare([tmp_path / "a"])


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no result"):
        compare([tmp_path / "a"])


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "result.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def forge(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the predictions, and their digest too."""
    path = folder / "predictions.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    edit(folder, lambda values: values["predictions"].update(sha256=files.sha256(path)))


def right_at_first(table: pl.DataFrame) -> pl.DataFrame:
    """Return the predictions with the first wrong one made right."""
    wrong = (table["predicted"] != table["label"]).arg_true()[0]
    values = table["predicted"].to_list()
    values[wrong] = table["label"][wrong]
    return table.with_columns(pl.Series("predicted", values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (right_at_first, r"real@8: top1 is .*, the predictions give"),
        (lambda table: table[:-1], "does not have the rows that the result names"),
        (lambda table: table[:0], "does not have the rows that the result names"),
        (lambda table: table.reverse(), "does not have the rows that the result names"),
        (lambda table: table.drop("predicted"), "cannot be read"),
        (lambda table: table.with_columns(pl.lit(None, pl.String).alias("key")), "does not have the rows"),
        (lambda table: table.with_columns(pl.col("predicted").cast(pl.Float64)), "does not have the rows"),
        (lambda table: table.with_columns(pl.lit("x").alias("key")), "contradict each other"),
        (lambda table: table.with_columns(pl.lit(3, pl.Int64).alias("predicted")), "contradict each other"),
        (lambda table: table.with_columns((pl.int_range(pl.len()) % 3).alias("label")), None),
        (
            lambda table: table.with_columns((pl.col("label") * (pl.col("seed") == 0)).alias("label")),
            "contradict each other",
        ),
    ],
)
def test_predictions_that_a_result_does_not_follow_from_are_refused(
    tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], message: str | None
) -> None:
    write(tmp_path / "a", ARMS, strategy=synthetic("b"))
    forge(tmp_path / "a", change)
    if message is None:
        assert compare([tmp_path / "a"]).n == N
        return
    with pytest.raises(VerificationError, match=message):
        compare([tmp_path / "a"])


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"nothing of the kind"])
def test_predictions_that_are_missing_or_damaged_are_named(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path / "a", ARMS, strategy=synthetic("b"))
    path = tmp_path / "a" / "predictions.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VerificationError, match=r"predictions\.parquet: (cannot be read|has the sha256)"):
        compare([tmp_path / "a"])
    if content is not None:
        edit(tmp_path / "a", lambda values: values["predictions"].update(sha256=files.sha256(path)))
        with pytest.raises(VerificationError, match=r"predictions\.parquet: cannot be read"):
            compare([tmp_path / "a"])


def test_an_unknown_arm_in_a_result_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a", {"real@8": 0.6})
    edit(tmp_path / "a", lambda values: values["arms"][0].update(name="reel@8"))
    forge(tmp_path / "a", lambda table: table.with_columns(pl.lit("reel@8").alias("arm")))
    with pytest.raises(VerificationError, match="there is no arm 'reel@8'"):
        compare([tmp_path / "a"])


def test_a_class_without_an_item_has_no_number(tmp_path: Path) -> None:
    labels = np.zeros(2, dtype=np.int64)
    made = {"real@8": np.stack([labels]), "mixed@8x1": np.stack([labels])}
    write(tmp_path / "a", {"real@8": 1, "mixed@8x1": 1}, n=2, seeds=(0,), strategy=synthetic("b"), made=made)
    found = compare([tmp_path / "a"])
    mixed = row(found, "mixed@8x1")
    assert mixed.difference is not None
    assert mixed.per_class["town"] is None
    assert mixed.difference.per_class["town"] is None
    assert mixed.difference.per_class["field"] is not None


def test_results_that_train_nothing_are_listed_and_compared_with_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {"zero-shot": 0.6}, seeds=(0,), protocol=("zero-shot", {}), baseline=name)
    found = compare([tmp_path / "one", tmp_path / "two"])
    assert [each.role for each in found.rows] == ["zero-shot", "zero-shot"]
    assert [line.rpartition(": ")[2] for line in found.unmatched] == ["trains nothing", "trains nothing"]
    assert not any("seed" in note for note in found.notes)


def test_the_numbers_survive_being_written_and_read(tmp_path: Path) -> None:
    write(tmp_path / "a", ARMS, strategy=synthetic("b", derived_from_train=2))
    found = compare([tmp_path / "a"])
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    assert any("2 of the 90 images of b are, or were made from" in note for note in found.notes)
