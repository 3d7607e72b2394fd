"""An external program as a baseline: its images, and one message for each way in which it can fail."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data import files
from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.super_resolution.upscalers import make_upscaler
from tests.evaluate.sr_images import scene

IMAGES = [scene(0, 16), scene(1, 16)[:12]]

ENLARGE = """
import sys
from pathlib import Path
from PIL import Image
source, target, scale = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for path in sorted(source.glob("*.png")):
    image = Image.open(path)
    size = (image.width * scale, image.height * scale)
    image.resize(size, Image.Resampling.NEAREST).save(target / path.name)
"""


def command(tmp_path: Path, program: str, **options: Any) -> Any:
    script = tmp_path / "their program.py"
    script.write_text(program)
    line = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {{input}} {{output}} {{scale}}"
    return make_upscaler("external-command", {"command": line, **options})


def test_its_images_come_back_in_order(tmp_path: Path) -> None:
    for image, found in zip(IMAGES, command(tmp_path, ENLARGE).enlarge(IMAGES, 3), strict=True):
        assert np.array_equal(found, np.repeat(np.repeat(image, 3, axis=0), 3, axis=1))


def test_names_may_have_a_tail(tmp_path: Path) -> None:
    program = ENLARGE.replace("target / path.name", 'target / f"{path.stem}_out.png"')
    assert len(list(command(tmp_path, program).enlarge(IMAGES, 2))) == 2


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[3:]); sys.exit(4)"
    script = tmp_path / "x.py"
    script.write_text(program)
    line = f"{shlex.quote(sys.executable)} {script} {{input}} {{output}} $HOME ; rm '*'"
    with pytest.raises(UserError, match=r"exit code 4; its last line: \['\$HOME', ';', 'rm', '\*'\]"):
        list(make_upscaler("external-command", {"command": line}).enlarge(IMAGES, 2))


def test_its_record_has_the_command_and_the_digest_of_its_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"weights")
    record = command(tmp_path, ENLARGE, weights=str(weights), name="resshift", trained_on="imagenet").record()
    assert (record.name, record.method, record.trained_on) == ("resshift", "external-command", ("imagenet",))
    assert record.weights_sha256 == files.sha256(weights)
    assert record.model.endswith("{input} {output} {scale}")
    assert command(tmp_path, ENLARGE).record().weights_sha256 is None
    with pytest.raises(UserError, match="no such file of weights"):
        command(tmp_path, ENLARGE, weights=str(tmp_path / "none")).record()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "import sys; print('CUDA is missing', file=sys.stderr); sys.exit(3)",
            "exit code 3; its last line: CUDA is",
        ),
        ("raise SystemExit(1)", "ended with the exit code 1\n"),
        ("pass", r"wrote no output 000000000.png \(0 PNG files of 2\)"),
        (ENLARGE.replace('glob("*.png")', 'glob("*0.png")'), r"no output 000000001.png \(1 PNG files of 2\)"),
        (
            ENLARGE.replace("target / path.name", "target / f'{path.stem}_a.png'")
            + "    image.save(target / f'{path.stem}_b.png')",
            "wrote 2 outputs of 000000000.png",
        ),
        (ENLARGE.replace("int(sys.argv[3])", "3"), "with 48 x 48 pixels, not 32 x 32"),
        (
            "import sys\nopen(sys.argv[2] + '/000000000.png', 'w').write('x')",
            "the output 000000000.png of 'external': cannot be read as an image",
        ),
    ],
)
def test_each_failure_is_one_message(tmp_path: Path, program: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(command(tmp_path, program).enlarge(IMAGES, 2))


def test_a_program_that_does_not_end_is_stopped_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "pid"
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(200)'])\n"
        f"open({str(told)!r} + '.new', 'w').write(str(child.pid))\n"
        f"os.rename({str(told)!r} + '.new', {str(told)!r})\n"
        "time.sleep(200)\n"
    )
    original = subprocess.Popen.wait

    def wait(process: Any, timeout: float | None = None) -> int:
        if timeout is None:
            return original(process)
        # The time is over once the child runs, however slow this machine is.
        while not told.exists():
            time.sleep(0.05)
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    with pytest.raises(UserError, match=r"did not end in 5 seconds and was stopped"):
        list(command(tmp_path, program, timeout=5).enlarge(IMAGES, 2))
    child = int(told.read_text())
    for _ in range(200):
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail("the child still runs")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A killed orphan may wait as a zombie for its new parent.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_program_or_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    upscaler = make_upscaler("external-command", {"command": "no-such-program-xyz {input} {output}"})
    with pytest.raises(
        UserError, match=r"cannot be started: No such file or directory \(no-such-program-xyz\)"
    ):
        list(upscaler.enlarge(IMAGES, 2))
    with pytest.raises(UserError, match="cannot be started"):
        list(command(tmp_path, ENLARGE, folder=str(tmp_path / "none")).enlarge(IMAGES, 2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run {input}", "lacks {output}"),
        ("run", "lacks {input} and {output}"),
        ("run '{input} {output}", "cannot be split into words"),
    ],
)
def test_a_command_that_cannot_work_is_refused_at_once(line: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_upscaler("external-command", {"command": line})
