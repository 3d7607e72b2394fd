"""Submissions made up for tests: real items and labels of `eurosat-mini`, predictions drawn like a model's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.evaluate import Classification, load_classification
from synrs_data.evaluate.arms import parse_arm, sizes
from synrs_data.evaluate.data import Known, items_of_test, known_data, pinned_content
from synrs_data.evaluate.numbers import compute
from synrs_data.evaluate.results import ArmValue, Bootstrap, Counts, Result, write_predictions, write_result

BENCHMARK = "eurosat-mini"
DIGEST = "a" * 64


def made_predictions(
    labels: NDArray[np.int64], right: float, seed: int, *, classes: int = 10
) -> NDArray[np.int64]:
    """Return predictions that confuse a class with its neighbours, as models do."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.choice([1, 2], size=len(labels), p=[0.8, 0.2])) % classes
    return np.where(rng.random(len(labels)) < right, labels, wrong)


def write_submission(
    folder: Path,
    *,
    name: str = "Model",
    right: Mapping[str, float] | None = None,
    seeds: Sequence[int] = (0,),
    predictions: Callable[[NDArray[np.int64], str, int], NDArray[np.int64]] | None = None,
    synthetic: bool = False,
    first_seed: int = 0,
    trained_on: tuple[str, ...] = ("imagenet",),
    **declared: Any,
) -> Path:
    """Write a submission with one result and return its folder.

    Args:
        folder: Made new.
        name: Of the model.
        right: Share that is right by arm; "real" alone by default.
        seeds: Of the arms.
        predictions: Of labels, arm and seed; by default drawn like a model's.
        synthetic: Whether there is a synthetic set.
        first_seed: Another one draws other predictions.
        trained_on: Of the baseline, also declared.
        declared: Other keys of submission.yaml.
    """
    arms = dict(right or {"real": 0.7})
    benchmark = load_classification(BENCHMARK)
    labels = items_of_test(benchmark)[0].labels

    def draw(arm: str, seed: int) -> NDArray[np.int64]:
        if predictions is not None:
            return predictions(labels, arm, seed)
        return made_predictions(labels, arms[arm], 1000 * first_seed + 10 * list(arms).index(arm) + seed)

    predicted = {arm: np.stack([draw(arm, seed) for seed in seeds]) for arm in arms}
    write_made_result(folder / "results" / "0", benchmark, predicted, seeds, synthetic, trained_on)
    kind = "synthetic-dataset" if synthetic else "baseline"
    values = {
        "name": name,
        "revision": "1.0",
        "kind": kind,
        "authors": ["Ada"],
        "license": "mit",
        "links": {"code": "https://example.org/code"},
        "train_datasets": list(trained_on),
        "benchmarks": [{"id": benchmark.id, "version": benchmark.version, "task_hash": benchmark.task_hash}],
        "description": "Made for a test.",
    }
    (folder / "submission.yaml").write_text(yaml.safe_dump(values | declared, allow_unicode=True))
    return folder


def write_made_result(
    folder: Path,
    benchmark: Classification,
    predicted: Mapping[str, NDArray[np.int64]],
    seeds: Sequence[int],
    synthetic: bool,
    trained_on: tuple[str, ...],
) -> None:
    """Write `result.json` and `predictions.parquet` of predictions by arm, (seeds, n)."""
    known = known_data(benchmark)
    items = known.items
    blocks = [
        pl.DataFrame(
            {"arm": arm, "seed": seed, "key": items.keys, "label": items.labels, "predicted": rows[index]},
            schema_overrides={"seed": pl.Int64, "label": pl.Int64, "predicted": pl.Int64},
        )
        for arm, rows in predicted.items()
        for index, seed in enumerate(seeds)
    ]
    bootstrap = Bootstrap(seed=0)
    numbers = compute(benchmark, items.labels, predicted, bootstrap)
    values = {
        "task_hash": benchmark.task_hash,
        "benchmark": {"id": benchmark.id, "version": benchmark.version, "task": benchmark.task},
        "dataset": {
            "name": benchmark.dataset.name,
            "content_sha256": pinned_content(benchmark),
            "pinned": True,
            "train": sum(known.train),
            "test": len(items.keys),
        },
        "baseline": {
            "name": "made",
            "method": "made",
            "model": "made",
            "weights_sha256": DIGEST,
            "preprocessing": {},
            "trained_on": trained_on,
            "in_domain": benchmark.dataset.name in trained_on,
        },
        "protocol": {"name": "linear-probe", "options": {}},
        "synthetic": made_set() if synthetic else None,
        "environment": {"device": "cpu"},
        "seeds": tuple(seeds),
        "bootstrap": bootstrap,
        "n": len(items.keys),
        "arms": [
            ArmValue(
                name=arm,
                counts=_counts(arm, known),
                metrics=numbers[arm].metrics,
                per_class=numbers[arm].per_class,
            )
            for arm in predicted
        ],
        "predictions": write_predictions(folder, pl.concat(blocks)),
        "wall_seconds": 1.0,
    }
    write_result(folder, Result.model_validate(values))


def _counts(arm: str, known: Known) -> Counts:
    """Return what an arm of that name has; of all images of `made_set` a tenth is to validate on."""
    found = sizes(parse_arm(arm), known.train, known.validation)
    return Counts(
        real=found.real,
        copies=found.copies,
        synthetic=900 if found.synthetic is None else found.synthetic,
        validation=100 if found.validation is None else found.validation,
    )


def made_set() -> dict[str, Any]:
    """Return the record of a synthetic set."""
    return {
        "name": "made",
        "source": "made",
        "revision": "local",
        "manifest_sha256": DIGEST,
        "recipe_fingerprints": {},
        "generator": {"model": "made"},
        "recipe": {"captions": "class-template", "filters": (), "select": {}},
        "candidates": 2000,
        "images": 1000,
        "other_labels": 0,
        "leaks": {"derived_from_train": 0, "derived_from_other": 0, "equal_to_train": 0},
    }


def edit_result(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of a submission's result.json."""
    path = folder / "results" / "0" / "result.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def set_key(values: dict[str, Any], part: str, key: Any, value: object) -> None:
    """Set a key of a part of a result; for `edit_result` in a loop."""
    values[part][key] = value


def edit_declaration(folder: Path, **changed: Any) -> None:
    """Change keys of submission.yaml."""
    path = folder / "submission.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changed, allow_unicode=True))


def edit_table(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the predictions and the digest, as one does who wants to deceive."""
    path = folder / "results" / "0" / "predictions.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    digest = files.sha256(path)
    edit_result(folder, lambda values: values["predictions"].update(sha256=digest))
