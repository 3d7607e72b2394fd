"""Image/text encoders of open_clip, loaded once a process and shared by the filters that need them."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data import files
from synrs_data.errors import WeightsError
from synrs_data.models.activation import OPENAI_KEYS, trained_with, uses_quick_gelu
from synrs_data.models.source import fetch_files, locate
from synrs_data.models.state_dict import read_state_dict

Features = NDArray[np.float32]
"""L2-normalised features, (n, width)."""

_TEXTS_AT_ONCE = 256


class Encoder:
    """An open_clip model on a device.

    Args:
        model: Embedded name, `local-dir:` folder, Hub id, or the name of an open_clip architecture.
        weights: File of weights for an architecture's name; empty otherwise.
        device: "cpu", "cuda", "cuda:1".
        quick_gelu: Whether to compute with QuickGELU; None for what the folder or the architecture says, which is
            refused where the weights are known to be of the other activation.

    Raises:
        WeightsError: Unknown architecture, missing or unfit weights, or the other activation.
    """

    def __init__(self, model: str, weights: str, device: str, quick_gelu: bool | None = None) -> None:
        import open_clip
        from safetensors import SafetensorError

        where = f"{model} {weights}".strip()
        keys: list[str] = []
        try:
            if weights:
                self._model, keys = _with_weights(model, Path(weights), device, quick_gelu)
                self._transform = _transform(self._model)
                self._tokenizer = open_clip.get_tokenizer(model)
            else:
                name = f"local-dir:{encoder_folder(model)}"
                # The other ways to make a model only warn when there are no weights, and leave it random.
                self._model, self._transform = open_clip.create_model_from_pretrained(name, device=device)
                self._tokenizer = open_clip.get_tokenizer(name)
        except pickle.UnpicklingError as error:
            raise WeightsError(
                "the weights are a pickle that holds more than tensors, and no code from outside is run",
                where=where,
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
            reason = " ".join((str(error) or type(error).__name__).split())[:300]
            raise WeightsError(
                f"open_clip cannot load this encoder: {reason}",
                where=where,
                fix="name an embedded encoder, a folder, a Hub id, or an architecture with its weights",
            ) from error
        self._check_activation(model, weights, keys, quick_gelu)
        self._model.eval()
        self._device = device

    @property
    def quick_gelu(self) -> bool:
        """Whether the model computes with QuickGELU."""
        return uses_quick_gelu(self._model)

    def _check_activation(self, model: str, weights: str, keys: Sequence[str], wanted: bool | None) -> None:
        """Raise if the model has not the activation that was asked for, or not the one that its weights need."""
        names = {True: "QuickGELU", False: "GELU"}
        found, where = self.quick_gelu, f"{model} {weights}".strip()
        if wanted is not None and found != wanted:
            raise WeightsError(
                f"the model computes with {names[found]}, not with {names[wanted]} as asked for",
                where=where,
                fix=_other_activation(model, weights, wanted),
            )
        trained = trained_with(weights or model, keys)
        if wanted is None and trained is not None and trained != found:
            raise WeightsError(
                f"these weights were trained with {names[trained]}, and this model computes with {names[found]}: they "
                "load without an error and give other features",
                where=where,
                fix=f"{_other_activation(model, weights, trained)}; to keep it all the same, a baseline takes "
                f"quick_gelu={str(found).lower()}",
            )

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
    def text(self) -> dict[str, Any]:
        """How texts are prepared: number of tokens that they are padded or cut to."""
        return {"tokens": int(self._model.context_length)}

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
def load_encoder(model: str, weights: str, device: str, quick_gelu: bool | None = None) -> Encoder:
    """Return the encoder, loaded once a process."""
    return Encoder(model, weights, device, quick_gelu)


def _with_weights(
    architecture: str, weights: Path, device: str, quick_gelu: bool | None
) -> tuple[Any, list[str]]:
    """Return an architecture with weights, each of which has its place, and the keys of their file.

    open_clip's own loader would stretch position embeddings to another resolution or context without a word.
    """
    import open_clip
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    config = open_clip.get_model_config(architecture)
    if config is None:
        raise RuntimeError(f"there is no architecture '{architecture}'")
    if config.get("init_logit_bias") is not None:
        # LAION-AI/open_clip, issue 1068.
        raise RuntimeError(
            "of SigLIP, open_clip loses the preprocessing where weights are a bare file; give a folder"
        )
    found = read_state_dict(weights)
    keys = list(found)
    with _unwarned():
        model = open_clip.create_model(architecture, device=device, force_quick_gelu=quick_gelu is True)
    tensors = convert_state_dict(model, {key: found[key] for key in keys if key not in OPENAI_KEYS})
    if "positional_embedding" in tensors and not hasattr(model, "positional_embedding"):
        tensors = convert_to_custom_text_state_dict(tensors)
    if "logit_scale" in tensors and tensors["logit_scale"].numel() == 1:
        tensors["logit_scale"] = tensors["logit_scale"].reshape(model.logit_scale.shape)
    model.load_state_dict(tensors, strict=True)
    return model, keys


def _other_activation(model: str, weights: str, quick_gelu: bool) -> str:
    """Return what a user does to compute with an activation, as an instruction."""
    if not weights:
        return f"set `quick_gelu` to {str(quick_gelu).lower()} in its open_clip_config.json"
    return f"name the architecture {model.removesuffix('-quickgelu')}{'-quickgelu' if quick_gelu else ''}"


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep open_clip from logging that a model is random which gets its weights next."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _transform(model: Any) -> Any:
    """Return how open_clip prepares an image for a model, without augmentation."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)


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
    return hashlib.sha256(f"{model} {weights_digest(weights)}".encode()).hexdigest()


def weights_digest(weights: str) -> str:
    """Return the sha256 of a file of weights.

    Raises:
        WeightsError: It is not there.
    """
    if not Path(weights).is_file():
        raise WeightsError(
            "there is no such file of weights", where=weights, fix="correct the path in the recipe"
        )
    return files.sha256(Path(weights))
