"""Read Croissant with the authors' own library, in a process of its own.

mlcroissant keeps what it unpacks in one folder for all datasets, by relative address, and reads the place of that
folder at import: each reader has its own.

Usage: `python -m tests.croissant_reader FILE [RECORD_SET]...` prints warnings and records as JSON.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

needs_mlcroissant = pytest.mark.skipif(
    importlib.util.find_spec("mlcroissant") is None, reason="the extra `croissant` is not installed"
)


def read_croissant(file: Path, *record_sets: str, cache: Path) -> dict[str, Any]:
    """Return `warnings` and the `records` of each record set, without a network."""
    done = _run(["-m", "tests.croissant_reader", str(file), *record_sets], cache)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def validate(file: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run `mlcroissant validate`, without a network."""
    code = "from mlcroissant.scripts.cli import main; main()"
    return _run(["-c", code, "validate", "--jsonld", str(file)], cache)


def pixels(image: Image.Image) -> str:
    """Return size, mode and digest of the pixels of an image."""
    return f"{image.size} {image.mode} {hashlib.sha256(np.asarray(image).tobytes()).hexdigest()}"


def _run(arguments: Sequence[str], cache: Path) -> subprocess.CompletedProcess[str]:
    nowhere = "http://127.0.0.1:9"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"CROISSANT_CACHE": str(cache), "http_proxy": nowhere, "https_proxy": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Image.Image):
        return pixels(value)
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _main(file: str, record_sets: Sequence[str]) -> None:
    import mlcroissant

    found: dict[str, Any] = {
        "warnings": sorted(mlcroissant.Dataset(file).metadata.issues.warnings),
        "records": {},
    }
    for name in record_sets:
        # A dataset gives the records of a set once: what was read before is used up.
        records = mlcroissant.Dataset(file).records(name)
        found["records"][name] = [
            {field.removeprefix(f"{name}/"): _plain(value) for field, value in record.items()}
            for record in records
        ]
    print(json.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
