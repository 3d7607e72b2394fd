"""The commands as they are typed: messages, exit codes, nothing sent or written unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synrs_data.leaderboard.repository import VERIFICATION
from synrs_data.leaderboard.rules import Refused
from synrs_data.leaderboard.submission import open_package, read_folder
from synrs_data.leaderboard.verify import verify
from tests.leaderboard.made import edit_declaration, edit_result, write_submission


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synrs_data", "leaderboard", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_submission(tmp_path_factory.mktemp("model") / "model")


def test_verify_says_scores_and_submit_without_a_place_sends_nothing(model: Path) -> None:
    done = run("submit", model)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "results/0: made, linear-probe on eurosat-mini"
    assert lines[1].split()[:2] == ["real", "top1"]
    assert lines[2].endswith(": every number follows from 1,000 predictions")
    assert lines[3] == "nothing was sent: give `--to USER/RESULTS`"


def test_a_broken_submission_exits_with_3_and_names_the_rule(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "model")
    edit_result(folder, lambda values: values["arms"][0]["metrics"][0].update(value=0.5))
    done = run("verify", folder)
    assert done.returncode == 3
    assert "broken R12 results/0: real: top1.value is 0.5, the predictions give 0." in done.stdout
    assert done.stderr.startswith(f"error: {folder}: R12")
    assert "Traceback" not in done.stderr
    added = run("add", folder, "--to", tmp_path / "repository")
    assert added.returncode == 3
    assert not (tmp_path / "repository").exists()


def test_a_new_submission_says_what_is_left_to_fill_in(model: Path, tmp_path: Path) -> None:
    done = run("new", tmp_path / "mine", "--result", model / "results" / "0")
    assert (done.returncode, done.stdout) == (0, f"fill in {tmp_path / 'mine' / 'submission.yaml'}\n")
    with pytest.raises(Refused, match="R04") as caught:
        open_package(read_folder(tmp_path / "mine"), where="mine")
    assert all(f"'{key}'" in str(caught.value) for key in ("revision", "authors", "license"))
    edit_declaration(tmp_path / "mine", revision="1", authors=["Ada"], license="mit")
    assert verify(open_package(read_folder(tmp_path / "mine"), where="mine")).findings == ()
    again = run("new", tmp_path / "mine", "--result", model / "results" / "0")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_add_and_export_write_where_they_are_told(model: Path, tmp_path: Path) -> None:
    done = run("add", model, "--to", tmp_path / "repository")
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "repository" / "submissions").iterdir()
    assert done.stdout == f"added {folder.name}: {folder}\n"
    assert (folder / VERIFICATION).is_file()
    out = tmp_path / "export"
    written = run("export", tmp_path / "repository", folder.name, "--out", out)
    assert (written.returncode, written.stdout) == (0, f"{out / 'model-index.yaml'}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "nowhere"], "nowhere: is no folder"),
        (["verify", "hf://datasets/x"], "is no address of a dataset"),
        (["add", "nowhere"], "needs `--to FOLDER`"),
        (["add", "hf://datasets/alice/results@refs/pr/1", "--to", "x"], "goes into its own repository"),
        (["add", "nowhere", "--to", "x", "--accept-flag", "F1"], "there is no flag 'F1'"),
        (["export", "nowhere", "x"], "has no folder 'submissions'"),
    ],
)
def test_mistakes_get_one_message(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
