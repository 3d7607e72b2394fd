"""Compare a shard with itself made again: sample by sample, byte by byte or within a tolerance."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.image_sources.listing import has_image_ending
from synrs_data.shards import members

MEAN_TOLERANCE = 2.0
MAX_TOLERANCE = 32
SCORE_TOLERANCE = 0.02

_FREE = frozenset({"scores", "software"})
"""Keys of a record that may differ with versions and device."""


@dataclass(slots=True)
class Comparison:
    """What differs between two shards of the same samples.

    Attributes:
        samples: How many were compared.
        faults: What is wrong with each sample that is not as it should be, one sentence a sample.
        pixel_max: Largest difference of a value of a pixel, 0 to 255.
        pixel_mean: Mean difference over all values of all pixels.
        score_max: Largest difference of a score, as a share of it where it is above one.
    """

    samples: int = 0
    faults: list[str] = field(default_factory=list)
    pixel_max: int = 0
    score_max: float = 0.0
    _pixel_sum: float = 0.0
    _pixels: int = 0

    @property
    def pixel_mean(self) -> float:
        """Mean difference over all values of all pixels."""
        return self._pixel_sum / max(1, self._pixels)

    def add_pixels(self, differences: NDArray[np.int16]) -> None:
        """Count the absolute differences of two images."""
        self.pixel_max = max(self.pixel_max, int(differences.max(initial=0)))
        self._pixel_sum += float(differences.sum(dtype=np.int64))
        self._pixels += differences.size


def compare_shards(published: Path, rebuilt: Path, *, exact: bool) -> Comparison:
    """Compare two tars of samples.

    Args:
        published: The tar as it was published.
        rebuilt: The tar as it was made again.
        exact: Whether any byte that differs is a fault. If not, captions, labels and records must be equal but for
            `software` and `scores`; scores may differ by `SCORE_TOLERANCE` (as a share where they are above one),
            and an image by `MEAN_TOLERANCE` in the mean and `MAX_TOLERANCE` in one value, of 255.

    Raises:
        VerificationError: One of them is no whole tar.
    """
    found = Comparison()
    for before, after in zip_longest(members(published), members(rebuilt)):
        found.samples += 1
        if before is None or after is None or before[0] != after[0]:
            was, now = (item[0] if item else "missing" for item in (before, after))
            found.faults.append(f"sample {was} is {now} now")
            continue
        try:
            faults = _sample_faults(before[1], after[1], found, exact=exact)
        except Exception as error:  # noqa: BLE001 - each of Pillow's decoders raises errors of its own
            faults = [f"cannot be read: {error}"]
        if faults:
            found.faults.append(f"sample {before[0]}: {'; '.join(faults)}")
    return found


def _sample_faults(
    before: dict[str, bytes], after: dict[str, bytes], found: Comparison, *, exact: bool
) -> list[str]:
    if before.keys() != after.keys():
        return [f"has the fields {', '.join(after)} now, not {', '.join(before)}"]
    faults: list[str] = []
    for name, content in before.items():
        if name == "json":
            faults += _record_faults(json.loads(content), json.loads(after[name]), found, exact=exact)
        elif has_image_ending(f".{name}"):
            faults += _image_faults(name, content, after[name], found, exact=exact)
        elif content != after[name]:
            faults.append(f"{name} differs")
    return faults


def _image_faults(name: str, before: bytes, after: bytes, found: Comparison, *, exact: bool) -> list[str]:
    old, new = _decode(before), _decode(after)
    if old.shape != new.shape:
        return [f"{name} is {new.shape[1]} x {new.shape[0]} now, not {old.shape[1]} x {old.shape[0]}"]
    differences = np.abs(old - new)
    found.add_pixels(differences)
    largest, mean = int(differences.max(initial=0)), float(differences.mean())
    if exact and before != after:
        return [f"{name} differs by up to {largest} of 255" if largest else f"{name} is encoded otherwise"]
    if not exact and (mean > MEAN_TOLERANCE or largest > MAX_TOLERANCE):
        return [f"{name} differs by {mean:.2f} in the mean and up to {largest} of 255"]
    return []


def _decode(content: bytes) -> NDArray[np.int16]:
    with PillowImage.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def _record_faults(
    before: dict[str, Any], after: dict[str, Any], found: Comparison, *, exact: bool
) -> list[str]:
    free = frozenset[str]() if exact else _FREE
    names = [key for key in before.keys() | after.keys() if key not in free]
    faults = [
        f"'{key}' is {after.get(key)!r}, was {before.get(key)!r}"
        for key in sorted(names)
        if before.get(key) != after.get(key) and key != "scores"
    ]
    old, new = before.get("scores", {}), after.get("scores", {})
    if old.keys() != new.keys():
        return [*faults, "has other scores"]
    for key, value in old.items():
        distance = abs(value - new[key]) / max(1.0, abs(value))
        found.score_max = max(found.score_max, distance)
        if (exact and value != new[key]) or not math.isfinite(distance) or distance > SCORE_TOLERANCE:
            faults.append(f"score '{key}' is {new[key]:.6g}, was {value:.6g}")
    return faults
