"""How far the distribution of synthetic images is from that of real ones, and whether they are copies."""

from synrs_data.evaluate.distribution.clip_score import caption_agreement
from synrs_data.evaluate.distribution.compare import compare
from synrs_data.evaluate.distribution.frechet import frechet_distance
from synrs_data.evaluate.distribution.kernels import cmmd, kernel_distance
from synrs_data.evaluate.distribution.memorisation import nearest_to_training, training_neighbours
from synrs_data.evaluate.distribution.neighbours import shares

__all__ = [
    "caption_agreement",
    "cmmd",
    "compare",
    "frechet_distance",
    "kernel_distance",
    "nearest_to_training",
    "shares",
    "training_neighbours",
]
