"""The evaluation of `make quickstart`: its arms can be drawn, and each mixed one stands beside what makes it fair."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from synrs_data.evaluate import load_classification
from synrs_data.evaluate.arms import Arm, Pool, draw, parse_arms
from synrs_data.evaluate.data import open_data
from synrs_data.evaluate.image_set import ImageSet

ROOT = Path(__file__).resolve().parents[2]
PACKED = 24
"""Synthetic images a class, fewer than the quickstart packed of any (29 to 40 of 48 candidates)."""

pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="this is no checkout"),
]


def commands(*changed: str) -> list[list[str]]:
    """Return the words of what `make quickstart` would run."""
    done = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "quickstart", *changed], capture_output=True, text=True, check=True
    )
    return [shlex.split(line) for line in done.stdout.replace("\\\n", " ").splitlines()]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.fixture
def words() -> list[str]:
    (found,) = (line for line in commands() if line[1:3] == ["eval", "run"])
    return found


@pytest.fixture
def arms(words: list[str]) -> tuple[Arm, ...]:
    return parse_arms(option(words, "--arms"))


def test_every_arm_finds_its_images_with_every_seed(words: list[str], arms: tuple[Arm, ...]) -> None:
    benchmark = load_classification(words[3])
    train, names = open_data(benchmark).train, benchmark.class_names
    labels = np.repeat(np.arange(len(names)), PACKED)
    keys = tuple(f"{number}" for number in range(len(labels)))
    synthetic = ImageSet(keys, labels, keys, train.images[:1] * len(keys), "")
    pools = Pool(train, names, apart=len(train)), Pool(synthetic, names, apart=len(synthetic))
    assert int(option(words, "--seeds")) >= 5
    for seed in range(int(option(words, "--seeds"))):
        for arm in arms:
            drawn = draw(arm, seed, *pools)
            assert len(drawn.validation_real) + len(drawn.validation_synthetic) > 0


def test_every_mixed_arm_has_its_real_one_and_a_control_of_as_many_images(arms: tuple[Arm, ...]) -> None:
    there = {(arm.kind, arm.shots, arm.ratio) for arm in arms}
    mixed = [arm for arm in arms if arm.kind == "mixed"]
    assert len({arm.ratio for arm in mixed}) > 1
    assert len({arm.shots for arm in mixed}) > 1
    for arm in mixed:
        assert {("real", arm.shots, 0.0), ("flip-crop", arm.shots, arm.ratio)} <= there
    assert ("synthetic", None, 0.0) in there
    assert any(arm.kind == "more-real" for arm in arms)


def test_the_folder_that_is_asked_for_is_evaluated_compared_and_named() -> None:
    lines = commands("OUT=elsewhere/set")
    run, compared = ([line for line in lines if line[1:3] == ["eval", name]] for name in ("run", "compare"))
    assert option(run[0], "--synthetic") == "elsewhere/set"
    assert compared[0][3] == option(run[0], "--out") == "elsewhere/set-eval"
    said = " ".join(word for line in lines if "echo" in line for word in line)
    assert f"{option(compared[0], '--out')}/compare.md" in said
    assert "elsewhere/set/report.html" in said
