"""Baselines: what gives each class a score for each item of a benchmark."""

from synrs_data.evaluate.baselines.base import Baseline, BaselineRecord, Scores

__all__ = ["Baseline", "BaselineRecord", "Scores"]
