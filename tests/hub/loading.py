"""What a stranger does with a published dataset, in a process that has `datasets` and nothing of ours."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import datasets

Rows = dict[str, dict[str, Any]]
"""Fields by key: the sha256 of an image's bytes, other values as they are."""


def load(repo: str, config: str, split: str, cache: Path, *, streaming: bool) -> Rows:
    """Load a split of a config.

    Raises:
        RuntimeError: The package is imported here, so that the test would prove nothing.
    """
    if ours := [name for name in sys.modules if name.startswith("synrs_data")]:
        raise RuntimeError(f"imported: {ours}")
    loaded = datasets.load_dataset(repo, config, split=split, streaming=streaming, cache_dir=str(cache))
    for name, kind in loaded.features.items():
        if isinstance(kind, datasets.Image):
            loaded = loaded.cast_column(name, datasets.Image(decode=False))
    return {row["__key__"].rsplit("/")[-1]: _values(row) for row in loaded}


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: hashlib.sha256(value["bytes"]).hexdigest()
        if isinstance(value, dict) and value.keys() == {"bytes", "path"}
        else value
        for name, value in row.items()
        if not name.startswith("__")
    }
