"""Read a state dict that somebody published: tensors alone, whatever wraps them, and no code."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synrs_data.errors import WeightsError

_WRAPPER, _PARALLEL = "state_dict", "module."


def read_state_dict(path: Path) -> dict[str, Any]:
    """Return tensors, and the plain numbers that OpenAI puts beside them, by name.

    A `state_dict` inside a training checkpoint is taken out, and the `module.` that DistributedDataParallel puts
    before every name is taken off (SkyCLIP's checkpoints have both).

    Args:
        path: A safetensors file, or what `torch.save` has written.

    Raises:
        WeightsError: The file is missing or damaged, holds code, or holds no tensors.
    """
    where = str(path)
    found = _load(path, where)
    if isinstance(found, Mapping) and isinstance(found.get(_WRAPPER), Mapping):
        found = found[_WRAPPER]
    if not isinstance(found, Mapping) or not any(hasattr(value, "shape") for value in found.values()):
        raise WeightsError("holds no state dict", where=where, fix="give the file of weights alone")
    values = {str(key): value for key, value in found.items()}
    if all(key.startswith(_PARALLEL) for key in values):
        values = {key.removeprefix(_PARALLEL): value for key, value in values.items()}
    return values


def _load(path: Path, where: str) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    again = "download the weights again, whole"
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # torch warns before it refuses a TorchScript archive, which the message below says better.
            warnings.filterwarnings("ignore", message=".*TorchScript archive", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "the weights are a pickle that holds more than tensors, and no code from outside is run",
            where=where,
            fix="get them as safetensors",
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError) as error:
        if "TorchScript" in str(error):
            raise WeightsError(
                "is a TorchScript archive, which holds code, and no code from outside is run",
                where=where,
                fix="get the weights as safetensors: of OpenAI's CLIP from timm/vit_base_patch32_clip_224.openai and "
                "the like on the Hub",
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise WeightsError(f"cannot be read: {reason}", where=where, fix=again) from error
