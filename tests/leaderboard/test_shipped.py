"""The submissions that ship with the package are as they were verified, with the values that are known otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.leaderboard.collect import read_board
from synrs_data.leaderboard.repository import Stored, stored, verification_of
from synrs_data.leaderboard.verify import verify
from synrs_data.resources import shipped

ROOT = shipped("evals", "leaderboard")
_AGAIN = 150_000
"""Predictions of a result that are recomputed here; a study's are by `leaderboard verify`."""


def submissions() -> list[Path]:
    return sorted((ROOT / "submissions").iterdir())


@pytest.fixture(scope="module")
def found() -> dict[str, Stored]:
    lines = list[str]()
    found = {each.folder.name: each for each in stored(ROOT, lines.append)}
    assert lines == []
    assert set(found) == {folder.name for folder in submissions()}
    return found


def test_the_board_has_the_values_of_the_reference(found: dict[str, Stored]) -> None:
    board = read_board(str(ROOT))
    features = next(each for each in board.benchmarks if each.id == "whurs19-features")
    # Zero-shot top-1 of the features that RS-TransCLIP publishes, mean of its 107 prompts (docs/evaluation.md).
    assert {row.name: round(row.value * 100, 2) for row in features.rows} == {
        "CLIP ViT-B-32": 81.29,
        "RemoteCLIP ViT-B-32": 95.22,
    }
    assert [(row.rank, row.tied_with_best, row.in_domain) for row in features.rows] == [
        (1, True, False),
        (2, False, False),
    ]
    embedded = [row for each in board.benchmarks for row in each.rows if row.baseline == "eurosat-tiny-clip"]
    assert {row.in_domain for row in embedded} == {True}
    assert board.published


@pytest.mark.parametrize("folder", submissions(), ids=lambda folder: folder.name)
def test_a_shipped_submission_verifies_again(folder: Path, found: dict[str, Stored]) -> None:
    each = found[folder.name]
    if sum(result.predictions.rows for result in each.package.results) > _AGAIN:
        pytest.skip("a long study; `synrs-data leaderboard verify` computes it again")
    report = verify(each.package)
    assert (report.findings, report.flags) == ((), ())
    assert verification_of(each.package, report) == each.verification


def test_no_shipped_file_names_a_path_of_a_machine() -> None:
    for path in [*ROOT.rglob("*.json"), *ROOT.rglob("*.yaml")]:
        text = path.read_text()
        assert not any(part in text for part in ('"/', "/home/", "/root/", "/tmp/")), path
