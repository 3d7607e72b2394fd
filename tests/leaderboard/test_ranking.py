"""Ranks follow from verified submissions alone, among rows that answer the same question."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from synrs_data.errors import BuildFolderError, UserError
from synrs_data.evaluate import load_classification
from synrs_data.leaderboard.add import add_folder
from synrs_data.leaderboard.board import BenchmarkBoard, Row
from synrs_data.leaderboard.collect import published, read_board
from synrs_data.leaderboard.repository import stored
from synrs_data.leaderboard.rules import Refused
from tests.leaderboard.made import BENCHMARK, edit_result, set_key, write_made_result, write_submission

ARMS = {"real@4": 0.60, "mixed@4x4": 0.70, "flip-crop@4x4": 0.63, "synthetic": 0.5}


def board_of(root: Path) -> BenchmarkBoard:
    lines = list[str]()
    (found,) = read_board(str(root), report=lines.append).benchmarks
    assert lines == []
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of three models, two of them nearly equal, and a synthetic dataset."""
    place = tmp_path_factory.mktemp("results")
    for number, (name, right) in enumerate([("Low", 0.5), ("High", 0.81), ("Near", 0.8)]):
        folder = write_submission(place / name, name=name, right={"real": right}, first_seed=number)
        add_folder(folder, place / "repository")
    add_folder(
        write_submission(
            place / "set",
            name="Set",
            right=ARMS,
            seeds=(0, 1),
            synthetic=True,
            trained_on=("eurosat",),
            train_datasets=["laion"],
        ),
        place / "repository",
    )
    return place / "repository"


def test_models_are_ranked_by_value_and_tied_where_the_paired_interval_holds_zero(repository: Path) -> None:
    board = board_of(repository)
    rows = [row for row in board.rows if row.track == "models"]
    assert [(row.name, row.rank, row.tied_with_best) for row in rows] == [
        ("High", 1, True),
        ("Near", 2, True),
        ("Low", 3, False),
    ]
    assert {row.group for row in rows} == {"linear-probe, all real images"}
    assert (board.id, board.version, board.metric, board.direction) == ("eurosat-mini", 2, "top1", "higher")
    assert (rows[0].trained_on, rows[0].in_domain, rows[0].recipe) == (("imagenet",), False, "")


def test_arms_of_a_dataset_are_ranked_with_those_of_the_same_real_images(repository: Path) -> None:
    rows = {row.arm: row for row in board_of(repository).rows if row.track == "datasets"}
    assert {arm: (row.rank, row.shots, row.ratio) for arm, row in rows.items()} == {
        "mixed@4x4": (1, 4, 4.0),
        "flip-crop@4x4": (2, 4, 4.0),
        "real@4": (3, 4, 0.0),
        "synthetic": (1, None, None),
    }
    assert rows["mixed@4x4"].group == "made, linear-probe, 4 real images a class"
    assert rows["synthetic"].group == "made, linear-probe, no real images"
    mixed = rows["mixed@4x4"].difference
    assert mixed is not None
    assert mixed[0] == pytest.approx(rows["mixed@4x4"].value - rows["real@4"].value)
    assert mixed[1] < mixed[0] < mixed[2]
    assert rows["real@4"].difference is None


def test_an_arm_that_two_results_of_a_submission_share_is_one_row(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "set", right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True)
    controls = write_submission(tmp_path / "controls", right={"real@4": 0.6, "flip-crop@4x4": 0.65})
    shutil.copytree(controls / "results" / "0", folder / "results" / "1")
    add_folder(folder, tmp_path / "repository")
    rows = board_of(tmp_path / "repository").rows
    assert [row.arm for row in rows] == ["mixed@4x4", "flip-crop@4x4", "real@4"]
    assert len({row.group for row in rows}) == 1


def test_arms_are_compared_with_the_real_one_of_another_result(tmp_path: Path) -> None:
    both = write_submission(tmp_path / "both", right=ARMS, seeds=(0, 1), synthetic=True)
    apart = write_submission(tmp_path / "apart", right=ARMS, seeds=(0, 1), synthetic=True)
    whole = load_classification(BENCHMARK)
    table = pl.read_parquet(apart / "results" / "0" / "predictions.parquet")
    for number, names in enumerate([["mixed@4x4", "synthetic"], ["real@4"]]):
        predicted = {
            name: table.filter(pl.col("arm") == name)["predicted"].to_numpy().reshape(2, -1) for name in names
        }
        folder = apart / "results" / str(number)
        write_made_result(folder, whole, predicted, (0, 1), number == 0, ("imagenet",))
    for folder in (both, apart):
        add_folder(folder, tmp_path / folder.name / "repository")
    wanted, found = (
        {row.arm: row.difference for row in board_of(tmp_path / name / "repository").rows}
        for name in ("both", "apart")
    )
    assert wanted["mixed@4x4"] is not None
    assert found["mixed@4x4"] == wanted["mixed@4x4"]
    assert found["synthetic"] == wanted["synthetic"]
    assert found["real@4"] is None


def test_a_dataset_is_in_domain_if_its_generator_or_the_encoder_is(repository: Path) -> None:
    row = next(row for row in board_of(repository).rows if row.track == "datasets")
    assert (row.trained_on, row.in_domain) == (("laion", "eurosat"), True)
    assert "manifest_sha256" in row.recipe
    assert "eval run eurosat-mini --baseline made --protocol linear-probe --arms real@4" in row.reproduce


