"""Grey levels of an image, as the measures of its structure take it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in ITU-R BT.601."""


def grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luma of an RGB image, (height, width), 0 to 255, not rounded."""
    levels: NDArray[np.float64] = image.astype(np.float64) @ LUMA
    return levels
