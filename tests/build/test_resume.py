"""A build that is killed, damaged or continued ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synrs_data.build.run import build
from synrs_data.errors import BuildFolderError, QuarantineError, UserError
from synrs_data.events import Event, read_events
from tests.build.painted import final_hashes, painted

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    build(painted(), out, engine="inline")
    hashes = final_hashes(out)
    assert len(hashes) > 20
    return hashes


def _run_killer(out: Path, step: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.build.killer", str(out), str(step)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_a_kill_at_any_step_of_writing_loses_nothing(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    whole = _run_killer(tmp_path / "count", 10**9)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps > 60
    # Every kind of write point: evenly spaced steps, the first and the last ones.
    chosen = sorted({1, 2, 3, steps - 2, steps - 1, steps, *range(5, steps, max(1, steps // 9))})
    for step in chosen:
        out = tmp_path / f"killed-{step}"
        assert _run_killer(out, step).returncode == -signal.SIGKILL
        build(painted(), out, engine="inline")
        assert final_hashes(out) == undisturbed, f"killed at step {step} of {steps}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_local_engine_makes_the_bytes_of_inline(
    tmp_path: Path, undisturbed: dict[str, str], workers: int
) -> None:
    build(painted(), tmp_path / "out", engine="local", workers=workers)
    assert final_hashes(tmp_path / "out") == undisturbed


@pytest.mark.timeout(300)
def test_killing_the_driver_of_workers_loses_nothing(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = tmp_path / "out"
    recipe = tmp_path / "slow.yaml"
    # The sleep is in the generator's options, so these bytes are compared with their own undisturbed build.
    recipe.write_text(painted(generator={"method": "paint", "sleep_s": 0.3}).to_yaml())
    command = [sys.executable, "-m", "synrs_data", "build", str(recipe), "--workers", "2", "--out"]
    chance = random.Random(7)
    for _ in range(2):
        with subprocess.Popen(
            [*command, str(out)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + 60
            while not list(out.glob("candidates/*.done.json")) and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    subprocess.run([*command, str(tmp_path / "calm")], check=True, capture_output=True)
    assert final_hashes(out) == final_hashes(tmp_path / "calm")


@pytest.mark.timeout(300)
def test_a_worker_that_dies_is_replaced(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    trigger = tmp_path / "kill"
    trigger.write_text("k")
    recipe = painted(generator={"method": "paint", "fail_file": str(trigger)})
    result = build(recipe, tmp_path / "out", engine="local", workers=2)
    events = list(read_events(result.folder.events))
    assert [event["reason"] for event in events if event["event"] == "shard_failed"] == [
        "worker ended with exit code -9"
    ]
    assert not result.quarantined
    tars = [name for name in undisturbed if name.startswith("data/")]
    assert len(tars) == len(list((tmp_path / "out/data").iterdir()))


def test_a_shard_that_always_fails_is_quarantined_and_tried_again(tmp_path: Path) -> None:
    trigger = tmp_path / "fail"
    trigger.write_text("r always")
    recipe = painted(candidates=16, generator={"method": "paint", "fail_file": str(trigger)})
    out = tmp_path / "out"
    result = build(recipe, out, engine="inline")
    assert result.manifest is None
    assert result.quarantined == [0, 1]
    trigger.unlink()
    result = build(recipe, out, engine="inline")
    assert result.quarantined == []
    assert result.manifest is not None


def test_a_build_without_some_shards_says_so(tmp_path: Path) -> None:
    recipe = painted()
    out = tmp_path / "out"
    build(recipe, out, engine="inline", shards=(0, 3))
    trigger = tmp_path / "fail"
    events: list[Event] = []
    changed = painted(generator={"method": "paint", "fail_file": str(trigger)})
    with pytest.raises(BuildFolderError, match=r"generator\.fail_file \(was '', is "):
        build(changed, out, engine="inline")
    for shard in (3, 4):
        (out / f"candidates/{shard:05d}.failed.json").write_text('{"shard": 3, "reason": "test"}')
    result = build(recipe, out, engine="inline", listeners=[events.append])
    assert result.quarantined == []
    assert {event["shard"] for event in events if event["event"] == "shard_done"} == {3, 4}


@pytest.mark.parametrize("where", ["tar", "table", "marker", "size"])
def test_a_damaged_candidate_shard_is_made_again(
    tmp_path: Path, undisturbed: dict[str, str], where: str
) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    if where == "tar":
        path = out / "candidates/00002.tar"
        data = bytearray(path.read_bytes())
        data[700] ^= 1
        path.write_bytes(data)
    elif where == "table":
        path = out / "candidates/00002.parquet"
        path.write_bytes(b"x" * path.stat().st_size)
    elif where == "marker":
        (out / "candidates/00002.done.json").write_text("{")
    else:
        os.truncate(out / "candidates/00002.tar", 100)
    (out / "manifest.json").unlink()
    events: list[Event] = []
    build(painted(), out, engine="inline", listeners=[events.append])
    assert [event["shard"] for event in events if event["event"] == "shard_done"] == [2]
    assert final_hashes(out) == undisturbed


def test_a_finished_build_is_not_touched_again(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    before = {
        path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name not in ("events.jsonl", ".lock")
    }
    build(painted(), out, engine="inline")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_batches_that_do_not_fit_are_halved_and_said(tmp_path: Path) -> None:
    events: list[Event] = []
    recipe = painted(generator={"method": "paint", "most_at_once": 2})
    result = build(recipe, tmp_path / "out", engine="inline", listeners=[events.append])
    assert result.manifest is not None
    assert {(event["images"], event["into"]) for event in events if event["event"] == "sliced"} == {(4, 2)}


def test_one_image_that_does_not_fit_is_the_users_to_mend(tmp_path: Path) -> None:
    recipe = painted(generator={"method": "paint", "most_at_once": 0})
    with pytest.raises(UserError, match="too little memory for one image"):
        build(recipe, tmp_path / "out", engine="inline")


def test_two_builds_in_one_folder_are_refused(tmp_path: Path) -> None:
    from synrs_data.files import FolderLock

    out = tmp_path / "out"
    (out / "candidates").mkdir(parents=True)
    with FolderLock(out), pytest.raises(BuildFolderError, match=f"process {os.getpid()}"):
        build(painted(), out, engine="inline")


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(BuildFolderError, match="holds other things"):
        build(painted(), tmp_path, engine="inline")
    assert (tmp_path / "holiday.jpg").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("resume", "exists", "message"), [("require", False, "no build"), ("never", True, "not empty")]
)
def test_resume_modes_are_kept(tmp_path: Path, resume: str, exists: bool, message: str) -> None:
    out = tmp_path / "out"
    if exists:
        build(painted(candidates=8), out, engine="inline")
    with pytest.raises(BuildFolderError, match=message):
        build(painted(candidates=8), out, engine="inline", resume=resume)  # type: ignore[arg-type]


def test_changed_contents_behind_a_path_are_named(tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_text("caption,label\na green forest,Forest\n")
    spec = {"method": "from-file", "path": str(captions)}
    build(painted(candidates=8, captions=spec), tmp_path / "out", engine="inline")
    captions.write_text("caption,label\na grey forest,Forest\n")
    with pytest.raises(BuildFolderError, match=r"the contents of captions, file 1"):
        build(painted(candidates=8, captions=spec), tmp_path / "out", engine="inline")


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_build_whose_first_shards_all_fail_stops(tmp_path: Path, engine: str) -> None:
    trigger = tmp_path / "fail"
    trigger.write_text("r always")
    recipe = painted(generator={"method": "paint", "fail_file": str(trigger)})
    events: list[Event] = []
    with pytest.raises(QuarantineError, match=r"first 3 shards failed in every try.*asked to fail"):
        build(recipe, tmp_path / "out", engine=engine, workers=1, listeners=[events.append])
    assert len([event for event in events if event["event"] == "shard_failed"]) == 9
