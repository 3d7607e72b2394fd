"""Super-resolution: metrics of an image, a small network that can be trained, baselines, pairs, tables of values."""

from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.pairs import Pair
from synrs_data.evaluate.super_resolution.upscalers import Upscaler, UpscalerRecord, make_upscaler
from synrs_data.evaluate.super_resolution.values import means, measure, recompute

__all__ = [
    "MetricSet",
    "Pair",
    "Upscaler",
    "UpscalerRecord",
    "make_upscaler",
    "means",
    "measure",
    "recompute",
]
