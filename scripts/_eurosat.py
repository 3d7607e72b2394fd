"""EuroSAT pools as arrays, and what all training scripts share."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

REPO = Path(__file__).resolve().parent.parent
DEFAULT_DATA = REPO.parent / "shared" / "data" / "eurosat_rgb"
EMBEDDED = REPO / "synrs_data" / "models" / "embedded"

#: Folder names of EuroSAT, in the alphabetical order that is the class index, and the words a caption uses.
LABELS: dict[str, str] = {
    "AnnualCrop": "annual crop land",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway",
    "Industrial": "industrial buildings",
    "Pasture": "pasture",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential buildings",
    "River": "river",
    "SeaLake": "sea or lake",
}
CLASSES = tuple(LABELS)


@dataclass(frozen=True, slots=True)
class Pool:
    """Images of one pool: `images` uint8 (n, 3, 64, 64), `labels` int64 (n,), file `names`."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def subset(self, keep: np.ndarray) -> Pool:
        """The images where the boolean mask `keep` holds."""
        index = torch.from_numpy(np.flatnonzero(keep))
        return Pool(self.images[index], self.labels[index], tuple(self.names[int(i)] for i in index))

    def __len__(self) -> int:
        return len(self.names)


def load_pool(data: Path, pool: str) -> Pool:
    """Decode every image of `pool` (`generator`, `real` or `test`) that `pools.csv` names."""
    with (data / "pools.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["pool"] == pool]
    if not rows:
        raise SystemExit(f"{data / 'pools.csv'}: no image belongs to pool {pool!r}")
    arrays = [np.asarray(Image.open(data / row["path"]).convert("RGB")) for row in rows]
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([CLASSES.index(row["label"]) for row in rows])
    return Pool(images, labels, tuple(row["path"] for row in rows))


def held_out(names: tuple[str, ...]) -> np.ndarray:
    """Mask of the tenth of a pool (by hash of the name) that is kept for tuning and never trained on."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.array([int.from_bytes(digest, "big") % 10 == 0 for digest in digests])


def tuning_split(data: Path) -> tuple[Pool, Pool]:
    """Pool `generator` cut into (train, held-out for tuning)."""
    pool = load_pool(data, "generator")
    mask = held_out(pool.names)
    return pool.subset(~mask), pool.subset(mask)


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float -1..1, the range of the autoencoder."""
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Float -1..1 to uint8, as an image file stores it."""
    return images.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def dihedral(images: Tensor, kind: int) -> Tensor:
    """One of the eight symmetries of the square; seen from above, all are equally likely scenes."""
    turned = torch.rot90(images, kind % 4, (-2, -1))
    return turned.flip(-1) if kind >= 4 else turned


def random_dihedral(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image under a symmetry of its own."""
    kinds = torch.randint(8, (len(images),), generator=generator)
    result = torch.empty_like(images)
    for kind in range(8):
        mask = kinds == kind
        result[mask] = dihedral(images[mask], kind)
    return result


def random_shift(images: Tensor, generator: torch.Generator, reach: int = 4) -> Tensor:
    """One shift per batch of up to `reach` pixels, reflected at the border."""
    dy, dx = torch.randint(2 * reach + 1, (2,), generator=generator).tolist()
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="reflect")
    return padded[..., dy : dy + height, dx : dx + width]


def save_atomic(value: Any, path: Path) -> None:
    """`torch.save` that a kill cannot leave half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    torch.save(value, temporary)
    temporary.replace(path)


class Budget:
    """Minutes spent over all runs of one job: the learning rate follows the clock, not the step."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.minutes = minutes
        self._start = time.monotonic() - spent * 60

    @property
    def spent(self) -> float:
        """Minutes since the job began, without the time between two runs."""
        return (time.monotonic() - self._start) / 60

    @property
    def fraction(self) -> float:
        """Share of the budget that is gone, 0 to 1."""
        return min(1.0, self.spent / self.minutes)

    def rate(self, peak: float, warm: float = 0.02) -> float:
        """Learning rate now: linear warm-up over the share `warm`, then a cosine down to zero."""
        if self.fraction < warm:
            return peak * max(self.fraction / warm, 0.01)
        return float(peak * 0.5 * (1 + np.cos(np.pi * (self.fraction - warm) / (1 - warm))))


class Log:
    """JSONL of the losses: one object a line, flushed, appended to on resume."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, **values: float | int | str) -> None:
        """Append one line to the file and to the terminal."""
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        print(line, file=self._file, flush=True)
        print(line, flush=True)
