"""Evaluation: benchmarks, baselines, statistics, and results that can be computed again from their predictions."""

from synrs_data.evaluate.benchmark import (
    Benchmark,
    Classification,
    Retrieval,
    SuperResolution,
    load_benchmark,
    load_classification,
)
from synrs_data.evaluate.results import Result, read_result
from synrs_data.evaluate.run import evaluate
from synrs_data.evaluate.verify import differences

__all__ = [
    "Benchmark",
    "Classification",
    "Result",
    "Retrieval",
    "SuperResolution",
    "differences",
    "evaluate",
    "load_benchmark",
    "load_classification",
    "read_result",
]
