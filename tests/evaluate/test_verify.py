"""A result is computed again from its predictions: every tampered number, row and byte is found and named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel

from synrs_data import files
from synrs_data.errors import MethodError, UserError, VerificationError
from synrs_data.evaluate import Classification, differences, evaluate, load_classification, read_result
from synrs_data.evaluate.baselines import BaselineRecord, Scores
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items, row_keys
from synrs_data.evaluate.run import make_baseline
from tests.evaluate.tiny import LABELS, images_values, write_benchmark, write_features


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of result.json."""
    path = folder / "result.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def forge(folder: Path, table: pl.DataFrame) -> None:
    """Replace the predictions and the digest, as one does who wants to deceive."""
    table.write_parquet(folder / "predictions.parquet")
    digest = files.sha256(folder / "predictions.parquet")
    edit(folder, lambda values: values["predictions"].update(sha256=digest))


def table_of(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "predictions.parquet")


def with_value(table: pl.DataFrame, row: int, name: str, value: Any) -> pl.DataFrame:
    values = table[name].to_list()
    values[row] = value
    return table.with_columns(pl.Series(name, values, dtype=table.schema[name]))


def test_a_result_says_its_conditions_and_verifies(result: Path, benchmark: Classification) -> None:
    found = read_result(result)
    assert list(differences(result, benchmark)) == []
    assert list(differences(result / "result.json", benchmark)) == []
    assert (found.n, found.task_hash, found.seeds) == (len(LABELS), benchmark.task_hash, (0,))
    assert (found.bootstrap.seed, found.protocol.name) == (0, "zero-shot")
    assert {"device", "numpy", "torch", "synrs-data"} <= found.environment.keys()
    assert found.baseline.weights_sha256 == files.sha256(result.parent / "model.safetensors")
    table = table_of(result)
    assert table["key"].to_list() == [f"{row:09d}" for row in range(6)]
    assert found.arms[0].metrics[0].value == (table["label"] == table["predicted"]).mean()


def test_the_same_run_gives_the_same_predictions(
    tmp_path: Path, result: Path, benchmark: Classification
) -> None:
    baseline = make_baseline(f"features:file={tmp_path / 'model.safetensors'}", "cpu")
    again = evaluate(benchmark, baseline, tmp_path / "again", device="cpu")
    assert again.model_dump(exclude={"wall_seconds"}) == read_result(result).model_dump(
        exclude={"wall_seconds"}
    )
    other = evaluate(benchmark, baseline, tmp_path / "seed", device="cpu", bootstrap_seed=1)
    assert other.bootstrap.seed == 1
    assert list(differences(tmp_path / "seed", benchmark)) == []


