"""The fields of a sample and the types of its JSON record.

Readers of WebDataset infer types from the first five samples and drop or cast what comes later, so every
record has every key with one fixed type, and the dataset card declares the same types.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from synrs_data.vocabulary import LabelSet

RECORD: dict[str, type] = {
    "key": str,
    "task": str,
    "label": int,
    "label_name": str,
    "caption": str,
    "caption_source": str,
    "prompt": str,
    "negative_prompt": str,
    "seed": int,
    "shard": int,
    "index": int,
    "generator": str,
    "model": str,
    "model_revision": str,
    "model_sha256": str,
    "model_license": str,
    "pipeline": str,
    "scheduler": str,
    "steps": int,
    "guidance_scale": float,
    "parameters": str,
    "geo": str,
    "derived_from": str,
    "width": int,
    "height": int,
    "license": str,
    "synthetic": bool,
    "digital_source_type": str,
    "recipe": str,
    "recipe_fingerprint": str,
    "software": str,
    "scores": dict,
}
"""Keys and types of a scene-caption sample's JSON; `parameters` and `geo` are JSON texts, `scores` numbers.

A recipe without filters has no `scores`: Arrow has no use for an object without keys.
"""

PAIR_RECORD: dict[str, type] = {
    "scale": int,
    "lr_width": int,
    "lr_height": int,
    "degradation": str,
    "degradation_parameters": str,
}
"""Keys and types that the JSON of a low-/high-resolution pair has besides; `degradation_parameters` is JSON text."""

LR, HR = "lr.png", "hr.png"
"""Fields of a low-/high-resolution pair."""

_DTYPES = {str: "string", int: "int64", float: "float64", bool: "bool"}


def image_fields(task: str, image_format: str) -> tuple[str, ...]:
    """Return the fields that hold the images of a task, without those that its generator started from."""
    return (LR, HR) if task == "lr-hr" else (image_format,)


def fields_of(task: str, image_format: str, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the fields that every sample of a task has, those of its generator (`extra`) last."""
    texts = ("json",) if task == "lr-hr" else ("txt", "cls", "json")
    return (*image_fields(task, image_format), *texts, *extra)


def record_of(task: str, scores: list[str]) -> dict[str, type]:
    """Return keys and types of the JSON of a task's samples."""
    keys = RECORD | (PAIR_RECORD if task == "lr-hr" else {})
    scored = {"scores": keys.pop("scores")}
    return keys | (scored if scores else {})


def check_record(record: Any, task: str, scores: list[str]) -> list[str]:
    """Return what is wrong with a record of a task, one sentence a fault."""
    if not isinstance(record, dict):
        return ["the JSON is no object"]
    expected = record_of(task, scores)
    faults = [f"'{key}' is missing" for key in expected if key not in record]
    faults += [f"'{key}' is unknown" for key in record if key not in expected]
    for key, kind in expected.items():
        # bool is a subclass of int in Python, not in Arrow.
        if key in record and type(record[key]) is not kind:
            faults.append(f"'{key}' is {type(record[key]).__name__}, not {kind.__name__}")
    found = record.get("scores")
    if isinstance(found, dict):
        if list(found) != scores:
            faults.append(
                f"'scores' has {', '.join(found) or 'nothing'}, not {', '.join(scores) or 'nothing'}"
            )
        faults += [
            f"score '{key}' is no finite number"
            for key, value in found.items()
            if type(value) is not float or not math.isfinite(value)
        ]
    return faults


def features(
    task: str, labels: LabelSet, image_format: str, scores: list[str], extra: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the features of a sample as the YAML of a dataset card declares them.

    Args:
        task: The recipe's task.
        labels: The label set.
        image_format: Extension of the image field.
        scores: Names of the scores that records hold.
        extra: Fields of images that the generator adds.
    """
    struct: list[dict[str, Any]] = [
        {"name": key, "dtype": _DTYPES[kind]} for key, kind in record_of(task, []).items()
    ]
    if scores:
        struct.append({"name": "scores", "struct": [{"name": name, "dtype": "float64"} for name in scores]})
    names = {str(index): name for index, name in enumerate(labels.names)}
    texts: list[dict[str, Any]] = [
        {"name": "txt", "dtype": "string"},
        {"name": "cls", "dtype": {"class_label": {"names": names}}},
    ]
    return [
        {"name": "__key__", "dtype": "string"},
        *({"name": name, "dtype": "image"} for name in (*image_fields(task, image_format), *extra)),
        *(texts if task != "lr-hr" else []),
        {"name": "json", "struct": struct},
    ]
