"""The types of a record: what is told of a wrong one, and what a card declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from synrs_data.sample import sample_key
from synrs_data.shards import TarWriter, check_record, features, sample_bytes
from synrs_data.shards.schema import RECORD, fields_of
from synrs_data.vocabulary import load_label_set

SCORES = ["ruler_mean", "quality_entropy"]
EXAMPLES: dict[type, Any] = {str: "x", int: 3, float: 1.5, bool: True}


def record(scores: list[str] = SCORES) -> dict[str, Any]:
    """Return a record as it comes out of a shard."""
    values = {key: EXAMPLES[kind] for key, kind in RECORD.items() if key != "scores"}
    if scores:
        values["scores"] = dict.fromkeys(scores, 0.25)
    return dict(json.loads(json.dumps(values)))


def test_a_right_record_has_no_faults() -> None:
    assert check_record(record(), "scene-caption", SCORES) == []
    assert check_record(record([]), "scene-caption", []) == []


@pytest.mark.parametrize("key", RECORD)
def test_a_missing_key_is_named(key: str) -> None:
    values = record()
    del values[key]
    assert check_record(values, "scene-caption", SCORES) == [f"'{key}' is missing"]


def test_a_key_that_nobody_declared_is_named() -> None:
    assert check_record(record() | {"extra": 1}, "scene-caption", SCORES) == ["'extra' is unknown"]
    assert "'scores' is unknown" in check_record(record(SCORES), "scene-caption", [])


@pytest.mark.parametrize("key", RECORD)
def test_a_null_or_a_list_is_of_no_declared_type(key: str) -> None:
    kind = RECORD[key].__name__
    assert f"'{key}' is NoneType, not {kind}" in check_record(record() | {key: None}, "scene-caption", SCORES)
    assert f"'{key}' is list, not {kind}" in check_record(record() | {key: []}, "scene-caption", SCORES)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("seed", 1.0, "float"),
        ("guidance_scale", 7, "int"),
        ("label", True, "bool"),
        ("synthetic", 1, "int"),
        ("key", 5, "int"),
    ],
)
def test_types_that_python_would_let_pass_are_told_apart_as_arrow_does(
    key: str, value: object, found: str
) -> None:
    assert check_record(record() | {key: value}, "scene-caption", SCORES) == [
        f"'{key}' is {found}, not {RECORD[key].__name__}"
    ]


@pytest.mark.parametrize(
    "scores",
    [
        {"ruler_mean": 1.0},
        {"quality_entropy": 1.0, "ruler_mean": 1.0},
        {"ruler_mean": 1.0, "quality_entropy": 1.0, "more": 1.0},
        {},
        {"ruler_mean": 1, "quality_entropy": 1.0},
        {"ruler_mean": None, "quality_entropy": 1.0},
        {"ruler_mean": "1.0", "quality_entropy": 1.0},
        {"ruler_mean": float("nan"), "quality_entropy": 1.0},
        {"ruler_mean": float("inf"), "quality_entropy": 1.0},
    ],
    ids=str,
)
def test_scores_of_other_names_order_or_type_are_told(scores: dict[str, object]) -> None:
    assert len(check_record(record() | {"scores": scores}, "scene-caption", SCORES)) == 1


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_what_is_no_object_is_told(value: object) -> None:
    assert check_record(value, "scene-caption", SCORES) == ["the JSON is no object"]


def test_the_fields_follow_the_image_format() -> None:
    assert fields_of("scene-caption", "webp") == ("webp", "txt", "cls", "json")


@pytest.mark.parametrize("scores", [SCORES, []], ids=["scores", "no scores"])
def test_a_readme_with_these_features_makes_datasets_read_these_types(
    tmp_path: Path, scores: list[str]
) -> None:
    from datasets import ClassLabel, Features, Image, Value, load_dataset

    labels = load_label_set("eurosat")
    info = {
        "dataset_info": {"features": features("scene-caption", labels, "jpg", scores)},
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.tar"}]}
        ],
    }
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(info, sort_keys=False)}---\n# Painted\n")
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "train-00000.tar").open("wb") as file:
        writer = TarWriter(file)
        for index in range(7):
            # The first five are whole numbers: without declared types 1.5 would be read as 1.
            number = 1.0 if index < 5 else 1.5
            values = record(scores) | {"guidance_scale": number, "key": sample_key(index)}
            fields = {"jpg": _pixel(), "txt": b"a forest", "cls": b"1", "json": json.dumps(values).encode()}
            writer.write(sample_bytes(sample_key(index), fields))
        writer.close()
    data = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    struct = {key: Value({str: "string", int: "int64", float: "float64", bool: "bool"}[kind])
              for key, kind in RECORD.items() if key != "scores"}  # fmt: skip
    if scores:
        struct["scores"] = {name: Value("float64") for name in scores}
    assert data.features == Features(
        {
            "__key__": Value("string"),
            "jpg": Image(),
            "txt": Value("string"),
            "cls": ClassLabel(names=labels.names),
            "json": struct,
        }
    )
    assert data[6]["json"]["guidance_scale"] == 1.5
    assert data.features["cls"].int2str(data[0]["cls"]) == labels.names[1]


def _pixel() -> bytes:
    import io

    from PIL import Image as PillowImage

    out = io.BytesIO()
    PillowImage.new("RGB", (8, 8), (10, 120, 30)).save(out, "JPEG")
    return out.getvalue()
