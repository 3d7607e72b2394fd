"""Filters: scores of every candidate, from which `select` makes verdicts."""

from synrs_data.filters.base import Batch, Filter

__all__ = ["Batch", "Filter"]