def test_another_version_of_a_benchmark_has_a_board_of_its_own(repository: Path) -> None:
    from dataclasses import replace

    from synrs_data.leaderboard.ranking import rank

    found = list(stored(repository))
    old = found[0].package.results[0]
    record = old.benchmark.model_copy(update={"version": 1})
    earlier = old.model_copy(update={"task_hash": "0" * 64, "benchmark": record})
    found[0] = replace(found[0], package=replace(found[0].package, results=(earlier,)))
    boards = rank(found)
    assert [(board.version, len(board.rows)) for board in boards] == [(1, 1), (2, 6)]
    assert boards[0].title == "eurosat-mini, an earlier version"
    assert boards[0].rows[0].rank == 1


def test_classifiers_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for number, digest in enumerate(("a", "b")):
        folder = write_submission(
            tmp_path / digest, right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True, first_seed=number
        )
        edit_result(folder, partial(set_key, part="baseline", key="weights_sha256", value=digest * 64))
        add_folder(folder, tmp_path / "repository")
    groups = {row.group for row in board_of(tmp_path / "repository").rows}
    assert len(groups) == 2
    assert all(group.startswith("made, linear-probe, 4 real images a class (") for group in groups)


def test_equal_values_share_a_rank(tmp_path: Path) -> None:
    for name in ("One", "Two"):
        folder = write_submission(tmp_path / name, name=name)
        add_folder(folder, tmp_path / "repository", accept=["F03"])
    assert [row.rank for row in board_of(tmp_path / "repository").rows] == [1, 1]


def test_what_was_not_verified_or_changed_since_is_left_out_and_said(
    repository: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(repository, tmp_path / "repository"))
    low, high, near, whole = (
        next((root / "submissions").glob(f"{name}-*")) for name in ("low", "high", "near", "set")
    )
    (low / "verification.json").unlink()
    edit_result(high, lambda values: values["arms"][0]["metrics"][0].update(value=0.99))
    (near / "verification.json").write_text("{}")
    (root / "submissions" / "x").symlink_to(whole)
    (root / "submissions" / "README.md").write_text("notes")
    lines = list[str]()
    (board,) = read_board(str(root), report=lines.append).benchmarks
    assert {row.submission for row in board.rows} == {whole.name}
    assert [line.partition(":")[0] for line in lines] == [
        f"left out '{name}'" for name in ("README.md", high.name, low.name, near.name, "x")
    ]
    assert "they changed after they were verified" in lines[1]


def test_a_folder_that_is_no_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no folder 'submissions'"):
        read_board(str(tmp_path))
    with pytest.raises(UserError, match="is a part of a repository"):
        read_board("hf://datasets/alice/results/submissions")


def test_only_what_keeps_every_rule_is_added(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "m")
    edit_result(folder, lambda values: values["arms"][0]["metrics"][0].update(value=0.99))
    with pytest.raises(Refused, match="R12"):
        add_folder(folder, tmp_path / "repository")
    perfect = write_submission(tmp_path / "p", predictions=lambda labels, arm, seed: labels)
    with pytest.raises(Refused, match="F01") as caught:
        add_folder(perfect, tmp_path / "repository", accept=["F02"])
    assert "`--accept-flag F01`" in caught.value.fix
    assert not (tmp_path / "repository").exists()
    done = add_folder(perfect, tmp_path / "repository", accept=["F01"])
    record = json.loads(Path(done.place, "verification.json").read_text())
    assert (record["id"], record["flags"], record["rows"]) == (done.id, ["F01"], 1000)
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFolderError):
        add_folder(perfect, tmp_path / "file", accept=["F01"])


def test_a_thousand_submissions_of_one_benchmark_are_ranked(repository: Path) -> None:
    from dataclasses import replace

    from synrs_data.leaderboard.ranking import rank

    one = next(iter(stored(repository)))
    many = [replace(one, package=replace(one.package, id=f"model-{n:012x}")) for n in range(1000)]
    (board,) = rank(many)
    assert [row.rank for row in board.rows] == [1] * 1000
    assert len({row.submission for row in board.rows}) == 1000


def test_ten_thousand_folders_that_nobody_verified_do_not_hide_one_that_somebody_did(
    repository: Path, tmp_path: Path
) -> None:
    whole = next((repository / "submissions").glob("high-*"))
    shutil.copytree(whole, tmp_path / "submissions" / whole.name)
    for number in range(10_000):
        (tmp_path / "submissions" / f"spam-{number:012x}").mkdir()
    lines = list[str]()
    (board,) = read_board(str(tmp_path), report=lines.append).benchmarks
    assert [row.submission for row in board.rows] == [whole.name]
    assert len(lines) == 10_000


def test_published_numbers_have_a_source_each_and_stay_apart() -> None:
    rows = published()
    assert all(row.source and row.url.startswith("https://") and 0 < row.value < 1 for row in rows)
    remote = {(row.dataset, row.source[:8]): row.value for row in rows if row.model == "RemoteCLIP ViT-L-14"}
    assert remote["EuroSAT", "RemoteCL"] == pytest.approx(0.5994)
    assert remote["EuroSAT", "SkyScrip"] == pytest.approx(0.2781)
    assert not any(isinstance(row, Row) for row in rows)
