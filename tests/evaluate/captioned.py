"""A tiny benchmark of retrieval: painted images with captions that say their colours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel

from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, in_domain
from synrs_data.evaluate.benchmark import AnyBenchmark, Retrieval, load_benchmark
from tests.evaluate.tiny import jpeg

COLOURS = {"red": (220, 10, 10), "green": (10, 220, 10), "blue": (10, 10, 220), "grey": (90, 90, 90)}

CAPTIONS = {
    "a/red.jpg": ["a red field", "red soil"],
    "a/green.jpg": ["a green field", "grass", "much green"],
    "b/blue.jpg": ["a blue lake", "grass"],
    "b/grey.jpg": ["a grey town"],
}

METRICS = ("i2t-r@1", "t2i-r@1", "mean-recall", "i2t-r@1:dedup-caption", "mean-recall:dedup-caption")


def karpathy(captions: dict[str, list[str]], split: str = "test") -> str:
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": text, "tokens": []} for text in texts]}
        for name, texts in captions.items()
    ]
    other = {"filename": "gone.jpg", "split": "train", "sentences": [{"raw": "not in the test"}]}
    return json.dumps({"images": [other, *images], "dataset": "tiny"})


def paint(folder: Path) -> Path:
    """Write the images and their captions; return their folder."""
    for name in CAPTIONS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(COLOURS[path.stem]))
    (folder / "dataset_tiny.json").write_text(karpathy(CAPTIONS))
    return folder


def retrieval_values(**changed: Any) -> dict[str, Any]:
    """Return the keys of the benchmark; `dataset` is merged, all else replaced."""
    dataset = {
        "kind": "captions",
        "name": "tinycaptions",
        "captions": "dataset_tiny.json",
        "images": 4,
        "sentences": 8,
        "get": "paint them again",
    }
    values = {
        "id": "tiny-retrieval",
        "version": 1,
        "title": "Four painted images",
        "task": "retrieval",
        "dataset": dataset | changed.pop("dataset", {}),
        "capitalize": False,
        "metrics": [{"name": name, "direction": "higher"} for name in METRICS],
        "license": "cc0-1.0",
        "leak_policy": "none",
    }
    return values | changed


def retrieval(folder: Path, **changed: Any) -> Retrieval:
    path = folder / "tiny-retrieval.yaml"
    path.write_text(yaml.safe_dump(retrieval_values(**changed)))
    found = load_benchmark(str(path))
    assert isinstance(found, Retrieval)
    return found


class Painter:
    """An encoder of mean colours, and of captions by the colours that they name; it keeps the texts it is given."""

    Options: type[BaseModel] = BaselineOptions
    name = "painter"
    tasks = ("retrieval",)

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"encoder": "painter-1"}

    def record(self, benchmark: AnyBenchmark) -> BaselineRecord:
        return BaselineRecord(
            name=self.name,
            method="painter",
            model="painter",
            weights_sha256=None,
            preprocessing={},
            trained_on=("tinycaptions",),
            in_domain=in_domain(("tinycaptions",), benchmark),
        )

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.stack([image.mean(axis=(0, 1)) for image in images]).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return np.array(
            [next((rgb for name, rgb in COLOURS.items() if name in text.lower()), (10, 200, 100)) for text in texts],
            dtype=np.float32,
        )  # fmt: skip
