"""The committed results of the studies verify, and a forged one does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from synrs_data import files
from synrs_data.cli import app
from synrs_data.errors import VerificationError
from synrs_data.evaluate import read_result
from synrs_data.evaluate.statistics import LEVEL, REPLICATES

STUDY = Path(__file__).resolve().parents[1] / "docs/study/eurosat"
RUNS = sorted(path.parent for path in STUDY.glob("*/result.json"))
FORGED = STUDY / "probe-real"


def verify(folder: Path) -> Result:
    return CliRunner().invoke(app, ["eval", "verify", str(folder)])


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "result.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FORGED, tmp_path / "copy"))


def test_the_study_has_results_of_both_classifiers_and_of_synthetic_images() -> None:
    results = [read_result(run) for run in RUNS]
    assert {"linear-probe", "from-scratch"} <= {each.protocol.name for each in results}
    assert {each.benchmark.id for each in results} == {"eurosat"}
    assert any(each.synthetic is not None for each in results)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_number_of_a_result_follows_from_its_predictions(run: Path) -> None:
    found = verify(run)
    assert found.exit_code == 0, found.output
    assert "are as they say" in found.output


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_result_has_its_seeds_and_intervals_and_names_no_folder_of_the_machine(run: Path) -> None:
    result = read_result(run)
    assert len(result.seeds) == (1 if result.protocol.name == "zero-shot" else 5)
    assert (result.n, result.bootstrap.replicates, result.bootstrap.level) == (3600, REPLICATES, LEVEL)
    text = (run / "result.json").read_text(encoding="utf-8")
    assert not [word for word in ("/tmp", "/home", "/work", "/root") if f'"{word}/' in text]


def test_a_number_that_was_changed_is_found(copy: Path) -> None:
    assert verify(copy).exit_code == 0

    def change(values: dict[str, Any]) -> None:
        values["arms"][0]["metrics"][0]["value"] += 0.001

    edit(copy, change)
    found = verify(copy)
    assert isinstance(found.exception, VerificationError)
    assert "top1.value" in found.output


def test_predictions_that_were_changed_are_found_though_their_digest_was_made_anew(copy: Path) -> None:
    path = copy / "predictions.parquet"
    table = pl.read_parquet(path)
    better = pl.when(pl.col("key") < table["key"].sort()[36]).then("label").otherwise("predicted")
    assert table.with_columns(predicted=better)["predicted"].ne(table["predicted"]).any()
    table.with_columns(predicted=better).write_parquet(path)
    found = verify(copy)
    assert isinstance(found.exception, VerificationError)
    assert "sha256" in found.output
    edit(copy, lambda values: values["predictions"].update(sha256=files.sha256(path)))
    found = verify(copy)
    assert isinstance(found.exception, VerificationError)
    assert "the predictions give" in found.output
