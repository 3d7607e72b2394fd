"""`eval compare` as a user types it: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import BuildFolderError
from synrs_data.evaluate.compare import compare
from synrs_data.evaluate.compare_report import lines, page, write_comparison
from tests.evaluate.compare_results import benchmark, synthetic, write
from tests.evaluate.test_commands import run as typed

ARMS = {"real@8": 0.6, "mixed@8x1": 0.75, "flip-crop@8x1": 0.62, "synthetic@8": 0.4}


def run(*arguments: str | Path) -> Any:
    from typer.testing import CliRunner

    from synrs_data.cli import app

    return CliRunner().invoke(app, ["eval", "compare", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_comparison_is_printed_and_written_with_figures_and_equal_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra eval")
    write(tmp_path / "b", ARMS, strategy=synthetic("set-b"))
    done = run(tmp_path / "b", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    printed = done.stdout.splitlines()
    assert printed[0] == "tiny: top1 in per cent, 3 seeds, 120 test images, chance 33.33"
    assert printed[-1] == str(tmp_path / "out" / "compare.md")
    values = json.loads((tmp_path / "out" / "compare.json").read_text())
    for row in values["rows"]:
        (line,) = (
            each
            for each in printed
            if each.split()[:1] == [row["label"]] and each.count(" to ") == (2 if row["difference"] else 1)
        )
        assert f"{row['value'] * 100:.2f}" in line
        if row["difference"]:
            assert f"{row['difference']['value'] * 100:+.2f}" in line
            assert f"{row['difference']['above_zero']:.3f}" in line
    heads = [line.split()[:3] for line in printed if "P(>0)" in line]
    assert heads == [["arm", "synthetic", "set"], ["arm", "synthetic", "set"]]
    first = contents(tmp_path / "out")
    text = first["compare.md"].decode()
    linked = re.findall(r"\]\(([^)]+)\)", text)
    assert sorted(linked) == [name for name in first if name.endswith(".png")]
    assert [name.replace(".png", ".svg") for name in sorted(linked)] == [
        n for n in first if n.endswith(".svg")
    ]
    assert str(tmp_path) not in text + first["compare.json"].decode()
    assert run(tmp_path / "b" / "result.json", "--out", tmp_path / "out").exit_code == 0
    assert contents(tmp_path / "out") == first


def test_the_page_has_every_row_the_verdict_and_how_many_comparisons_there_are(tmp_path: Path) -> None:
    write(tmp_path / "b", ARMS, strategy=synthetic("set-b"))
    found = compare([tmp_path / "b"])
    text = page(found, [])
    for row in found.rows:
        (line,) = (
            each
            for each in text.splitlines()
            if each.startswith(f"| {row.label} |") and each.count("|") == 15
        )
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == (row.synthetic or "")
        counts = row.counts
        assert cells[2:6] == [str(n) for n in (counts.real, counts.synthetic, counts.copies, 3)]
        assert cells[6] == f"{row.value * 100:.2f}"
        if row.difference is not None:
            assert cells[8:10] == [row.difference.to, f"{row.difference.value * 100:+.2f}"]
            assert cells[12] == f"{row.difference.mcnemar.better}+ {row.difference.mcnemar.worse}- of 3"
    assert "set-b: 1 mixed against real: above 0 in 1, below 0 in 0, across 0 in 0" in text
    assert "controls: 1 flip-crop against real" in text
    assert "There are 3 such differences and 1 to controls." in text
    assert "about 0.2 of 4 would leave zero out" in text
    assert found.task_hash in text
    assert "\n\n\n" not in text


def test_names_of_users_are_shown_as_they_are_and_break_no_table(tmp_path: Path) -> None:
    classes = ["a|b", "<script>", "$x$ [y](z)"]
    name = "set | <b>*bold*</b> `x`\n# no heading"
    write(tmp_path / "b", ARMS, of=benchmark(classes), strategy=synthetic(name))
    text = page(compare([tmp_path / "b"]), [])
    assert "<b>" not in text
    assert "\n# no heading" not in text
    rows = [line for line in text.splitlines() if line.startswith("| mixed@8x1 |")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [15, 9]


def test_what_could_not_be_compared_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a", {"mixed@8x1": 0.6}, strategy=synthetic("set-b"))
    found = compare([tmp_path / "a"])
    wanted = "mixed@8x1 of set-b, encoder linear-probe: no real arm of the same shots and seeds"
    assert f"compared with nothing: {wanted}" in list(lines(found))
    text = page(found, [])
    assert "No two arms could be compared." in text
    assert f"- {wanted}" in text
    assert "There are 0" not in text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra eval")
    write(tmp_path / "a", {"real@8": 0.6})
    (tmp_path / "file").write_text("")
    done = run(tmp_path / "a", "--out", tmp_path / "file")
    assert isinstance(done.exception, BuildFolderError)
    assert "cannot be written" in str(done.exception)


def test_results_of_two_tasks_end_with_code_2_and_write_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra eval")
    write(tmp_path / "a", {"real@8": 0.6})
    write(tmp_path / "b", {"real@8": 0.6}, of=benchmark(version=2))
    done = typed("eval", "compare", "a", "b", code=2, cwd=tmp_path)
    assert "cannot be compared" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_comparison_is_written_last_so_that_one_that_is_there_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra eval")
    write(tmp_path / "a", {"real@8": 0.6})
    found = compare([tmp_path / "a"])

    def stop(*arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("synrs_data.evaluate.compare_report.page", stop)
    with pytest.raises(KeyboardInterrupt):
        write_comparison(found, tmp_path / "out")
    assert not (tmp_path / "out" / "compare.json").exists()
