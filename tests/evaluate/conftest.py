"""A written result of the tiny benchmark, and the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.evaluate import Benchmark, evaluate, load_benchmark
from synrs_data.evaluate.run import make_baseline
from tests.evaluate.tiny import features_values, write_benchmark, write_features


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return load_benchmark(str(write_benchmark(tmp_path, features_values())))


@pytest.fixture
def result(tmp_path: Path, benchmark: Benchmark) -> Path:
    baseline = make_baseline(f"features:file={write_features(tmp_path / 'model.safetensors')}", "cpu")
    evaluate(benchmark, baseline, tmp_path / "result", device="cpu")
    return tmp_path / "result"
