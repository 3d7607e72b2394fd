"""A written result of the tiny benchmark, and the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.evaluate import Classification, evaluate, load_classification
from synrs_data.evaluate.run import make_baseline
from tests.evaluate.tiny import features_values, write_benchmark, write_features


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep features of tests out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def benchmark(tmp_path: Path) -> Classification:
    return load_classification(str(write_benchmark(tmp_path, features_values())))


@pytest.fixture
def result(tmp_path: Path, benchmark: Classification) -> Path:
    baseline = make_baseline(f"features:file={write_features(tmp_path / 'model.safetensors')}", "cpu")
    evaluate(benchmark, baseline, tmp_path / "result", device="cpu")
    return tmp_path / "result"
