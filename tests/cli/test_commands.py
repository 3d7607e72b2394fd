"""The command line: one message and the right exit code for each mistake, quick help, and true output."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.build.painted import painted


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synrs_data", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "painted.yaml"
    path.write_text(painted().to_yaml())
    return path


@pytest.fixture(scope="module")
def built(recipe: Path) -> Path:
    out = recipe.parent / "out"
    done = run("build", str(recipe), "--out", str(out), "--engine", "inline")
    assert done.returncode == 0, done.stderr
    assert f"report  {out / 'report.html'}" in done.stdout
    return out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['synrs-data', '--help']\n"
        "try:\n    import synrs_data.cli; synrs_data.cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'open_clip', 'datasets', 'polars', 'numpy', 'pydantic'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "build" in done.stdout
    assert done.stderr.strip() == "[]"


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        started = time.process_time_ns(), time.perf_counter()
        run("--help")
        times.append(time.perf_counter() - started[1])
    # The promise is 0.3 s; the fastest of five on a machine shared with other work gets twice that.
    assert min(times) < 0.6


def test_status_verify_and_preview_of_a_finished_build(built: Path, tmp_path: Path) -> None:
    status = json.loads(run("status", str(built), "--json").stdout)
    assert (status["state"], status["candidates"], status["shards"]) == ("finished", 40, 5)
    assert "samples are as promised" in run("verify", str(built)).stdout
    target = tmp_path / "page.html"
    assert run("preview", str(built), "--out", str(target)).returncode == 0
    assert target.read_bytes() == (built / "report.html").read_bytes()


def test_a_flipped_byte_exits_3_and_names_the_file(built: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(built, tmp_path / "copy")
    path = copy / "data/train-00000.tar"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    done = run("verify", str(copy))
    assert done.returncode == 3
    assert "data/train-00000.tar: its contents have changed" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "quickstrat"], "did you mean 'quickstart'?"),
        (["build", "RECIPE", "--set", "sed=3"], "did you mean 'seed'?"),
        (["build", "RECIPE", "--set", "candidates=many"], "'candidates'"),
        (["build", "RECIPE", "--set", "generator.method=pain"], "did you mean 'paint'?"),
        (["build", "RECIPE", "--set", "labels=eurosaat"], "did you mean 'eurosat'?"),
        (["build", "RECIPE", "--set", "seed"], "has no value"),
        (["build", "RECIPE", "--engine", "locl"], "did you mean 'local'?"),
        (["build", "RECIPE", "--device", "tpu"], "none of auto, cpu, cuda"),
        (["build", "RECIPE", "--shards", "3:2", "--out", "OUT"], "is no part of 0:5"),
        (["build", "RECIPE", "--shards", "x"], "is no range"),
        (["build", "RECIPE", "--out", "FILE"], "is a file, not a folder"),
        (["status", "OUT"], "holds no build"),
        (["select", "OUT"], "holds no build"),
        (["list", "recipe"], "did you mean 'recipes'?"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(
    recipe: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    names = {"RECIPE": str(recipe), "OUT": str(tmp_path / "out"), "FILE": str(file)}
    done = run(*[names.get(word, word) for word in arguments], cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr


def test_verify_of_an_unfinished_build_exits_3(tmp_path: Path) -> None:
    assert run("verify", str(tmp_path)).returncode == 3


def test_quarantined_shards_exit_4(tmp_path: Path) -> None:
    trigger = tmp_path / "fail"
    trigger.write_text("r always")
    path = tmp_path / "recipe.yaml"
    path.write_text(painted(candidates=8, generator={"method": "paint", "fail_file": str(trigger)}).to_yaml())
    done = run("build", str(path), "--out", str(tmp_path / "out"), "--engine", "inline")
    assert done.returncode == 4
    assert "1 shards failed in every try: 0" in done.stderr
    assert "asked to fail" in run("status", str(tmp_path / "out")).stdout


def test_json_prints_one_event_a_line(recipe: Path, tmp_path: Path) -> None:
    done = run("build", str(recipe), "--out", str(tmp_path / "out"), "--engine", "inline", "--json")
    kinds = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert kinds[0] == "build_started"
    assert kinds[-1] == "build_finished"
    assert kinds.count("batch") == 10


def test_the_schema_of_recipes_is_json_with_every_method() -> None:
    schema = json.loads(run("list", "recipes", "--schema").stdout)
    methods = {variant["$ref"].rpartition(".")[2] for variant in schema["properties"]["generator"]["oneOf"]}
    assert {"diffusers", "paint"} <= methods
    assert schema["additionalProperties"] is False


def test_lists_name_what_ships() -> None:
    shown = run("list").stdout
    for name in ("quickstart", "language-enhancement", "near-duplicate", "resisc45", "eurosat-tiny-clip"):
        assert name in shown


def test_plan_says_what_it_costs(recipe: Path) -> None:
    shown = run("plan", str(recipe)).stdout
    assert "40 images of 10 labels in 5 shards" in shown
    assert "GiB" in shown
    assert "hours" in shown


def test_doctor_exits_well() -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout
