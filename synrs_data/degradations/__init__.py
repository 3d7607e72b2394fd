"""Ways to make the low-resolution image of a pair from its high-resolution one."""

from synrs_data.degradations.base import Degradation, Parameters

__all__ = ["Degradation", "Parameters"]
