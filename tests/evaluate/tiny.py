"""Tiny benchmarks: saved features of six items of three classes, and four painted images of two."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel
from safetensors.numpy import save_file

from synrs_data.evaluate import Classification
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items
from synrs_data.evaluate.parts import labels_digest, prompts_digest
from synrs_data.shards.tar import TarWriter, sample_bytes
from tests.real_folder import real_folder

CLASSES = ["field", "lake", "town"]
PROMPTS = ("a photo of a", "an aerial view of the")
LABELS = [0, 1, 2, 2, 1, 0]
WIDTH = 8

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Real data, where the machine has them."""


def tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "image_features": rng.normal(size=(len(LABELS), WIDTH)).astype(np.float32),
        "labels": np.array(LABELS, dtype=np.int64),
        "text_features": rng.normal(size=(len(PROMPTS), len(CLASSES), WIDTH)).astype(np.float32),
    }


def write_features(
    path: Path,
    changed: dict[str, NDArray[Any]] | None = None,
    metadata: dict[str, str] | None = None,
    *,
    seed: int = 0,
) -> Path:
    """Write features of the tiny benchmark; `changed` replaces tensors, `metadata` replaces entries of it."""
    texts = {"classes": json.dumps(CLASSES), "prompts": json.dumps(PROMPTS)}
    save_file(tensors(seed) | (changed or {}), path, metadata=texts | (metadata or {}))
    return path


def features_values(**changed: Any) -> dict[str, Any]:
    """Return the keys of the benchmark of saved features; `dataset` is merged, all else replaced."""
    dataset = {
        "kind": "features",
        "name": "tinyset",
        "count": len(LABELS),
        "labels_sha256": labels_digest(CLASSES, LABELS),
        "get": "make the features anew",
    }
    values = {
        "id": "tiny",
        "version": 1,
        "title": "Six items",
        "task": "classification",
        "dataset": dataset | changed.pop("dataset", {}),
        "classes": CLASSES,
        "prompts": {"name": "own", "count": len(PROMPTS), "sha256": prompts_digest(PROMPTS)},
        "ensemble": "normalise-mean-normalise",
        "metrics": [
            {"name": "top1", "direction": "higher", "chance": 1 / 3},
            {"name": "mean-per-class", "direction": "higher", "chance": 1 / 3},
        ],
        "license": "cc0-1.0",
        "leak_policy": "none",
    }
    return values | changed


def write_benchmark(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / f"{values['id']}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def jpeg(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "JPEG")
    return file.getvalue()


def images_values(folder: Path) -> dict[str, Any]:
    """Write a tar and a table of four test images and two to train with; return the keys of their benchmark."""
    colours = [(20, 90, 30), (10, 80, 20), (20, 40, 120), (10, 30, 110), (0, 0, 0), (0, 0, 50)]
    labels = ["Forest", "Forest", "SeaLake", "SeaLake", "Forest", "SeaLake"]
    lines = ["key,split,label,sha256"]
    with (folder / "images.tar").open("wb") as file:
        tar = TarWriter(file)
        for number, (colour, label) in enumerate(zip(colours, labels, strict=True)):
            content, key = jpeg(colour), f"{number:09d}"
            tar.write(sample_bytes(key, {"jpg": content}))
            split = "test" if number < 4 else "train"
            lines.append(f"{key},{split},{label},{hashlib.sha256(content).hexdigest()}")
        tar.close()
    (folder / "items.csv").write_text("\n".join(lines) + "\n")
    return features_values(
        id="painted",
        classes=[
            {"name": "Forest", "phrase": "forest", "article": "a"},
            {"name": "SeaLake", "phrase": "sea or lake", "article": "a"},
        ],
        prompts={
            "name": "clip-eurosat",
            "count": 3,
            "sha256": "006a19bc32d290665142c6f44d972b22629c9832407d172b8a35c3bc98b8e37c",
        },
    ) | {
        "dataset": {
            "kind": "images",
            "name": "painted",
            "splits": {"test": "test", "train": "train"},
            "images": "images.tar",
            "images_sha256": hashlib.sha256((folder / "images.tar").read_bytes()).hexdigest(),
            "items": "items.csv",
            "items_sha256": hashlib.sha256((folder / "items.csv").read_bytes()).hexdigest(),
            "get": "paint them again",
        }
    }


def folder_values(folder: Path, **dataset: Any) -> dict[str, Any]:
    """Write a folder of twelve images for each of two classes; return the keys of a benchmark by a rule."""
    real_folder(folder / "Pictures", ("Forest", "River"), count=12)
    source = {
        "kind": "source",
        "name": "blocks",
        "path": "Pictures",
        "rule": {"train": 0.5, "images": 24, "salt": "blocks-1"},
        "get": "paint the blocks again",
    }
    return features_values(
        id="blocks",
        classes=["Forest", "River"],
        prompts={
            "name": "clip-eurosat",
            "count": 3,
            "sha256": "006a19bc32d290665142c6f44d972b22629c9832407d172b8a35c3bc98b8e37c",
        },
        metrics=[
            {"name": "top1", "direction": "higher", "chance": 0.5},
            {"name": "mean-per-class", "direction": "higher", "chance": 0.5},
        ],
    ) | {"dataset": {key: value for key, value in (source | dataset).items() if value is not None}}


class Colours:
    """An encoder whose features are an image's mean colours by quarter; it counts the images that it embeds."""

    Options: type[BaseModel] = BaselineOptions
    name = "colours"

    def __init__(self) -> None:
        self.embedded = 0

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"encoder": "colours-1"}

    def record(self, benchmark: Classification) -> BaselineRecord:
        return BaselineRecord(
            name=self.name,
            method="colours",
            model="colours",
            weights_sha256=None,
            preprocessing={},
            trained_on=(),
            in_domain=False,
        )

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.embedded += len(images)
        return np.stack([self._feature(image) for image in images])

    @staticmethod
    def _feature(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        half = image.shape[0] // 2
        parts = (image[:half, :half], image[:half, half:], image[half:, :half], image[half:, half:])
        values = np.concatenate([part.mean(axis=(0, 1)) for part in parts]).astype(np.float32)
        return np.asarray(values / np.linalg.norm(values), dtype=np.float32)

    def class_features(self, benchmark: Classification) -> NDArray[np.float32]:
        return np.eye(len(benchmark.classes), 12, dtype=np.float32)

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        assert data is not None
        features = cache.features(self, data.test)
        values = np.ascontiguousarray(features[:, : len(benchmark.classes)])
        return Scores(Items(data.test.keys, data.test.labels), values, self.record(benchmark))
