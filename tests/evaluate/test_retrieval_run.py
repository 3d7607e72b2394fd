"""A run of retrieval: what it writes, that it verifies, and that a changed number or row is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from synrs_data import files
from synrs_data.cli import app
from synrs_data.errors import MethodError, UserError
from synrs_data.evaluate import Result, differences
from synrs_data.evaluate.baselines.pixels import Pixels, PixelsOptions
from synrs_data.evaluate.benchmark import Retrieval
from synrs_data.evaluate.retrieval_run import evaluate_retrieval
from synrs_data.resources import embedded_models
from tests.evaluate.captioned import METRICS, Painter, paint, retrieval


@pytest.fixture
def benchmark(tmp_path: Path) -> Retrieval:
    paint(tmp_path / "data")
    return retrieval(tmp_path, dataset={"path": "data"})


@pytest.fixture
def result(tmp_path: Path, benchmark: Retrieval) -> Path:
    evaluate_retrieval(benchmark, Painter(), tmp_path / "result", device="cpu")
    return tmp_path / "result"


def values(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_a_result_has_every_metric_with_interval_chance_and_conditions(
    result: Path, benchmark: Retrieval
) -> None:
    said = Result.model_validate(values(result))
    assert (said.n, said.dataset.test, said.dataset.captions) == (4, 4, 8)
    assert said.task_hash == benchmark.task_hash
    assert said.bootstrap.method == "percentile-bootstrap-images"
    assert (said.protocol.name, said.seeds, said.baseline.in_domain) == ("zero-shot", (0,), True)
    arm = said.arms[0]
    assert [metric.name for metric in arm.metrics] == list(METRICS)
    by_name = {metric.name: metric for metric in arm.metrics}
    # "grass" and "much green" name or suggest green: the blue lake's "grass" finds the green field, no other is wrong.
    assert by_name["i2t-r@1"].value == 1
    assert by_name["t2i-r@1"].value == pytest.approx(7 / 8)
    assert by_name["t2i-r@1"].interval.low < 7 / 8 <= by_name["t2i-r@1"].interval.high
    assert by_name["t2i-r@1"].chance == 0.25
    assert by_name["mean-recall:dedup-caption"].value == 1


def test_predictions_have_the_first_ten_keys_and_the_place_of_the_first_right_one(result: Path) -> None:
    table = pl.read_parquet(result / "predictions.parquet")
    assert table.columns == ["variant", "direction", "key", "found", "first"]
    assert table.group_by("variant", "direction", maintain_order=True).len().rows() == [
        ("strict", "i2t", 4),
        ("strict", "t2i", 8),
        ("dedup-caption", "i2t", 4),
        ("dedup-caption", "t2i", 8),
    ]
    grass = table.filter(pl.col("key") == "b/blue.jpg#1")
    assert grass["first"].to_list() == [3, 1]
    assert grass["found"].to_list()[0][0] == "a/green.jpg"


def test_equal_captions_are_embedded_once(tmp_path: Path, benchmark: Retrieval) -> None:
    painter = Painter()
    evaluate_retrieval(benchmark, painter, tmp_path / "result", device="cpu")
    assert painter.texts.count("grass") == 1
    assert len(painter.texts) == 7


def test_a_result_verifies_and_again_after_its_images_have_moved(result: Path, tmp_path: Path) -> None:
    assert list(differences(result, retrieval(tmp_path, dataset={"path": "data"}))) == []
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    assert list(differences(result, retrieval(tmp_path), str(tmp_path / "elsewhere"))) == []


def _json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        found = values(folder)
        change(found)
        (folder / "result.json").write_text(json.dumps(found))

    return tamper


def _rows(change: Callable[[list[dict[str, Any]]], Any], *, digest: bool = True) -> Callable[[Path], None]:
    """Change rows of the predictions, and make their digest anew as a forger would."""

    def tamper(folder: Path) -> None:
        path = folder / "predictions.parquet"
        table = pl.read_parquet(path)
        rows = table.to_dicts()
        change(rows)
        pl.DataFrame(rows, schema=table.schema).write_parquet(path)
        if digest:
            _json(lambda found: found["predictions"].update(sha256=files.sha256(path)))(folder)

    return tamper


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (_json(lambda found: found["arms"][0]["metrics"][1].update(value=1.0)), "t2i-r@1.value is 1.0"),
        (_json(lambda found: found["arms"][0]["metrics"][1].update(chance=0.1)), "t2i-r@1.chance is 0.1, not 0.25"),
        (_json(lambda found: found["arms"][0]["metrics"][1]["interval"].update(high=2.0)), "interval.high is 2.0"),
        (_json(lambda found: found["arms"][0]["metrics"].pop()), "metrics are"),
        (_json(lambda found: found["arms"][0].update(name="real")), "retrieval has the one arm zero-shot"),
        (_json(lambda found: found["bootstrap"].update(method="percentile-bootstrap-seeds-items")), "bootstrap.method"),
        (_json(lambda found: found["dataset"].update(captions=9)), "dataset.captions is 9, not 8"),
        (_json(lambda found: found["baseline"].update(in_domain=False)), "in_domain is False"),
        (_json(lambda found: found.update(task_hash="0" * 64)), "the task hash is 000"),
        (_rows(lambda rows: rows.pop(), digest=False), "has the sha256"),
        (_rows(lambda rows: rows.pop()), "dedup-caption: is missing: b/grey.jpg#0"),
        (_rows(lambda rows: rows.__delitem__(slice(12, None))), "the predictions are of"),
        (_rows(lambda rows: rows[0].update(key="b/red.jpg")), "is no item of the benchmark: b/red.jpg"),
        (_rows(lambda rows: rows[10].update(first=1)), "t2i strict: first is not the place of"),
        (_rows(lambda rows: rows[10]["found"].reverse()), "t2i strict: first is not the place"),
        (_rows(lambda rows: rows[0]["found"].pop()), "i2t strict: found is not 8 different candidates"),
        (_rows(lambda rows: rows[0]["found"].__setitem__(1, rows[0]["found"][0])), "found is not 8 different"),
        (_rows(lambda rows: rows[0]["found"].__setitem__(7, "x#0")), "found is not 8 different candidates"),
        (lambda folder: (folder / "predictions.parquet").unlink(), "cannot be read"),
        (lambda folder: (folder / "predictions.parquet").write_bytes(b"PAR1"), "cannot be read"),
    ],
    ids=["value", "chance", "interval", "metric", "arm", "method", "captions", "domain", "task", "digest", "row",
         "variant", "key", "first", "order", "short", "twice", "unknown", "gone", "damaged"],
)  # fmt: skip
def test_a_changed_number_or_row_is_found(
    result: Path, benchmark: Retrieval, tamper: Callable[[Path], None], words: str
) -> None:
    tamper(result)
    faults = list(differences(result, benchmark))
    assert any(words in fault for fault in faults), faults


def test_better_predictions_than_the_numbers_say_are_found(result: Path, benchmark: Retrieval) -> None:
    def better(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["key"] == "b/blue.jpg#1")
        row["found"].insert(0, row["found"].pop(row["found"].index("b/blue.jpg")))
        row["first"] = 1

    _rows(better)(result)
    assert any("t2i-r@1.value is 0.875" in fault for fault in differences(result, benchmark))


def test_a_baseline_that_cannot_do_retrieval_is_one_message(tmp_path: Path, benchmark: Retrieval) -> None:
    pixels = Pixels(PixelsOptions(), "cpu")
    with pytest.raises(UserError, match=r"'pixels' cannot do retrieval.* it does classification"):
        evaluate_retrieval(benchmark, pixels, tmp_path / "result", device="cpu")
    assert not (tmp_path / "result").exists()


def test_features_without_a_length_are_refused(tmp_path: Path, benchmark: Retrieval) -> None:
    class Black(Painter):
        @property
        def fingerprint(self) -> dict[str, Any]:
            return {"encoder": "black"}

        def encode_texts(self, texts: Any) -> Any:
            return np.zeros((len(texts), 3), dtype=np.float32)

    with pytest.raises(MethodError, match="no length"):
        evaluate_retrieval(benchmark, Black(), tmp_path / "result", device="cpu")


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["eval", *arguments])


@pytest.mark.skipif(
    "eurosat-tiny-clip" not in embedded_models(), reason="the embedded encoder is not in this checkout"
)
def test_eval_run_and_verify_do_retrieval(tmp_path: Path, benchmark: Retrieval) -> None:
    file, out = str(tmp_path / "tiny-retrieval.yaml"), str(tmp_path / "out")
    done = command("run", file, "--baseline", "eurosat-tiny-clip", "--out", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    head, first, *_ = done.stdout.splitlines()
    assert head.split() == ["baseline", "metric", "value", "95", "%", "interval", "n", "chance"]
    assert first.split()[:2] == ["eurosat-tiny-clip", "i2t-r@1"]
    record = values(tmp_path / "out")["baseline"]
    assert (record["revision"], record["quick_gelu"], record["text"]) == ("embedded", False, {"tokens": 40})
    done = command("verify", out, "--benchmark", file)
    assert done.exit_code == 0, done.output
    assert "24 predictions and 5 metrics of eurosat-tiny-clip are as they say" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "pixels"], "cannot do retrieval"),
        (["--features", "some.safetensors"], "cannot do retrieval"),
        (["--baseline", "eurosat-tiny-clip", "--protocol", "knn"], "retrieval trains nothing"),
        (["--baseline", "eurosat-tiny-clip", "--arms", "real"], "retrieval trains nothing"),
    ],
)
def test_what_retrieval_cannot_do_is_one_message(
    tmp_path: Path, benchmark: Retrieval, arguments: list[str], words: str
) -> None:
    done = command("run", str(tmp_path / "tiny-retrieval.yaml"), *arguments, "--device", "cpu")
    assert isinstance(done.exception, UserError)
    assert words in done.exception.what
