"""Extractors: what turns images into features, by name; every number is told by which one, with its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import MissingExtraError, UserError, WeightsError
from synrs_data.evaluate.distribution.records import ExtractorRecord
from synrs_data.models.encoder import encoder_digest, load_encoder
from synrs_data.models.source import locate

DEFAULT = "eurosat-tiny-clip"
"""The embedded encoder: it has seen EuroSAT's pool `generator`, and is small."""

_TIMM = "timm:"


class Extractor(Protocol):
    """Makes features of images; `texts` too, if it has a text encoder."""

    @property
    def record(self) -> ExtractorRecord:
        """What it says of itself."""
        ...

    def images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return features of RGB images, each (height, width, 3), as (n, width)."""
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return features of texts in the same space, (n, width); None if it reads no text."""
        ...


def make_extractor(text: str, device: str) -> Extractor:
    """Return the extractor that a user named.

    Args:
        text: `NAME` or `NAME,weights=FILE` of an encoder (embedded name, open_clip folder, Hub id, or architecture with
            weights), or `timm:FOLDER` of a timm model.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        WeightsError: There is no such model, or it cannot be loaded.
        UserError: The text has another form.
    """
    if text.startswith(_TIMM):
        return _Timm(text.removeprefix(_TIMM), device)
    model, comma, rest = text.partition(",")
    weights = rest.removeprefix("weights=")
    if comma and (weights == rest or not weights):
        raise UserError(
            f"the extractor '{text}' has the option '{rest}'", fix="write NAME, or ARCHITECTURE,weights=FILE"
        )
    return _Encoder(model, weights, device)


class _Encoder:
    """An open_clip encoder; its features have length one."""

    def __init__(self, model: str, weights: str, device: str) -> None:
        digest = encoder_digest(model, weights)
        self._encoder = load_encoder(model, weights, device)
        width = self._encoder.texts(["a"]).shape[1]
        name = model.removeprefix("local-dir:").rstrip("/").rpartition("/")[2]
        self.record = ExtractorRecord(
            id=f"{name}+{Path(weights).stem}" if weights else name,
            kind="open-clip",
            sha256=files.sha256(Path(weights)) if weights else digest,
            width=width,
            preprocessing=_plain(self._encoder.preprocessing),
        )

    def images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._encoder.images(images)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        return self._encoder.texts(texts)


class _Timm:
    """A timm model without its classifier, from a folder with config.json and model.safetensors."""

    def __init__(self, folder: str, device: str) -> None:
        found = locate(folder)
        if not (found.path / "config.json").is_file() or not (found.path / "model.safetensors").is_file():
            raise WeightsError(
                "is no folder of a timm model: it needs config.json and model.safetensors",
                where=str(found.path),
                fix="save one by `timm.models.save_for_hf(model, FOLDER, safe_serialization=True)`",
            )
        try:
            import timm
            from safetensors import SafetensorError
        except ImportError as error:
            raise MissingExtraError("a timm extractor", "eval") from error
        try:
            self._model = timm.create_model(f"local-dir:{found.path}", pretrained=True, num_classes=0)
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            AssertionError,
            SafetensorError,
        ) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise WeightsError(
                f"timm cannot load this model: {reason}", where=str(found.path), fix="save it again, whole"
            ) from error
        self._model.eval().to(device)
        self._device = device
        config = timm.data.resolve_model_data_config(self._model)
        self._transform = timm.data.create_transform(**config, is_training=False)
        weights = found.path / "model.safetensors"
        self.record = ExtractorRecord(
            id=found.name.rpartition("/")[2],
            kind="timm",
            sha256=hashlib.sha256(
                f"{files.sha256(found.path / 'config.json')} {files.sha256(weights)}".encode()
            ).hexdigest(),
            width=int(self._model.num_features),
            preprocessing=_plain(config),
        )

    def images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        import torch
        from PIL import Image

        pixels = torch.stack([self._transform(Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            features: Any = self._model(pixels.to(self._device))
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        return None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings with lists for tuples, as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
