"""Benchmark files: what ships is whole, what is wrong is named, and the task hash covers what moves a score."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import RecipeError
from synrs_data.evaluate import Classification, load_benchmark, load_classification
from synrs_data.evaluate.benchmark import benchmarks
from synrs_data.vocabulary import load_label_set
from tests.evaluate.tiny import features_values, images_values, write_benchmark


@pytest.mark.parametrize("name", benchmarks())
def test_a_shipped_benchmark_has_the_name_of_its_file_and_pins_its_prompts(name: str) -> None:
    benchmark = load_benchmark(name)
    assert benchmark.id == name
    if not isinstance(benchmark, Classification):
        return
    if benchmark.dataset.kind != "features":
        assert len(benchmark.templates()) == benchmark.prompts.count
    for metric in benchmark.metrics:
        assert metric.chance == pytest.approx(1 / len(benchmark.classes))


def test_the_classes_of_eurosat_mini_are_those_of_the_label_set() -> None:
    assert list(load_classification("eurosat-mini").classes) == list(load_label_set("eurosat").labels)


def test_the_task_hash_is_the_sha256_of_canonical_json(tmp_path: Path) -> None:
    benchmark = load_benchmark(str(write_benchmark(tmp_path, features_values())))
    values = json.loads(benchmark.model_dump_json())
    del values["dataset"]["get"], values["dataset"]["path"]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert benchmark.task_hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"ensemble": "mean-normalise"},
        {"classes": ["field", "lake", "city"]},
        {"classes": ["lake", "field", "town"]},
        {"prompts": {"name": "own", "count": 2, "sha256": "0" * 64}},
        {"dataset": {"labels_sha256": "0" * 64}},
        {"dataset": {"count": 7}},
        {"metrics": [{"name": "top1", "direction": "higher", "chance": 0.3}]},
        {"leak_policy": "other"},
        {"license": "mit"},
    ],
)
def test_the_task_hash_changes_with_everything_that_a_benchmark_says(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    first = load_benchmark(str(write_benchmark(tmp_path, features_values()))).task_hash
    assert load_benchmark(str(write_benchmark(tmp_path, features_values(**changed)))).task_hash != first


def test_where_the_data_lie_is_not_part_of_the_task(tmp_path: Path) -> None:
    first = load_benchmark(str(write_benchmark(tmp_path, features_values()))).task_hash
    moved = features_values(dataset={"path": "elsewhere.safetensors", "get": "ask"})
    assert load_benchmark(str(write_benchmark(tmp_path, moved))).task_hash == first


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"clases": ["a"]}, "unknown key 'clases', did you mean 'classes'"),
        ({"version": 0}, "'version'"),
        ({"task": "retrieval"}, "the key 'dataset.captions' is missing"),
        ({"task": "zero-shot"}, "'task': there is no task 'zero-shot'"),
        ({"ensemble": "mean"}, "'ensemble'"),
        ({"id": "a/b"}, "'id'"),
        ({"classes": ["one"]}, "'classes'"),
        ({"classes": ["a", "b", "a"]}, "the class a appears twice"),
        ({"metrics": []}, "'metrics'"),
        (
            {"metrics": [{"name": "top1", "direction": "higher", "chance": 0.5}] * 2},
            "the metric top1 appears twice",
        ),
        ({"metrics": [{"name": "top5", "direction": "higher", "chance": 0.5}]}, "metrics.0.name"),
        ({"metrics": [{"name": "top1", "direction": "higher", "chance": float("nan")}]}, "metrics.0.chance"),
        ({"prompts": {"name": "own", "count": 2, "sha256": "abc"}}, "prompts.sha256"),
        ({"dataset": {"kind": "folder"}}, "dataset"),
        ({"dataset": {"images": "x.tar"}}, "dataset.features.images"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(features_values(**changed)).replace("NaN", ".nan"))
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        load_benchmark(str(path))


@pytest.mark.parametrize("key", ["task", "classes", "metrics", "title", "dataset"])
def test_aliases_that_stand_for_endless_lists_are_never_written_out(tmp_path: Path, key: str) -> None:
    texts = {name: json.dumps(value) for name, value in features_values().items() if name != key}
    bomb = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    path = tmp_path / "bomb.yaml"
    lines = [f"{name}: {text}" for name, text in texts.items()]
    path.write_text("\n".join(["a0: &a0 [x]", bomb, *lines, f"{key}: *a29"]))
    with pytest.raises(RecipeError) as caught:
        load_benchmark(str(path))
    assert f"'{key}" in caught.value.what
    assert len(str(caught.value)) < 4000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "'classes': class 1 is None, which is no text: put its name in quotes"),
        ("yes", "class 1 is True, which is no text"),
        ("1.5", r"class 1 is 1\.5, which is no text"),
        ("2020-01-01", r"class 1 is datetime\.date\(2020, 1, 1\), which is no text"),
        ("[a]", r"'classes\.1': input should be"),
    ],
)
def test_a_class_that_yaml_reads_as_no_text_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(features_values(classes=["lake", "CLASS"])).replace('"CLASS"', text))
    with pytest.raises(RecipeError, match=message):
        load_benchmark(str(path))


def test_an_unknown_benchmark_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="there is no benchmark 'eurosat-min'") as caught:
        load_benchmark("eurosat-min")
    assert "did you mean 'eurosat-mini'?" in caught.value.fix


def test_templates_that_are_not_the_pinned_ones_are_refused_with_both_hashes(tmp_path: Path) -> None:
    values = images_values(tmp_path)
    values["prompts"] = {"name": "rs-basic", "count": 3, "sha256": values["prompts"]["sha256"]}
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(RecipeError, match="these 12 prompts are not the 3 of the benchmark") as caught:
        benchmark.templates()
    assert values["prompts"]["sha256"] in caught.value.what
    assert len([word for word in caught.value.what.replace(",", "").split() if len(word) == 64]) == 2