def set_in(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for part in path[:-1]:
            values = values[part]
        values[path[-1]] = to(values[path[-1]]) if callable(to) else to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("arms", 0, "metrics", 0, "value", to=lambda value: value + 0.001),
         r"top1\.value is .*, the predictions give"),
        (set_in("arms", 0, "metrics", 1, "value", to=lambda value: value - 0.001), r"mean-per-class\.value is"),
        (set_in("arms", 0, "metrics", 0, "interval", "low", to=lambda value: value + 0.001), r"top1\.interval\.low is"),
        (set_in("arms", 0, "metrics", 1, "interval", "high", to=0.999), r"mean-per-class\.interval\.high is 0\.999"),
        (set_in("arms", 0, "metrics", 0, "per_seed", 0, to=lambda value: value - 0.001), r"top1\.per_seed\.0 is"),
        (set_in("arms", 0, "metrics", 0, "per_seed", to=[]), r"top1\.per_seed has 0 values, not 1"),
        (set_in("arms", 0, "metrics", 0, "difference",
                to={"to": "real", "value": 0, "interval": {"low": 0, "high": 0}, "above_zero": 1}),
         r"top1\.difference is to another arm"),
        (set_in("bootstrap", "level", to=0.9), r"bootstrap\.level is 0\.9, not 0\.95"),
        (set_in("dataset", "content_sha256", to="0" * 64), "the content hash is 0000"),
        (set_in("dataset", "pinned", to=False), r"dataset\.pinned is False"),
        (set_in("dataset", "test", to=5), r"dataset\.test is 5"),
        (set_in("arms", 0, "metrics", 0, "chance", to=0.1), r"top1\.chance is 0\.1"),
        (set_in("arms", 0, "metrics", 0, "direction", to="lower"), r"top1\.direction is lower, not higher"),
        (set_in("arms", 0, "metrics", to=lambda value: value[:1]),
         "metrics are top1, those of the benchmark are top1, mean"),
        (set_in("arms", 0, "per_class", "lake", to=lambda value: value + 0.001), r"per_class\.lake is"),
        (set_in("arms", 0, "per_class", "lake", to=None), r"per_class\.lake is None"),
        (set_in("arms", 0, "per_class", to={"lake": 1.0}), "per_class has the classes"),
        (set_in("n", to=7), "n is 7, there are 6 predictions"),
        (set_in("predictions", "rows", to=7), r"predictions\.rows is 7"),
        (set_in("predictions", "sha256", to="0" * 64), "the result says 0000"),
        (set_in("task_hash", to="0" * 64), "the task hash is 0000"),
        (set_in("benchmark", "version", to=2), "the result is of 'tiny' version 2"),
        (set_in("baseline", "trained_on", to=["tinyset"]), "in_domain is None, by `trained_on` it is True"),
    ],
)  # fmt: skip
def test_a_tampered_number_is_named(
    result: Path, benchmark: Classification, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(result, change)
    found = list(differences(result, benchmark))
    assert len(found) == 1
    assert re.search(message, found[0]), found


def test_a_forged_label_shows_in_the_labels_digest(result: Path, benchmark: Classification) -> None:
    forge(result, with_value(table_of(result), 0, "label", 1))
    assert [fault[:34] for fault in differences(result, benchmark)] == ["the labels are not the benchmark's"]


def test_a_score_changed_in_the_third_decimal_changes_the_digest(
    result: Path, benchmark: Classification
) -> None:
    table = table_of(result)
    scores = table["scores"][2].to_list()
    lowest = int(np.argmin(scores))
    scores[lowest] -= 0.001
    with_value(table, 2, "scores", scores).write_parquet(result / "predictions.parquet")
    found = list(differences(result, benchmark))
    assert len(found) == 1
    assert found[0].startswith("predictions.parquet has the sha256")


def test_a_forged_score_that_makes_another_class_win_is_found(
    result: Path, benchmark: Classification
) -> None:
    table = table_of(result)
    scores = table["scores"][2].to_list()
    scores[int(np.argmin(scores))] = max(scores) + 0.001
    forge(result, with_value(table, 2, "scores", scores))
    assert list(differences(result, benchmark)) == [
        "predicted is not the class of the highest score: 000000002"
    ]


def test_a_forged_prediction_is_found(result: Path, benchmark: Classification) -> None:
    table = table_of(result)
    row = next(
        number for number, (a, b) in enumerate(zip(table["label"], table["predicted"], strict=True)) if a != b
    )
    forge(result, with_value(table, row, "predicted", table["label"][row]))
    assert list(differences(result, benchmark)) == [
        f"predicted is not the class of the highest score: {row:09d}"
    ]


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (lambda table: table[:-1], ["is missing: 000000005"]),
        (lambda table: table[:0], ["there are no predictions of: zero-shot seed 0"]),
        (lambda table: pl.concat([table, table[2:3]]), ["comes more than once: 000000002"]),
        (lambda table: with_value(table, 5, "key", "000000002"),
         ["is missing: 000000005", "comes more than once: 000000002"]),
        (lambda table: with_value(table, 5, "key", "x"), ["is missing: 000000005", "is no item of the benchmark: x"]),
        (lambda table: table.reverse(), ["the items are not in the benchmark's order"]),
        (lambda table: with_value(table, 1, "scores", [float("nan")] * 3),
         ["a score is not a finite number: 000000001"]),
        (lambda table: with_value(table, 1, "scores", [float("inf"), 0.0, 0.0]),
         ["a score is not a finite number: 000000001"]),
        (lambda table: with_value(table, 1, "scores", [0.5, 0.1]), ["there are not 3 scores: 000000001"]),
        (lambda table: with_value(table, 1, "scores", []), ["there are not 3 scores: 000000001"]),
        (lambda table: with_value(table, 1, "predicted", 3),
         ["predicted is no index of the 3 classes: 000000001",
          "predicted is not the class of the highest score: 000000001"]),
        (lambda table: with_value(table, 1, "key", None), ["predictions.parquet: has empty values in key"]),
    ],
)  # fmt: skip
def test_forged_rows_are_named(
    result: Path,
    benchmark: Classification,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    messages: list[str],
) -> None:
    forge(result, change(table_of(result)))
    assert list(differences(result, benchmark)) == messages


