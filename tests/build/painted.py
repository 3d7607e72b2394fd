"""A recipe of painted images: everything of a build but the wait."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from synrs_data.recipe import Recipe
from synrs_data.recipe_file import complete

FINAL = (
    "data",
    "metadata",
    "README.md",
    "samples.jpg",
    "croissant.json",
    "report.html",
    "manifest.json",
    "rejects.parquet",
    "recipe.yaml",
    "build.json",
)


def painted(**changes: Any) -> Recipe:
    """Return the recipe with some keys changed."""
    values: dict[str, Any] = {
        "name": "painted",
        "license": "mit",
        "labels": "eurosat",
        "candidates": 40,
        "shard_size": 8,
        "captions": {"method": "class-template"},
        "generator": {"method": "paint"},
        "filters": [{"method": "ruler"}, {"method": "near-duplicate"}],
        "select": {"splits": {"train": 0.75, "test": 0.25}, "samples_per_shard": 12},
    }
    return complete(values | changes, folder=Path(), where="painted")


def final_hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of every final file of a build, and of its candidates."""
    chosen = [path for name in (*FINAL, "candidates", "captions.jsonl") for path in _below(out / name)]
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in chosen
    }


def _below(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
