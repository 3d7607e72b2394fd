"""An encoder whose features can be computed by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.models.encoder import Features


class StubEncoder:
    """Images are described by their 4x4 mean colours, texts by digests; both are made 48 numbers long."""

    logit_scale = 20.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def images(self, images: Sequence[NDArray[np.uint8]]) -> Features:
        self.batches.append(len(images))
        return _normalised([_cells(image) for image in images])

    def texts(self, texts: Sequence[str]) -> Features:
        return _normalised([_digits(text) for text in texts])


def _cells(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = image.shape[0] // 4, image.shape[1] // 4
    cells = image[: 4 * height, : 4 * width].reshape(4, height, 4, width, 3).mean(axis=(1, 3))
    centred: NDArray[np.float64] = cells.ravel() - 127.5
    return centred


def _digits(text: str) -> NDArray[np.float64]:
    return np.frombuffer(hashlib.sha384(text.encode()).digest(), dtype=np.uint8).astype(np.float64) - 127.5


def _normalised(rows: list[NDArray[np.float64]]) -> Features:
    found = np.stack(rows)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def stub_encoder(monkeypatch: pytest.MonkeyPatch) -> StubEncoder:
    """Put the stub in the place of every encoder that a filter loads."""
    encoder = StubEncoder()
    for module in ("base", "clip_agreement", "clip_score", "leak", "real_filter"):
        monkeypatch.setattr(f"synrs_data.filters.{module}.load_encoder", lambda *names: encoder)
    return encoder
