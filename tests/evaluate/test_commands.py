"""`eval run` and `eval verify` as a user types them: what they print, write and refuse."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synrs_data.resources import embedded_models
from tests.evaluate.tiny import SHARED, features_values, folder_values, write_benchmark, write_features

FEATURES = SHARED / "whurs19_features"


def run(*arguments: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    }
    done = subprocess.run(
        [sys.executable, "-m", "synrs_data", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def in_process(*arguments: str) -> Any:
    from typer.testing import CliRunner

    from synrs_data.cli import app

    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, Path, Path]:
    benchmark = write_benchmark(tmp_path, features_values())
    first = write_features(tmp_path / "first.safetensors")
    return benchmark, first, write_features(tmp_path / "second.safetensors", seed=1)


def test_one_baseline_is_written_to_the_named_folder(tmp_path: Path, tiny: tuple[Path, Path, Path]) -> None:
    benchmark, first, _ = tiny
    done = in_process("eval", "run", str(benchmark), "--features", str(first), "--out", str(tmp_path / "r"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["baseline", "metric", "value", "95", "%", "interval", "n", "chance"]
    values = json.loads((tmp_path / "r" / "result.json").read_text())
    for line, metric in zip(lines[1:], values["arms"][0]["metrics"], strict=False):
        name, what, value, low, _, high, n, chance = line.split()
        assert (name, what, n) == ("first", metric["name"], "6")
        numbers = [metric["value"], metric["interval"]["low"], metric["interval"]["high"], metric["chance"]]
        assert [value, low, high, chance] == [f"{number * 100:.2f}" for number in numbers]
    assert "trained on: not declared" in lines[3]
    verified = in_process("eval", "verify", str(tmp_path / "r"), "--benchmark", str(benchmark))
    assert verified.exit_code == 0, verified.output
    assert verified.stdout == "6 predictions and 2 metrics of first are as they say\n"


def test_several_baselines_get_a_folder_each(
    tmp_path: Path, tiny: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, first, second = tiny
    monkeypatch.chdir(tmp_path)
    arguments = ["--features", str(first), "--baseline", f"features:file={second},trained_on=tinyset"]
    done = in_process("eval", "run", str(benchmark), *arguments)
    assert done.exit_code == 0, done.output
    assert sorted(path.parent.name for path in (tmp_path / "out" / "eval" / "tiny").rglob("result.json")) == [
        "first",
        "second",
    ]
    assert "in-domain (trained on tinyset)" in done.stdout
    assert done.stdout.count("95 % interval") == 1


def test_features_may_be_named_as_a_baseline_and_given_as_a_file(
    tmp_path: Path, tiny: tuple[Path, Path, Path]
) -> None:
    benchmark, first, _ = tiny
    arguments = ["--baseline", "features", "--features", str(first), "--out", str(tmp_path / "r")]
    done = in_process("eval", "run", str(benchmark), *arguments)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "r" / "result.json").is_file()


def test_every_difference_is_printed_and_the_exit_code_is_3(
    tmp_path: Path, tiny: tuple[Path, Path, Path]
) -> None:
    benchmark, first, _ = tiny
    in_process("eval", "run", str(benchmark), "--features", str(first), "--out", str(tmp_path / "r"))
    file = tmp_path / "r" / "result.json"
    values = json.loads(file.read_text())
    values["arms"][0]["metrics"][0]["value"] += 0.001
    values["n"] = 5
    file.write_text(json.dumps(values))
    done = run("eval", "verify", str(file), "--benchmark", str(benchmark), code=3)
    assert "top1.value is" in done.stdout
    assert "n is 5, there are 6 predictions" in done.stdout
    assert "2 differences" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["eurosat-min", "--baseline", "features"], ["no benchmark 'eurosat-min'", "did you mean 'eurosat-mini'?"]),
        (["eurosat-mini", "--baseline", "open-clp"],
         ["unknown method 'open-clp' of baselines", "did you mean 'open-clip'?"]),
        (["eurosat-mini", "--baseline", "open-clip:modl=x"], ["unknown key 'modl', did you mean 'model'?"]),
        (["eurosat-mini", "--baseline", "open-clip:x"], ["'x' is no KEY=VALUE"]),
        (["eurosat-mini", "--baseline", "open-clip:model=x,batch=0"], ["'batch'"]),
        (["eurosat-mini"], ["there is nothing to evaluate", "give `--baseline NAME`"]),
        (["eurosat-mini", "--baseline", "features"], ["needs a file", "give `--features FILE`"]),
        (["whurs19-features", "--features", "absent"], ["there is no such file of features", "RS-TransCLIP"]),
        (["whurs19-features", "--baseline", "features", "--device", "tpu"], ["there is no device 'tpu'"]),
        (["whurs19-features", "--features", "a/x", "--features", "b/x"], ["two baselines are called 'x'"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], messages: list[str]
) -> None:
    from synrs_data.errors import UserError

    monkeypatch.chdir(tmp_path)
    done = in_process("eval", "run", *arguments)
    assert isinstance(done.exception, UserError), done.output
    for message in messages:
        assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_an_unknown_benchmark_asks_for_its_file(
    tmp_path: Path, tiny: tuple[Path, Path, Path]
) -> None:
    benchmark, first, _ = tiny
    in_process("eval", "run", str(benchmark), "--features", str(first), "--out", str(tmp_path / "r"))
    done = run("eval", "verify", str(tmp_path / "r"), code=2)
    assert "its benchmark 'tiny' is none of the shipped ones" in done.stderr
    assert "give `--benchmark FILE`" in done.stderr
    assert "there is no result" in run("eval", "verify", str(tmp_path), code=2).stderr


def test_benchmarks_and_baselines_are_listed() -> None:
    shown = in_process("list", "benchmarks").stdout
    assert "eurosat-mini: EuroSAT" in shown
    assert "whurs19-features: WHU-RS19" in shown
    assert "eurosat-tiny-clip: " in in_process("list", "baselines").stdout
    protocols = in_process("list", "protocols").stdout
    assert "from-scratch: trains the classifiers" in protocols
    assert "steps (300): Optimisation steps" in protocols


@pytest.mark.skipif(not FEATURES.is_dir(), reason="the shared features are not here")
def test_published_features_print_the_published_numbers(tmp_path: Path) -> None:
    names = ("clip-vit-b-32", "remoteclip-vit-b-32")
    arguments = [part for name in names for part in ("--features", str(FEATURES / f"{name}.safetensors"))]
    done = in_process("eval", "run", "whurs19-features", *arguments, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[2] for row in rows if row[1] == "top1"] == ["81.29", "95.22"]
    for name in names:
        verified = in_process("eval", "verify", str(tmp_path / name))
        assert verified.exit_code == 0, verified.output


@pytest.mark.skipif("eurosat-tiny-clip" not in embedded_models(), reason="the embedded encoder is not here")
def test_the_embedded_encoder_runs_on_eurosat_mini_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"the network was asked: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    done = in_process(
        "eval", "run", "eurosat-mini", "--baseline", "eurosat-tiny-clip", "--out", str(tmp_path)
    )
    assert done.exit_code == 0, done.output
    assert "in-domain (trained on eurosat)" in done.stdout
    values = json.loads((tmp_path / "result.json").read_text())
    # Its card says 0.867 with ten templates on all 3,600 test images.
    assert 0.82 < values["arms"][0]["metrics"][0]["value"] < 0.92
    verified = in_process("eval", "verify", str(tmp_path))
    assert verified.exit_code == 0, verified.output


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a benchmark that has images to train on; run in its folder."""
    monkeypatch.chdir(tmp_path)
    return write_benchmark(tmp_path, folder_values(tmp_path))


