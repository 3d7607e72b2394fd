"""Submissions of super-resolution: the values of each image are the predictions, and rules apply to them alike."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synrs_data.evaluate.benchmark import SuperResolution, load_benchmark
from synrs_data.evaluate.results import Bootstrap
from synrs_data.evaluate.super_resolution.numbers import compute
from synrs_data.leaderboard.add import add_folder
from synrs_data.leaderboard.collect import read_board
from synrs_data.leaderboard.repository import VERIFICATION
from synrs_data.leaderboard.rules import Refused
from synrs_data.leaderboard.submission import open_package, read_folder
from synrs_data.leaderboard.verify import verify
from synrs_data.resources import shipped
from tests.leaderboard.made import edit_declaration, edit_result, edit_table, set_key

METRIC = "psnr-y@crop4"


@pytest.fixture
def bicubic(tmp_path: Path) -> Path:
    """Return the shipped submission of bicubic interpolation, as its submitter had it."""
    (found,) = shipped("evals", "leaderboard", "submissions").glob("bicubic-*")
    ignore = shutil.ignore_patterns(VERIFICATION)
    return Path(shutil.copytree(found, tmp_path / "bicubic", ignore=ignore))


def broken(folder: Path) -> set[str]:
    try:
        return {each.rule for each in verify(open_package(read_folder(folder), where="here")).findings}
    except Refused as error:
        return {each.rule for each in error.findings}


def test_a_mean_that_is_wrong_in_the_third_decimal_is_refused_with_both_numbers(bicubic: Path) -> None:
    assert broken(bicubic) == set()
    edit_result(bicubic, lambda values: values["arms"][0]["metrics"][0].update(value=26.5))
    (finding,) = verify(open_package(read_folder(bicubic), where="here")).findings
    assert finding.rule == "R12"
    assert "26.5" in finding.text
    assert "26.49" in finding.text


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (lambda table: table[1:], "R09"),
        (lambda table: pl.concat([table, table[:1]]), "R09"),
        (lambda table: table.with_columns(pl.lit("x").alias("key")), "R09"),
        (lambda table: table.with_columns(pl.lit(float("nan")).alias("ssim-y@crop4")), "R12"),
        (lambda table: table.with_columns(pl.lit("x").alias("sha256")), "R11"),
        (lambda table: table.drop(METRIC), "R08"),
    ],
    ids=["missing", "twice", "unknown", "nan", "hash", "column"],
)
def test_images_are_there_once_with_possible_values(bicubic: Path, rows: object, rule: str) -> None:
    assert callable(rows)
    edit_table(bicubic, rows)
    assert rule in broken(bicubic)


def test_hard_images_are_not_left_out(bicubic: Path) -> None:
    benchmark = load_benchmark("ucmerced-x4")
    assert isinstance(benchmark, SuperResolution)

    def without_the_worst(table: pl.DataFrame) -> pl.DataFrame:
        worst = table.sort(METRIC)["key"][0]
        kept = pl.when(pl.col("key") != worst).then(pl.col(METRIC)).otherwise(float("nan"))
        return table.with_columns(kept.alias(METRIC))

    edit_table(bicubic, without_the_worst)
    table = pl.read_parquet(bicubic / "results" / "0" / "predictions.parquet")
    (metrics,) = compute(table, "bicubic", ["zero-shot"], benchmark.metrics, Bootstrap(seed=0)).values()
    claimed = [metric.model_dump(mode="json") for metric in metrics]
    edit_result(bicubic, lambda values: values["arms"][0].update(metrics=claimed))
    (finding,) = verify(open_package(read_folder(bicubic), where="here")).findings
    assert str(finding) == f"R11 results/0: zero-shot: {METRIC} has no value for 1 of 42 images"


def test_records_are_held_to_the_same_rules(bicubic: Path) -> None:
    edit_result(bicubic, partial(set_key, part="benchmark", key="version", value=2))
    assert broken(bicubic) == {"R07"}
    edit_result(bicubic, partial(set_key, part="benchmark", key="id", value="realsr-x4"))
    assert broken(bicubic) == {"R07"}
    edit_declaration(bicubic, train_datasets=["ucmerced"])
    assert "R15" in broken(bicubic)


def test_values_are_ranked_and_tied_by_their_paired_difference(bicubic: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(bicubic, tmp_path / "blurred"))
    edit_declaration(other, name="Blurred")
    edit_table(other, lambda table: table.with_columns(pl.col(METRIC) - 0.1))
    edit_result(other, partial(lower, by=0.1))
    for folder in (bicubic, other):
        add_folder(folder, tmp_path / "repository")
    (board,) = read_board(str(tmp_path / "repository")).benchmarks
    assert (board.task, board.metric, board.chance) == ("super-resolution", METRIC, 0.0)
    # Their intervals overlap widely; every image is worse by the same, so the difference is certain.
    assert [(row.name, row.rank, row.tied_with_best) for row in board.rows] == [
        ("Bicubic interpolation", 1, True),
        ("Blurred", 2, False),
    ]
    assert board.rows[0].low < board.rows[1].high
    assert board.rows[0].per_class == {}
    assert "not measured again" in board.rows[0].verified


def lower(values: dict[str, Any], by: float) -> None:
    metric = values["arms"][0]["metrics"][0]
    metric["value"] -= by
    metric["per_seed"] = [value - by for value in metric["per_seed"]]
    metric["interval"] = {end: value - by for end, value in metric["interval"].items()}
