"""A folder of labelled "real" images that are painted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def paint(seed: int, side: int = 16) -> NDArray[np.uint8]:
    """Return an image of large blocks, another for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return blocks.repeat(side // 4, axis=0).repeat(side // 4, axis=1)


def real_folder(
    root: Path, labels: Sequence[str] = ("Forest", "River"), count: int = 4, side: int = 16
) -> Path:
    """Write `count` PNG files for each label, `root/LABEL/N.png`, and return the folder."""
    for number, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(paint(100 * number + index, side)).save(root / label / f"{index}.png")
    return root