FAST = ["--protocol", "from-scratch:steps=1,batch=2", "--seeds", "2", "--device", "cpu"]


def test_arms_are_printed_with_what_they_were_trained_on_and_their_difference(blocks: Path) -> None:
    done = in_process("eval", "run", str(blocks), *FAST, "--arms", "real@2,flip-crop@2x2")
    assert done.exit_code == 0, done.output
    folder = Path("out", "eval", "blocks", "pixels-from-scratch")
    values = json.loads((folder / "result.json").read_text())
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "pixels, from-scratch on blocks: top1 in per cent, 2 seeds, 12 test images, chance 50.00"
    )
    assert lines[1].split() == ["arm", "real", "synthetic", "copies", "top1", "95", "%", "interval", "difference",
                                "95", "%", "interval", "P(>0)"]  # fmt: skip
    first, second = (arm["metrics"][0] for arm in values["arms"])
    low, high = (f"{first['interval'][end] * 100:.2f}" for end in ("low", "high"))
    assert lines[2].split() == ["real@2", "4", "0", "0", f"{first['value'] * 100:.2f}", low, "to", high]
    difference = second["difference"]
    assert lines[3].split()[:5] == ["flip-crop@2x2", "4", "0", "8", f"{second['value'] * 100:.2f}"]
    assert lines[3].split()[8:] == [
        f"{difference['value'] * 100:+.2f}",
        f"{difference['interval']['low'] * 100:+.2f}",
        "to",
        f"{difference['interval']['high'] * 100:+.2f}",
        f"{difference['above_zero']:.3f}",
    ]
    assert "real@2, seed 0: trained" in done.stderr
    verified = in_process("eval", "verify", str(folder), "--benchmark", str(blocks))
    assert verified.exit_code == 0, verified.output
    assert verified.stdout == "48 predictions and 4 metrics of pixels are as they say\n"