def test_a_label_out_of_range_is_named_beside_the_digest(result: Path, benchmark: Classification) -> None:
    forge(result, with_value(table_of(result), 1, "label", -1))
    found = list(differences(result, benchmark))
    assert found[0].startswith("the labels are not the benchmark's")
    assert found[1] == "label is no index of the 3 classes: 000000001"


def test_scores_with_an_empty_value_inside_are_not_finite(result: Path, benchmark: Classification) -> None:
    forge(result, with_value(table_of(result), 1, "scores", [None, 0.1, 0.2]))
    assert list(differences(result, benchmark)) == ["a score is not a finite number: 000000001"]


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"nothing of the kind"])
def test_predictions_that_cannot_be_read_are_a_difference(
    result: Path, benchmark: Classification, content: bytes | None
) -> None:
    path = result / "predictions.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (fault,) = differences(result, benchmark)
    assert fault.startswith("predictions.parquet: cannot be read")


def test_a_table_of_other_columns_is_a_difference(result: Path, benchmark: Classification) -> None:
    forge(result, table_of(result).drop("scores"))
    (fault,) = differences(result, benchmark)
    assert fault.startswith("predictions.parquet: has the columns")


def test_labels_of_images_come_from_the_benchmark_not_from_the_predictions(tmp_path: Path) -> None:
    benchmark = load_classification(str(write_benchmark(tmp_path, images_values(tmp_path))))
    keys, labels = row_keys(4), np.array([0, 0, 1, 1])
    evaluate(benchmark, Stub(Items(keys, labels), np.eye(2, dtype=np.float32)[labels]), tmp_path / "r")
    assert list(differences(tmp_path / "r", benchmark)) == []
    forge(tmp_path / "r", with_value(table_of(tmp_path / "r"), 3, "label", 0))
    assert list(differences(tmp_path / "r", benchmark)) == ["label is not the benchmark's: 000000003"]


class Stub:
    """A baseline that gives what a test wants."""

    Options: type[BaseModel] = BaselineRecord
    name = "stub"

    def __init__(self, items: Items, values: Any) -> None:
        self._items, self._values = items, values

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        record = BaselineRecord(
            name="stub",
            method="stub",
            model="stub",
            weights_sha256="0" * 64,
            preprocessing={},
            trained_on=None,
            in_domain=None,
        )
        return Scores(self._items, self._values, record)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((6, 2), np.float32), r"scores of the shape \(6, 2\), not \(6, 3\)"),
        (np.zeros((5, 3), np.float32), r"scores of the shape \(5, 3\), not \(6, 3\)"),
        (np.full((6, 3), np.nan, np.float32), "scores that are not finite for 6 of 6 items"),
    ],
)
def test_scores_that_break_the_protocol_make_no_result(
    tmp_path: Path, benchmark: Classification, values: Any, message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        evaluate(benchmark, Stub(Items(row_keys(6), np.array(LABELS)), values), tmp_path / "r", device="cpu")
    assert not (tmp_path / "r").exists()


def test_features_of_zeros_make_no_result(tmp_path: Path, benchmark: Classification) -> None:
    file = write_features(tmp_path / "z.safetensors", {"image_features": np.zeros((6, 8), np.float32)})
    with pytest.raises(MethodError, match="scores that are not finite"):
        evaluate(benchmark, make_baseline(f"features:file={file}", "cpu"), tmp_path / "r", device="cpu")


def test_a_run_that_is_cut_leaves_no_older_result(
    result: Path, benchmark: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("synrs_data.evaluate.run.write_result", stop)
    other = write_features(result.parent / "other.safetensors", seed=1)
    with pytest.raises(KeyboardInterrupt):
        evaluate(benchmark, make_baseline(f"features:file={other}", "cpu"), result, device="cpu")
    with pytest.raises(UserError, match="there is no result"):
        read_result(result)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": 1}'])
def test_a_damaged_result_is_named(result: Path, content: str) -> None:
    (result / "result.json").write_text(content)
    with pytest.raises(VerificationError, match="is no result of schema version 2"):
        read_result(result)


def test_a_result_with_an_unknown_key_or_a_number_that_is_none_is_refused(result: Path) -> None:
    whole = (result / "result.json").read_text()
    edit(result, lambda values: values.update(bonus=1))
    with pytest.raises(VerificationError, match="unknown key 'bonus'"):
        read_result(result)
    (result / "result.json").write_text(whole.replace('"wall_seconds": ', '"wall_seconds": NaN, "x": '))
    with pytest.raises(VerificationError):
        read_result(result)
