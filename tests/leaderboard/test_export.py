"""What is exported reads back by the Hub's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from synrs_data.errors import UserError
from synrs_data.leaderboard.add import add_folder
from synrs_data.leaderboard.board import Board
from synrs_data.leaderboard.collect import read_board
from synrs_data.leaderboard.export import export
from tests.leaderboard.made import write_submission

NAME = 'A "model": <b> - x'


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> tuple[Board, str]:
    place = tmp_path_factory.mktemp("results")
    folder = write_submission(place / "model", name=NAME, right={"real@4": 0.6, "real": 0.7})
    done = add_folder(folder, place / "repository")
    add_folder(
        write_submission(place / "set", right={"real": 0.6, "mixedx1": 0.7}, synthetic=True),
        place / "repository",
    )
    return read_board(str(place / "repository")), done.id


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_model_index_has_every_score_with_its_conditions(
    added: tuple[Board, str], tmp_path: Path
) -> None:
    board, identity = added
    (path,) = export(board, identity, tmp_path)
    name, results = model_index_to_eval_results(read(path)["model-index"])
    rows = [row for row in board.benchmarks[0].rows if row.submission == identity]
    assert name == NAME
    assert [(each.metric_config, each.metric_value, each.metric_type) for each in results] == [
        (f"linear-probe {row.arm}", row.value, "accuracy") for row in rows
    ]
    assert results[0].metric_args == {"interval_95": [rows[0].low, rows[0].high], "n": 1000, "seeds": 1}
    assert results[0].dataset_args == {"task_hash": rows[0].task_hash}
    assert not (tmp_path / ".eval_results").exists()


def test_eval_results_name_the_dataset_of_the_benchmark(added: tuple[Board, str], tmp_path: Path) -> None:
    board, identity = added
    paths = export(board, identity, tmp_path, datasets={"eurosat-mini": "alice/eurosat-mini"})
    assert sorted(path.name for path in paths[1:]) == [
        "eurosat-mini-linear-probe-real-4.yaml",
        "eurosat-mini-linear-probe-real.yaml",
    ]
    entries = [parse_eval_result_entries(read(path))[0] for path in paths[1:]]
    assert {(each.dataset_id, each.task_id) for each in entries} == {("alice/eurosat-mini", "eurosat-mini")}
    assert {each.value for each in entries} == {
        row.value for row in board.benchmarks[0].rows if row.submission == identity
    }
    assert all("95 % interval" in (each.notes or "") for each in entries)


def test_what_is_no_model_or_no_dataset_is_said(added: tuple[Board, str], tmp_path: Path) -> None:
    board, identity = added
    dataset = next(row.submission for row in board.benchmarks[0].rows if row.track == "datasets")
    for unknown in ("nobody-0123456789ab", dataset):
        with pytest.raises(UserError, match="there is no model") as caught:
            export(board, unknown, tmp_path)
        assert identity in caught.value.fix
    with pytest.raises(UserError, match="'' is no dataset of the Hub"):
        export(board, identity, tmp_path, datasets={"eurosat-mini": ""})
    assert list(tmp_path.iterdir()) == []
