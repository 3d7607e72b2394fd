"""Real aerial images for tests of arithmetic on textures, where the shared data lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

_FOLDER = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "ucmerced" / "sr_hr_lossless"


def ucmerced(every: int) -> list[NDArray[np.uint8]]:
    """Return every so many of 126 lossless UC Merced images, 256x256; skip the test where there are none."""
    files = sorted(_FOLDER.glob("*/*.webp"))[::every]
    if not files:
        pytest.skip("the lossless UC Merced images are not beside this checkout")
    return [np.array(Image.open(file).convert("RGB")) for file in files]
