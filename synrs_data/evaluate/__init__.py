"""Evaluation: benchmarks, baselines, statistics, and results that can be computed again from their predictions."""

from synrs_data.evaluate.benchmark import Benchmark, load_benchmark
from synrs_data.evaluate.results import Result, read_result
from synrs_data.evaluate.run import evaluate
from synrs_data.evaluate.verify import differences

__all__ = ["Benchmark", "Result", "differences", "evaluate", "load_benchmark", "read_result"]
