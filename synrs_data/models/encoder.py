"""Image/text encoders of open_clip, loaded once a process and shared by the filters that need them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data import files
from synrs_data.errors import WeightsError
from synrs_data.models.source import fetch_files, locate

Features = NDArray[np.float32]
"""L2-normalised features, (n, width)."""

_TEXTS_AT_ONCE = 256


class Encoder:
    """An open_clip model on a device.

    Args:
        model: Embedded name, `local-dir:` folder, Hub id, or the name of an open_clip architecture.
        weights: File of weights for an architecture's name; empty otherwise.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        WeightsError: Unknown architecture, missing or unfit weights.
    """

    def __init__(self, model: str, weights: str, device: str) -> None:
        import open_clip
        from safetensors import SafetensorError

        name = model if weights else f"local-dir:{encoder_folder(model)}"
        try:
            # The other ways to make a model only warn when there are no weights, and leave it random.
            self._model, self._transform = open_clip.create_model_from_pretrained(
                name, pretrained=weights or None, device=device
            )
            self._tokenizer = open_clip.get_tokenizer(name)
        except pickle.UnpicklingError as error:
            raise WeightsError(
                "the weights are a pickle that holds more than tensors, and no code from outside is run",
                where=f"{model} {weights}".strip(),
                fix="get the encoder as safetensors",
            ) from error
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
                f"open_clip cannot load this encoder: {reason}",
                where=f"{model} {weights}".strip(),
                fix="name an embedded encoder, a folder, a Hub id, or an architecture with its weights",
            ) from error
        self._model.eval()
        self._device = device

    @property
    def logit_scale(self) -> float:
        """The factor by which the model was trained to multiply cosines before a softmax."""
        return float(self._model.logit_scale.exp().detach().cpu())

    def images(self, images: Sequence[NDArray[np.uint8]]) -> Features:
        """Encode RGB images, each (height, width, 3) of 0 to 255."""
        import torch

        pixels = torch.stack([self._transform(PillowImage.fromarray(image)) for image in images])
        with torch.inference_mode():
            features: Any = self._model.encode_image(pixels.to(self._device), normalize=True)
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How open_clip prepares an image for this model: size, mean, std, interpolation, resize mode."""
        return dict(self._model.visual.preprocess_cfg)

    def texts(self, texts: Sequence[str], *, normalize: bool = True) -> Features:
        """Encode texts; without `normalize`, features keep the length that the model gives them."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                tokens = self._tokenizer(list(texts[start : start + _TEXTS_AT_ONCE])).to(self._device)
                parts.append(self._model.encode_text(tokens, normalize=normalize).float().cpu().numpy())
        return np.asarray(np.concatenate(parts), dtype=np.float32)


@cache
def load_encoder(model: str, weights: str, device: str) -> Encoder:
    """Return the encoder, loaded once a process."""
    return Encoder(model, weights, device)


def encoder_folder(model: str) -> Path:
    """Return the folder of an encoder that is embedded, local or on the Hub.

    Raises:
        WeightsError: There is none, or it is no open_clip folder.
    """
    found = locate(model.removeprefix("local-dir:"), fetch=fetch_files(["open_clip*.safetensors"]))
    if not (found.path / "open_clip_config.json").is_file():
        raise WeightsError(
            "is no open_clip folder: it has no open_clip_config.json",
            where=str(found.path),
            fix="give a folder that open_clip's `local-dir:` reads, or an architecture with its weights",
        )
    return found.path


def encoder_digest(model: str, weights: str) -> str:
    """Return the sha256 that stands for an encoder in a fingerprint.

    Raises:
        WeightsError: It is not there.
    """
    if not weights:
        return locate(str(encoder_folder(model))).sha256()
    if not Path(weights).is_file():
        raise WeightsError(
            "there is no such file of weights", where=weights, fix="correct the path in the recipe"
        )
    return hashlib.sha256(f"{model} {files.sha256(Path(weights))}".encode()).hexdigest()
