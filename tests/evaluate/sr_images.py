"""Images with the detail of scenes, painted from a seed, and the real pairs if they are here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def scene(seed: int, side: int = 64) -> NDArray[np.uint8]:
    """Return an RGB image of soft shapes and fine grain, (side, side, 3)."""
    random = np.random.default_rng(seed)
    image = np.zeros((side, side, 3))
    for size, weight in ((4, 90.0), (8, 50.0), (16, 30.0), (32, 20.0)):
        blocks = random.standard_normal((size, size, 3)).repeat(-(-side // size), axis=0)
        image += weight * blocks.repeat(-(-side // size), axis=1)[:side, :side]
    return np.clip(128 + image, 0, 255).astype(np.uint8)


def write_images(folder: Path, images: dict[str, NDArray[np.uint8]]) -> Path:
    """Write images as files by their names, and return the folder."""
    for name, image in images.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def realsr() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return the RealSR pairs of the shared data, LR and HR; none where they are not here."""
    found = []
    for path in sorted((DATA / "realsr_pairs" / "lr").glob("*.png")):
        sides = (Image.open(DATA / "realsr_pairs" / side / path.name) for side in ("lr", "hr"))
        low, high = (np.asarray(image.convert("RGB")) for image in sides)
        found.append((low, high))
    return found
