"""Results that somebody edited to break what reads them: one message, no endless work, nothing a terminal obeys."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synrs_data.cli import main
from synrs_data.cli.echo import shown
from synrs_data.errors import VerificationError
from synrs_data.evaluate import Classification, differences, read_result
from synrs_data.evaluate.compare import compare


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of result.json."""
    values = json.loads((folder / "result.json").read_text())
    change(values)
    (folder / "result.json").write_text(json.dumps(values))


def forge(folder: Path, content: bytes) -> None:
    """Replace the predictions, with their digest."""
    (folder / "predictions.parquet").write_bytes(content)
    edit(folder, lambda values: values["predictions"].update(sha256=hashlib.sha256(content).hexdigest()))


def table_bytes(table: pl.DataFrame, path: Path) -> bytes:
    table.write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), [{"deep": -float("inf")}]])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(result: Path, number: Any) -> None:
    edit(result, lambda values: values["protocol"]["options"].update(rate=number))
    with pytest.raises(VerificationError, match="has a number that is not finite"):
        read_result(result)


def test_a_table_of_far_too_many_rows_is_not_read(
    tmp_path: Path, result: Path, benchmark: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.read_parquet(result / "predictions.parquet")
    forge(result, table_bytes(pl.concat([table] * 100), tmp_path / "many.parquet"))
    monkeypatch.setattr(pl, "read_parquet", lambda *parts: pytest.fail("read whole"))
    assert list(differences(result, benchmark)) == [
        "predictions.parquet: has 600 rows, far more than arms, seeds and items"
    ]


@pytest.mark.parametrize("part", range(1, 10))
def test_predictions_that_are_cut_or_changed_anywhere_never_crash(
    result: Path, benchmark: Classification, part: int
) -> None:
    whole = (result / "predictions.parquet").read_bytes()
    place = len(whole) * part // 10
    for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]):
        forge(result, content)
        for reader in (lambda: list(differences(result, benchmark)), lambda: compare([result])):
            try:
                reader()
            except VerificationError as error:
                assert error.where


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arm: arm["metrics"][0].update(name="mean-recall"), "metrics of classification"),
        (lambda arm: arm.update(metrics=[]), "metrics of classification"),
        (lambda arm: arm.update(metrics=arm["metrics"][:1] * 2), "metrics of classification"),
        (lambda arm: arm.update(name="magic"), "there is no arm 'magic'"),
    ],
)
def test_a_result_that_no_run_writes_is_not_compared(
    result: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(result, lambda values: change(values["arms"][0]))
    with pytest.raises(VerificationError, match=message) as caught:
        compare([result])
    assert caught.value.where == str(result)


def test_zero_shot_has_one_seed_and_trains_on_nothing(result: Path, benchmark: Classification) -> None:
    edit(result, lambda values: values.update(seeds=[3]))
    assert "zero-shot has the one seed 0, not 3" in list(differences(result, benchmark))
    edit(result, lambda values: values["arms"][0]["counts"].update(real=5))
    assert "counts.real is 5, not 0" in list(differences(result, benchmark))


def test_names_of_a_result_do_not_reach_the_terminal_as_they_are(
    tmp_path: Path,
    result: Path,
    benchmark: Classification,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pl.read_parquet(result / "predictions.parquet")
    keys = pl.Series("key", ["\x1b[2J\u202e", *table["key"].to_list()[1:]])
    forge(result, table_bytes(table.with_columns(keys), tmp_path / "forged.parquet"))
    command = ["synrs-data", "eval", "verify", str(result), "--benchmark", str(tmp_path / "tiny.yaml")]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr("signal.signal", lambda *parts: None)
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr()
    assert caught.value.code == 3
    assert r"is no item of the benchmark: \x1b[2J\u202e" in said.out
    assert "".join((said.out + said.err).split("\n")).isprintable()


def test_errors_name_hostile_arguments_printably(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["synrs-data", "eval", "run", "no\x1b]0;title\x07such"])
    monkeypatch.setattr("signal.signal", lambda *parts: None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert r"there is no benchmark 'no\x1b]0;title\x07such'" in capsys.readouterr().err


def test_text_is_shown_as_it_is_but_for_what_is_not_printable() -> None:
    assert shown("→ Wälder\n  95 %") == "→ Wälder\n  95 %"
    assert shown("a\r\tb\x9b\u2028") == r"a\r\tb\x9b\u2028"
