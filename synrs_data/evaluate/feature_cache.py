"""Features of whole image sets on disk, so that another protocol, arm or set of prompts embeds nothing again.

A file's name is the sha256 over everything its numbers depend on: encoder, preprocessing, device class, versions of
packages, and the bytes of the images in their order. So nothing needs to be thrown away when something changes, and a
file whose numbers are not those of the sha256 inside it is made again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import BuildFolderError
from synrs_data.evaluate.image_set import ImageSet
from synrs_data.evaluate.parts import canonical_digest

_DIGEST = "sha256"

_AT_ONCE = 512
"""Decoded images in memory; the encoder takes smaller batches."""


class Encodes(Protocol):
    """What the cache needs of a baseline."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that its features depend on but the images."""
        ...

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one feature an image, (n, width)."""
        ...


def default_folder() -> Path:
    """Return the user's folder of features, as the XDG base directory specification has it."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "synrs-data" / "features"


class FeatureCache:
    """Features by encoder and image set.

    Args:
        folder: Where they lie; None for `default_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = default_folder() if folder is None else folder

    def features(self, encoder: Encodes, images: ImageSet) -> NDArray[np.float32]:
        """Return the features of a set, (n, width), from disk or from the encoder.

        Raises:
            UserError: An image has changed or cannot be decoded.
            BuildFolderError: The folder cannot be written.
        """
        from safetensors.numpy import save

        name = canonical_digest({**encoder.fingerprint, "images": images.digest()})
        path = self._folder / f"{name}.safetensors"
        found = _read(path, len(images))
        if found is None:
            found = embed(encoder, images)
            try:
                files.make_folder(self._folder)
                files.write_bytes(path, save({"features": found, _DIGEST: _digest(found)}))
            except BuildFolderError as error:
                fix = "free some space, or give `--cache` a folder that you may write to"
                raise BuildFolderError(error.what, where=error.where, fix=fix) from error
        return found


def embed(encoder: Encodes, images: ImageSet) -> NDArray[np.float32]:
    """Return the features of a set, (n, width), from the encoder; while it works, the next images are read."""
    rows, parts = list[int](), list[NDArray[np.float32]]()
    chunks = _chunks(images)
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(next, chunks, None)
        while (some := ahead.result()) is not None:
            ahead = reader.submit(next, chunks, None)
            rows += [row for row, _ in some]
            parts.append(encoder.encode([image for _, image in some]))
    features = np.concatenate(parts)
    ordered = np.empty_like(features)
    ordered[rows] = features
    return ordered


def _chunks(images: ImageSet) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    read = images.read()
    while some := list(islice(read, _AT_ONCE)):
        yield some


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return saved features; None if there are none, or damaged ones."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(path.read_bytes())
        features, digest = tensors["features"], tensors[_DIGEST]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    whole = features.ndim == 2 and len(features) == count and features.dtype == np.float32
    if not whole or not np.array_equal(digest, _digest(features)):
        return None
    return features if bool(np.isfinite(features).all()) else None


def _digest(features: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the sha256 over shape and values, so that one of another width or with a changed bit is not taken."""
    found = hashlib.sha256(repr(features.shape).encode())
    found.update(np.ascontiguousarray(features).data)
    return np.frombuffer(found.digest(), dtype=np.uint8)