def test_a_run_without_arms_trains_on_all_real_images(blocks: Path) -> None:
    done = in_process("eval", "run", str(blocks), *FAST)
    assert done.exit_code == 0, done.output
    (arm,) = json.loads(Path("out/eval/blocks/pixels-from-scratch/result.json").read_text())["arms"]
    assert (arm["name"], arm["counts"]["real"], arm["counts"]["validation"]) == ("real", 10, 2)


def test_verification_of_a_rule_reads_the_images_that_are_named(blocks: Path, tmp_path: Path) -> None:
    (tmp_path / "Pictures").rename(tmp_path / "elsewhere")
    arguments = ["--data", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "r")]
    done = in_process("eval", "run", str(blocks), *FAST, "--arms", "real@2", *arguments)
    assert done.exit_code == 0, done.output
    missing = in_process("eval", "verify", str(tmp_path / "r"), "--benchmark", str(blocks))
    assert "there is no such file or folder" in str(missing.exception)
    found = in_process("eval", "verify", str(tmp_path / "r"), "--benchmark", str(blocks), *arguments[:2])
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--protocol", "liner-probe"], ["unknown protocol 'liner-probe'", "did you mean 'linear-probe'?"]),
        (["--protocol", "from-scratch:stps=1"], ["unknown key 'stps', did you mean 'steps'?"]),
        (["--protocol", "linear-probe"], ["there is nothing to evaluate"]),
        (["--protocol", "linear-probe", "--baseline", "pixels"], ["'pixels' gives no features"]),
        (["--protocol", "linear-probe", "--features", "m.safetensors"], ["'m' gives no features"]),
        ([*FAST, "--arms", "mixed@2"], ["'mixed@2' is not written as mixed@16x2"]),
        ([*FAST, "--arms", "mixed@2x1"], ["needs synthetic images", "--synthetic DIR"]),
        ([*FAST, "--arms", "real@2", "--synthetic", "absent"], ["no arm trains on the synthetic images"]),
        ([*FAST, "--synthetic", "absent"], ["absent: is no finished build"]),
        ([*FAST, "--arms", "real@6"], ["the class 'Forest' has 6 real images, the arm 'real@6' needs 10"]),
        ([*FAST, "--data", "absent"], ["there is no such file or folder"]),
        (["--baseline", "eurosat-tiny-clip", "--arms", "real"], ["zero-shot trains nothing"]),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_trained_is_one_message(
    blocks: Path, arguments: list[str], messages: list[str]
) -> None:
    from synrs_data.errors import UserError

    done = in_process("eval", "run", str(blocks), *arguments, "--out", "r")
    assert isinstance(done.exception, UserError), done.output
    for message in messages:
        assert message in str(done.exception)
    assert not Path("r").exists()


def test_a_baseline_of_another_task_is_refused(tmp_path: Path) -> None:
    values = {
        "id": "pairs",
        "version": 1,
        "title": "Pairs",
        "task": "super-resolution",
        "dataset": {"kind": "pairs", "name": "x", "lr": "lr", "hr": "hr", "get": "make some"},
        "scale": 4,
        "metrics": [{"name": "psnr-y@crop4", "direction": "higher"}],
        "license": "mit",
        "leak_policy": "none",
    }
    done = in_process(
        "eval", "run", str(write_benchmark(tmp_path, values)), "--baseline", "eurosat-tiny-clip"
    )
    assert "unknown baseline 'eurosat-tiny-clip' of super-resolution" in str(done.exception)
