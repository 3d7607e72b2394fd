"""Fixtures of all tests: one thread, no network, an installed plugin, a tiny pipeline and a painted build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"

# Set before any test imports torch or huggingface_hub, which read them once.
os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH", "")]))
sys.path.insert(0, str(PLUGIN))


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random diffusers pipeline."""
    from tests.tiny_pipeline import write_tiny_pipeline

    return write_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")
