"""Zero-shot classification: a class is the ensemble of its prompts' embeddings, an image belongs to the nearest one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synrs_data.evaluate.parts import Ensemble

Embeddings = NDArray[np.float64]


def class_embeddings(texts: NDArray[np.floating], rule: Ensemble) -> Embeddings:
    """Return one L2-normalised embedding a class, (classes, width).

    "normalise-mean-normalise" is `zero_shot_classifier` of LAION-AI/CLIP_benchmark and of open_clip;
    "mean-normalise" is om-ai-lab/RS5M, inference/inference_tool.py.

    Args:
        texts: Raw embeddings of each prompt of each class, (prompts, classes, width).
        rule: The benchmark's.
    """
    raw = np.asarray(texts, dtype=np.float64)
    return normalise((normalise(raw) if rule == "normalise-mean-normalise" else raw).mean(axis=0))


def cosines(images: NDArray[np.floating], classes: Embeddings) -> NDArray[np.float32]:
    """Return the cosine of each image with each class, (n, classes).

    They are rounded to 32 bits before a class is chosen: what is stored decides, so it can be checked.

    Args:
        images: Embeddings, (n, width).
        classes: Normalised embeddings, (classes, width).
    """
    return np.asarray(normalise(np.asarray(images, dtype=np.float64)) @ classes.T, dtype=np.float32)


def normalise(vectors: NDArray[np.float64]) -> Embeddings:
    """Return vectors of length one along the last axis; a vector of zeros becomes NaN, which results refuse."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float64)
