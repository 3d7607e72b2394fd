"""Zero-shot from saved features: a safetensors file of image and prompt embeddings, so no weights are needed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions, BaselineRecord, Scores, in_domain
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.data import Data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.items import Items, row_keys
from synrs_data.evaluate.parts import SavedFeatures, labels_digest
from synrs_data.evaluate.zero_shot import class_embeddings, cosines

_TENSORS = {
    "image_features": ("F16", "F32", "F64"),
    "labels": ("I64", "I32"),
    "text_features": ("F16", "F32", "F64"),
}
"""Tensors of a file and what numbers they may hold, as safetensors names them."""

_FORMAT = (
    "write image_features (items, width), labels (items,) and text_features (prompts, classes, width), with the "
    "metadata `classes` and `prompts` as JSON lists"
)


class FeaturesOptions(BaselineOptions):
    """Options of `features`."""

    file: str = Field(
        "", description="The safetensors file; by default `path` of the benchmark's `dataset`, if it has one."
    )


@dataclass(frozen=True, slots=True)
class _File:
    images: NDArray[np.floating]
    labels: NDArray[np.int64]
    texts: NDArray[np.floating]
    classes: list[str]
    prompts: tuple[str, ...]


class Features:
    """Features that somebody saved.

    Args:
        options: Which file.
        device: Unused: cosines of saved features are taken on the CPU.
    """

    Options = FeaturesOptions

    def __init__(self, options: FeaturesOptions, device: str) -> None:
        self._options = options
        self.name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(options.file).stem).strip("-._") or "features"

    def score(self, benchmark: Classification, data: Data | None, cache: FeatureCache) -> Scores:
        """Take the cosines of features that were saved for this benchmark: of its items, classes and prompts."""
        path = self._path(benchmark)
        saved = _read(path)
        if saved.classes != benchmark.class_names:
            raise UserError(
                _class_difference(saved.classes, benchmark.class_names), where=str(path), fix=_FORMAT
            )
        benchmark.check_prompts(saved.prompts, where=str(path))
        record = BaselineRecord(
            name=self.name,
            method="features",
            model=path.name,
            weights_sha256=files.sha256(path),
            preprocessing={},
            trained_on=self._options.trained_on,
            in_domain=in_domain(self._options.trained_on, benchmark),
        )
        classes = class_embeddings(saved.texts, benchmark.ensemble)
        return Scores(_items(saved, benchmark, data, path), cosines(saved.images, classes), record)

    def _path(self, benchmark: Classification) -> Path:
        dataset = benchmark.dataset
        if self._options.file:
            path = Path(self._options.file)
        elif isinstance(dataset, SavedFeatures) and dataset.path:
            path = benchmark.at(dataset.path)
        else:
            raise UserError(
                "the baseline 'features' needs a file",
                fix=dataset.get if isinstance(dataset, SavedFeatures) else "give `--features FILE`",
            )
        if not files.exists(path) or not path.is_file():
            raise UserError("there is no such file of features", where=str(path), fix=dataset.get)
        return path


def _items(saved: _File, benchmark: Classification, data: Data | None, path: Path) -> Items:
    """Return the benchmark's items after checking that the file is of them, in their order."""
    dataset = benchmark.dataset
    if not isinstance(dataset, SavedFeatures):
        assert data is not None
        items = Items(data.test.keys, data.test.labels)
        if saved.labels.tolist() != items.labels.tolist():
            raise UserError(
                f"its {len(saved.labels)} labels are not those of the {len(items.labels)} items of '{benchmark.id}'",
                where=str(path),
                fix="save the features of the images of its test split, in the order of its table of items",
            )
        return items
    found = labels_digest(saved.classes, saved.labels.tolist())
    if (found, len(saved.labels)) != (dataset.labels_sha256, dataset.count):
        raise UserError(
            f"its {len(saved.labels)} items are not the {dataset.count} of '{benchmark.id}': the sha256 of classes and "
            f"labels is {found}, not {dataset.labels_sha256}",
            where=str(path),
            fix=dataset.get,
        )
    return Items(row_keys(dataset.count), saved.labels)


def _read(path: Path) -> _File:
    """Read a file of features and check that its parts fit each other."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = set(file.keys())
            types = {name: file.get_slice(name).get_dtype() for name in names & _TENSORS.keys()}
            fault = _fault(types, metadata)
            tensors = {} if fault else {name: file.get_tensor(name) for name in _TENSORS}
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot be read as safetensors: {error}", where=str(path), fix=_FORMAT) from error
    if not fault:
        lists = {name: _names(metadata[name]) for name in ("classes", "prompts")}
        fault = _misfit(tensors, lists)
    if fault:
        raise UserError(fault, where=str(path), fix=_FORMAT)
    return _File(
        tensors["image_features"],
        tensors["labels"].astype(np.int64),
        tensors["text_features"],
        lists["classes"],
        tuple(lists["prompts"]),
    )


def _fault(types: dict[str, str], metadata: dict[str, str]) -> str:
    """Return what is missing or of a wrong type; empty if nothing is."""
    missing = [name for name in _TENSORS if name not in types] + [
        f"the metadata `{name}`" for name in ("classes", "prompts") if name not in metadata
    ]
    if missing:
        return f"has no {', '.join(missing)}"
    wrong = [
        f"{name} is {types[name]}, not {' or '.join(known)}"
        for name, known in _TENSORS.items()
        if types[name] not in known
    ]
    return "; ".join(wrong)


def _names(text: str) -> list[str]:
    """Return a JSON list of texts; empty if it is none."""
    try:
        values: Any = json.loads(text)
    except ValueError:
        return []
    return values if isinstance(values, list) and all(isinstance(value, str) for value in values) else []


def _misfit(tensors: dict[str, NDArray[Any]], lists: dict[str, list[str]]) -> str:
    """Return how the shapes or values of the tensors do not fit each other; empty if they do."""
    images, labels, texts = (tensors[name] for name in _TENSORS)
    classes, prompts = len(lists["classes"]), len(lists["prompts"])
    if not classes or not prompts:
        return "its metadata `classes` and `prompts` are not lists of texts"
    items, width = len(labels) if labels.ndim else 0, texts.shape[-1] if texts.ndim else 0
    for name, expected in (
        ("labels", (items,)),
        ("image_features", (items, width)),
        ("text_features", (prompts, classes, width)),
    ):
        if tensors[name].shape != expected:
            return f"{name} has the shape {tensors[name].shape}, not {expected}"
    if not items or not width:
        return "has no items or no features"
    if labels.min() < 0 or labels.max() >= classes:
        return f"has labels from {labels.min()} to {labels.max()}, and {classes} classes"
    for name, values in (("image_features", images), ("text_features", texts)):
        if not np.isfinite(values).all():
            return f"{name} has values that are not finite"
    return ""


def _class_difference(found: list[str], wanted: list[str]) -> str:
    for index, (ours, theirs) in enumerate(zip(wanted, found, strict=False)):
        if ours != theirs:
            return f"its class {index} is '{theirs}', that of the benchmark is '{ours}'"
    return f"it has {len(found)} classes, the benchmark has {len(wanted)}"
