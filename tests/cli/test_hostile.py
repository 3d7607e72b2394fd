"""The command line under hostile arguments, signals and terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.build.painted import painted

COMMAND = [sys.executable, "-m", "synrs_data"]


def run(
    *arguments: str | bytes, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        timeout=120,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "painted.yaml"
    path.write_text(painted(candidates=16).to_yaml())
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "x" * 300],
        ["select", "x" * 300],
        ["build", "RECIPE", "--out", "x" * 300],
        ["build", "RECIPE", "--out", "loop"],
        ["build", "RECIPE", "--out", b"\xff\xfe"],
        ["build", "RECIPE", "--shards", "\u00b2:3"],
    ],
)
def test_names_that_no_system_takes_are_one_message(
    recipe: Path, tmp_path: Path, arguments: list[str | bytes]
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    words = [str(recipe) if word == "RECIPE" else word for word in arguments]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"error:") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_build_with_one_sentence_and_no_orphans(tmp_path: Path, number: int) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(painted(candidates=400, generator={"method": "paint", "sleep_s": 0.2}).to_yaml())
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "build", str(path), "--out", str(out), "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Under nohup a child inherits an ignored SIGHUP, and rightly goes on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 100
    while not list(out.glob("candidates/*.done.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    # A terminal's Ctrl-C and hang-up reach the whole group.
    os.killpg(process.pid, number) if number != signal.SIGTERM else process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert b"stopped; what is finished is kept" in stderr
    assert b"Traceback" not in stderr
    assert b"leaked" not in stderr
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    assert "stopped" in run("status", str(out), cwd=tmp_path).stdout.decode()


def test_json_is_json_where_the_terminal_knows_only_ascii(recipe: Path, tmp_path: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out = tmp_path / "aus gänge: ü"
    out.mkdir()
    done = run("build", str(recipe), "--engine", "inline", "--json", cwd=out, env=plain)
    assert done.returncode == 0, done.stderr
    assert all(json.loads(line)["event"] for line in done.stdout.splitlines())
    listed = run("list", cwd=tmp_path, env=plain)
    assert listed.returncode == 0, listed.stderr
