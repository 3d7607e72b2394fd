"""Image/text encoders of SigLIP's kind by transformers, such as SigLIP and Git-RSCLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import WeightsError
from synrs_data.models.encoder import Features

_TEXTS_AT_ONCE = 256


class SiglipEncoder:
    """A SigLIP model of a transformers folder on a device.

    Texts are always padded to the model's full length, as in training (SigLIP paper, section 3; transformers,
    docs/model_doc/siglip: `padding="max_length"`), and images are prepared as the folder's processor says.

    Args:
        folder: With config, safetensors, processor and tokenizer.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        WeightsError: Something is missing, damaged, of another kind, or would be loaded in part.
    """

    def __init__(self, folder: str, device: str) -> None:
        from safetensors import SafetensorError

        try:
            self._load(folder)
        except (
            OSError,
            ValueError,
            RuntimeError,
            KeyError,
            TypeError,
            AttributeError,
            ImportError,
            SafetensorError,
        ) as error:
            reason = " ".join((str(error) or type(error).__name__).split())[:300]
            raise WeightsError(
                f"transformers cannot load this encoder: {reason}",
                where=folder,
                fix="give a folder with config.json, model.safetensors, preprocessor_config.json and the tokenizer",
            ) from error
        self._model.eval().to(device)
        self._device = device
        vision = int(self._model.config.vision_config.image_size)
        size = self._pixels()
        if size != (vision, vision):
            raise WeightsError(
                f"its processor makes images of {size[0]} by {size[1]} pixels, and its model takes {vision}",
                where=folder,
                fix="correct `size` in preprocessor_config.json",
            )

    def _load(self, folder: str) -> None:
        from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, SiglipModel

        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.model_type != "siglip":
            raise WeightsError(
                f"is a model of the kind '{config.model_type}', not siglip",
                where=folder,
                fix="use the baseline of its kind, such as clip or open-clip",
            )
        if (
            not (Path(folder) / "preprocessor_config.json").is_file()
            and not (Path(folder) / "processor_config.json").is_file()
        ):
            raise ValueError("there is no preprocessor_config.json")
        self._model, report = SiglipModel.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if names := sorted(map(str, report.get(what) or ())):
                raise WeightsError(
                    f"has {len(names)} {what.replace('_', ' ')} in its weights, such as {names[0]}",
                    where=folder,
                    fix="download the model again, whole",
                )
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    @property
    def quick_gelu(self) -> None:
        """SigLIP's activation is not a matter of choice."""
        return

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How an image is prepared: size in pixels, mean, std, resampling as Pillow numbers it."""
        height, width = self._pixels()
        return {
            "size": [height, width],
            "mean": list(self._processor.image_mean),
            "std": list(self._processor.image_std),
            "interpolation": int(self._processor.resample),
            "resize_mode": "squash",
        }

    @property
    def text(self) -> dict[str, Any]:
        """How texts are prepared: number of tokens that they are padded or cut to."""
        return {"tokens": self._length, "padding": "max_length"}

    def images(self, images: Sequence[NDArray[np.uint8]]) -> Features:
        """Encode RGB images, each (height, width, 3) of 0 to 255."""
        import torch

        prepared = self._processor(
            images=list(images), return_tensors="pt", input_data_format="channels_last"
        )
        with torch.inference_mode():
            found = self._model.get_image_features(pixel_values=prepared["pixel_values"].to(self._device))
        return _normalised(found, normalize=True)

    def texts(self, texts: Sequence[str], *, normalize: bool = True) -> Features:
        """Encode texts; without `normalize`, features keep the length that the model gives them."""
        import torch

        parts = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self._tokenizer(
                list(texts[start : start + _TEXTS_AT_ONCE]),
                padding="max_length",
                max_length=self._length,
                truncation=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                # No attention mask: the model was trained to read the padding.
                found = self._model.get_text_features(input_ids=tokens["input_ids"].to(self._device))
            parts.append(_normalised(found, normalize=normalize))
        return np.concatenate(parts)

    @property
    def _length(self) -> int:
        return int(self._model.config.text_config.max_position_embeddings)

    def _pixels(self) -> tuple[int, int]:
        size = self._processor.size
        return int(size["height"]), int(size["width"])


@cache
def load_siglip(folder: str, device: str) -> SiglipEncoder:
    """Return the encoder, loaded once a process."""
    return SiglipEncoder(folder, device)


def _normalised(found: Any, *, normalize: bool) -> Features:
    """Return features, which transformers since 5.0 gives inside an output."""
    import torch

    features = getattr(found, "pooler_output", found).float()
    if normalize:
        features = torch.nn.functional.normalize(features, dim=-1)
    return np.asarray(features.cpu().numpy(), dtype=np.float32)
