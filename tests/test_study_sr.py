"""The committed results of the study of super-resolution verify, and a forged one does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from synrs_data import files
from synrs_data.cli import app
from synrs_data.errors import VerificationError
from synrs_data.evaluate.results import Bootstrap
from synrs_data.evaluate.super_resolution.results import read_super_resolution

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "docs/study/sr"
RUNS = ("bicubic", "lanczos", "compact-sr")


def verify(folder: Path) -> Result:
    return CliRunner().invoke(app, ["eval", "verify", str(folder)])


@pytest.mark.parametrize("name", RUNS)
def test_every_result_of_the_study_follows_from_its_values(name: str) -> None:
    done = verify(STUDY / name)
    assert done.exit_code == 0, done.output
    said = read_super_resolution(STUDY / name)
    assert said.bootstrap == Bootstrap(seed=said.bootstrap.seed)
    assert said.n == 42


def test_the_page_has_the_numbers_of_the_results() -> None:
    page = (ROOT / "docs/study-sr.md").read_text(encoding="utf-8")
    arms = {arm.name: arm for arm in read_super_resolution(STUDY / "compact-sr").arms}
    assert {"real@4", "real", "synthetic", "mixedx1"} <= set(arms)
    for name, arm in arms.items():
        psnr = arm.metrics[0]
        assert psnr.value is not None
        assert psnr.interval is not None
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` | {arm.counts.real} ("))
        assert f"{psnr.value:.2f} ({psnr.interval.low:.2f} to {psnr.interval.high:.2f})" in row


@pytest.mark.parametrize("remake_digest", [False, True])
def test_a_forged_value_of_the_study_is_found(tmp_path: Path, remake_digest: bool) -> None:
    folder = Path(shutil.copytree(STUDY / "compact-sr", tmp_path / "r"))
    path = folder / "predictions.parquet"
    name = "psnr-y@crop4"
    first = pl.int_range(pl.len()) == 0
    table = pl.read_parquet(path).with_columns(
        pl.when(first).then(pl.col(name) + 0.5).otherwise(pl.col(name))
    )
    table.write_parquet(path)
    if remake_digest:
        values = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        values["predictions"]["sha256"] = files.sha256(path)
        (folder / "result.json").write_text(json.dumps(values), encoding="utf-8")
    done = verify(folder)
    assert isinstance(done.exception, VerificationError)
    assert f"{name}.value is" in done.stdout
