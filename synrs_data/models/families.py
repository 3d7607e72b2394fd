"""Tell what kind of model a folder holds from its configurations and tensor names, never from what it is called."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

_INPAINTING_CHANNELS = 9
"""4 of noisy latents, 1 of the mask, 4 of the masked image."""

_METADATA_TENSOR = re.compile(r"metadata_embedding\.(\d+)\.(linear_[12]\.(?:weight|bias))")
_TENSORS_A_NUMBER = 4
_ORIGINAL_PREFIX = "model.diffusion_model."
"""How tensors of the UNet begin in a checkpoint of the original latent-diffusion code."""


class Family(StrEnum):
    """Kind of a model, as far as it decides how it is loaded and conditioned."""

    STOCK = "stock"
    DIFFUSIONSAT = "diffusionsat"
    TEXT2EARTH = "text2earth"
    INPAINTING = "inpainting"
    CONTROLNET = "controlnet"
    LORA = "lora"
    SINGLE_FILE = "single-file"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds.

    Attributes:
        family: Kind of the model.
        unet: Folder of the UNet that is used; None if there is none.
        inpainting: Whether the UNet takes a mask and a masked image too.
        file: The checkpoint or LoRA, if the model is one file.
    """

    family: Family
    unet: Path | None = None
    inpainting: bool = False
    file: Path | None = None


def detect(path: Path) -> Layout:
    """Return what a folder holds; reads headers and configurations, and runs nothing."""
    if (path / "model_index.json").is_file():
        unet = _choose_unet(path)
        if unet is None:
            return Layout(Family.STOCK)
        config = read_config(unet)
        inpainting = config.get("in_channels") == _INPAINTING_CHANNELS
        return Layout(_family_of_unet(unet, config, inpainting), unet, inpainting)
    config = read_config(path)
    names = tensor_names(path)
    if "ControlNet" in str(config.get("_class_name")) or any(
        name.startswith("controlnet_") for name in names
    ):
        return Layout(Family.CONTROLNET)
    layout = _one_file(path)
    if layout.family is Family.UNKNOWN and controlnets(path):
        return Layout(Family.CONTROLNET)
    return layout


def controlnets(path: Path) -> list[Path]:
    """Return the ControlNets that a folder stands for: one, or more if its layout does not say which.

    The rule of `_choose_unet`: the folder's own, else that of its last training checkpoint. DiffusionSat's training
    writes `<root>/controlnet` and `<root>/checkpoint-100000/controlnet` (train_controlnet.py, notebooks); an archive
    may unpack to a folder of its own, so what lies in folders of any name counts last.
    """
    return _controlnets_of(path) or [found for root in _folders(path) for found in _controlnets_of(root)]


def _controlnets_of(path: Path) -> list[Path]:
    for root in (path, *_checkpoints(path)):
        if _is_controlnet(root):
            return [root]
        if found := [folder for folder in _folders(root) if _is_controlnet(folder)]:
            return found
    return []


def _is_controlnet(folder: Path) -> bool:
    return "ControlNet" in str(read_config(folder).get("_class_name")) and _has_weights(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a component's config.json, empty if it cannot be read: loading it says why."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def tensor_names(folder: Path) -> frozenset[str]:
    """Return the names of the tensors in a folder's safetensors, or in its `.bin` files if there are none."""
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return frozenset(name for file in found for name in _in_safetensors(file))
    return frozenset(name for file in sorted(folder.glob("*.bin")) for name in _in_pickle(file))


def is_lora(names: Iterable[str]) -> bool:
    """Say whether names of tensors are those of a LoRA, in any trainer's format."""
    return any(".lora" in name or "lora_" in name for name in names)


def _choose_unet(path: Path) -> Path | None:
    """Return the UNet of a pipeline: its own, or that of its last training checkpoint.

    DiffusionSat was published as `<root>/` and `<root>/checkpoint-150000/unet` (its notebooks): a SatUNet in a
    checkpoint goes before a pipeline's own UNet that is none.
    """
    own = path / "unet"
    checkpoints = [root / "unet" for root in _checkpoints(path)]
    whole = [folder for folder in (own, *checkpoints) if _has_weights(folder)]
    for folder in whole:
        if _is_sat_unet(folder, read_config(folder)):
            return folder
    if whole:
        return whole[0]
    return own if own.is_dir() else None


def _checkpoints(path: Path) -> list[Path]:
    """Return the folders of training checkpoints, the last one first."""
    return sorted(path.glob("checkpoint-*"), key=_step, reverse=True)


def _folders(path: Path) -> list[Path]:
    """Return the folders in a folder that are no training checkpoints."""
    return sorted(item for item in path.glob("*") if item.is_dir() and not item.match("checkpoint-*"))


def _step(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _family_of_unet(unet: Path, config: dict[str, Any], inpainting: bool) -> Family:
    if _is_sat_unet(unet, config):
        return Family.DIFFUSIONSAT
    if config.get("class_embed_type") == "timestep":
        return Family.TEXT2EARTH
    return Family.INPAINTING if inpainting else Family.STOCK


def _is_sat_unet(unet: Path, config: dict[str, Any]) -> bool:
    if "num_metadata" in config or "use_metadata" in config:
        return True
    numbers: dict[str, set[str]] = {}
    for match in filter(None, map(_METADATA_TENSOR.fullmatch, tensor_names(unet))):
        numbers.setdefault(match[1], set()).add(match[2])
    return bool(numbers) and all(len(parts) == _TENSORS_A_NUMBER for parts in numbers.values())


def _one_file(path: Path) -> Layout:
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*.ckpt")]):
        names = list(_in_safetensors(file)) if file.suffix == ".safetensors" else []
        if is_lora(names):
            return Layout(Family.LORA, file=file)
        if file.suffix == ".ckpt" or any(name.startswith(_ORIGINAL_PREFIX) for name in names):
            return Layout(Family.SINGLE_FILE, file=file)
    return Layout(Family.UNKNOWN)


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def _in_safetensors(file: Path) -> Iterator[str]:
    """Yield the names in a header: 8 bytes of its length, then JSON; none if the file is damaged."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > file.stat().st_size:
                return
            header = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(header, dict):
        yield from (name for name in header if name != "__metadata__")


def _in_pickle(file: Path) -> Iterator[str]:
    """Yield the names in a `.bin`, without reading its tensors; none if it is damaged or holds code."""
    import torch

    try:
        tensors = torch.load(file, map_location="meta", mmap=True, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
        return
    if isinstance(tensors, dict):
        yield from (name for name in tensors if isinstance(name, str))
