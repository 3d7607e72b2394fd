"""The folder of a result belongs to one run at a time, holds no leftovers, and never lies in what it is about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from synrs_data import files
from synrs_data.errors import BuildFolderError, UserError
from synrs_data.evaluate import Classification, evaluate, read_result
from synrs_data.evaluate.arms import parse_arms
from synrs_data.evaluate.protocols import make_protocol
from synrs_data.evaluate.results import own_folder, write_predictions
from synrs_data.evaluate.run import make_baseline
from synrs_data.evaluate.training import begin_work
from tests.evaluate.tiny import Colours, write_features


def test_a_second_run_into_one_folder_is_refused_and_changes_nothing(
    tmp_path: Path, result: Path, benchmark: Classification
) -> None:
    before = {path.name: path.read_bytes() for path in result.iterdir()}
    baseline = make_baseline(f"features:file={write_features(tmp_path / 'model.safetensors')}", "cpu")
    with (
        own_folder(result),
        pytest.raises(BuildFolderError, match=f"another evaluation .*process {os.getpid()}") as caught,
    ):
        evaluate(benchmark, baseline, result, device="cpu")
    assert caught.value.fix == "wait for it, or choose another `--out`"
    assert {path.name: path.read_bytes() for path in result.iterdir()} == before


def test_a_finished_run_leaves_its_two_files_alone(result: Path) -> None:
    assert sorted(path.name for path in result.iterdir()) == ["predictions.parquet", "result.json"]


def test_leftovers_of_killed_runs_are_removed_and_other_files_are_not(tmp_path: Path) -> None:
    for name in (".partial-1-result.json", ".partial-2-predictions.parquet", ".partial-3-notes", "mine.txt"):
        (tmp_path / name).touch()
    with own_folder(tmp_path):
        found = {path.name for path in tmp_path.iterdir()}
    assert found == {".lock", ".partial-3-notes", "mine.txt"}


def test_a_run_that_fails_leaves_no_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stop"), own_folder(tmp_path / "a" / "b"):
        raise UserError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_folders_that_were_there(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match="stop"), own_folder(tmp_path / "a" / "b" / "c"):
        raise UserError("stop")
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "b"]


def test_who_waited_for_a_lock_that_lost_its_name_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = files.FolderLock(tmp_path, lasting=False)
    take = lock._take

    def late(handle: int) -> None:
        # Between opening and taking, the holder ends and takes the name away.
        monkeypatch.setattr(lock, "_take", take)
        (tmp_path / ".lock").unlink()
        take(handle)

    monkeypatch.setattr(lock, "_take", late)
    with lock:
        with pytest.raises(BuildFolderError, match="another evaluation"):
            files.FolderLock(tmp_path, what="evaluation", lasting=False).__enter__()
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / ".lock").exists()


def test_a_killed_run_frees_the_folder(tmp_path: Path) -> None:
    text = (
        "import sys, pathlib\n"
        "from synrs_data.evaluate.results import own_folder\n"
        "with own_folder(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BuildFolderError, match=f"process {child.pid}"), own_folder(tmp_path):
            raise AssertionError("held by two")
        child.kill()
    with own_folder(tmp_path):
        pass


def test_a_disk_too_full_for_the_lock_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synrs_data.files.os.write", full)
    with pytest.raises(BuildFolderError, match="the disk is full"), own_folder(tmp_path / "r"):
        raise AssertionError("entered")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", [".", "data/result"])
def test_a_result_may_not_lie_in_the_build_that_it_is_of(
    tmp_path: Path, benchmark: Classification, inside: str
) -> None:
    (tmp_path / "build").mkdir()
    with pytest.raises(UserError, match="lies in the folder of the synthetic images"):
        evaluate(
            benchmark,
            Colours(),
            tmp_path / "build" / inside,
            protocol=make_protocol("knn", "cpu"),
            arms=parse_arms("synthetic"),
            synthetic=str(tmp_path / "build"),
            device="cpu",
        )
    assert list((tmp_path / "build").iterdir()) == []


def test_work_that_cannot_be_removed_is_no_work_under_other_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = begin_work(tmp_path / ".work", {"a": 1})

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("synrs_data.evaluate.training.shutil.rmtree", refused)
    assert begin_work(work, {"a": 1}) == work
    with pytest.raises(BuildFolderError, match="cannot be written"):
        begin_work(work, {"a": 2})


def test_a_result_is_kept_until_new_predictions_are_on_disk(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_result(result)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synrs_data.files.os.fsync", full)
    with pytest.raises(BuildFolderError, match="the disk is full"):
        write_predictions(result, pl.DataFrame({"a": [1]}))
    assert read_result(result) == before
    assert before.predictions.sha256 == files.sha256(result / "predictions.parquet")
