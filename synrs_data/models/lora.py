"""Find a LoRA by name and say exactly which file it is."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synrs_data import files
from synrs_data.errors import MissingExtraError, WeightsError
from synrs_data.models.source import _HUB_ID, locate, user_path

OPTION = "'generator.lora'"

_STANDARD_NAME = "pytorch_lora_weights.safetensors"
"""What diffusers' training scripts write."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA on this machine.

    Attributes:
        name: Name of its file, or of its folder, or its Hub id.
        file: Its weights, a safetensors file.
        revision: "local", or the Hub's commit.
        license: Licence as the card beside the file states it, "unknown" where there is none.
    """

    name: str
    file: Path
    revision: str
    license: str

    def sha256(self) -> str:
        """Return the sha256 of its file."""
        return files.sha256(self.file)

    def parameters(self, scale: float) -> dict[str, Any]:
        """Return what a sample says of it.

        Args:
            scale: Its strength.
        """
        return {
            "lora": self.name,
            "lora_revision": self.revision,
            "lora_sha256": self.sha256(),
            "lora_scale": scale,
            "lora_license": self.license,
        }


def find_lora(name: str) -> Lora:
    """Find a LoRA: a file, a folder, `models/ORG/REPO` below the working folder, or a Hub id.

    In a folder `pytorch_lora_weights.safetensors` is used, else its only safetensors file.

    Raises:
        MissingExtraError: peft is not installed, which diffusers needs to load it.
        WeightsError: There is none, the folder holds several, or it is a pickle.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("a LoRA (`lora`)", "lora")
    path = user_path(name)
    if name and files.exists(path) and path.is_file():
        _refuse_pickle(path)
        card = locate(str(path.parent))
        return Lora(path.name, path.resolve(), "local", card.license)
    if not name or not (files.exists(path) or _HUB_ID.fullmatch(name)):
        raise WeightsError(
            f"there is no LoRA '{name}': no file or folder of that path",
            where=OPTION,
            fix="give its .safetensors file, the folder of that file, or a Hub id ORG/REPO",
        )
    folder = locate(name, fetch=_fetch)
    return Lora(folder.name, _only_file(folder.path), folder.revision, folder.license)


def _fetch(name: str, revision: str | None) -> str:
    """Download the LoRAs of a Hub id, not those of its training checkpoints, and its card."""
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "README.md"]
    return snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"])


def _only_file(folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors"))
    for file in found:
        if file.name == _STANDARD_NAME or len(found) == 1:
            return file
    if found:
        names = [file.name for file in found]
        raise WeightsError(
            f"holds {len(found)} safetensors files: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}",
            where=str(folder),
            fix=f"name one of them by `lora`, such as {found[0]}",
        )
    for file in sorted(folder.glob("*")):
        _refuse_pickle(file)
    raise WeightsError(
        "holds no LoRA: there is no safetensors file in it",
        where=str(folder),
        fix="give the .safetensors file, or the folder that holds it",
    )


def _refuse_pickle(file: Path) -> None:
    if file.suffix in _PICKLES:
        raise WeightsError(
            "is a pickle, which may hold code; a LoRA is read from safetensors alone",
            where=str(file),
            fix="get it as safetensors, or load it where you trust it and write it with `save_lora_weights`",
        )
