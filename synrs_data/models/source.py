"""Find a model by name and say exactly which weights it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synrs_data import files
from synrs_data.errors import WeightsError
from synrs_data.resources import embedded_models, suggestion
from synrs_data.vocabulary import NOT_YAML

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_DESCRIBES = (
    "config.json",
    "model_index.json",
    ".index.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    ".model",
    ".jinja",
)
"""Endings of files that say how weights are read: configurations, the parts of a model, tokenizers."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine.

    Attributes:
        name: What the recipe calls it.
        path: Its folder.
        revision: "embedded", "local", or the Hub's commit.
        card: The YAML metadata of its README.md, empty if it has none.
    """

    name: str
    path: Path
    revision: str
    card: dict[str, Any]

    @property
    def license(self) -> str:
        """Licence as the card states it, "unknown" where it states none."""
        value = self.card.get("license", "unknown")
        return str(self.card.get("license_name", value) if value == "other" else value)

    def files(self) -> list[Path]:
        """Return weights, configurations and tokenizers, sorted: what decides the model's output."""
        found = (path for path in self.path.rglob("*") if path.is_file())
        return sorted(path for path in found if path.suffix in _WEIGHTS or path.name.endswith(_DESCRIBES))

    def sha256(self) -> str:
        """Return a digest over the names and contents of `files()`.

        Raises:
            WeightsError: The folder has no weights.
        """
        found = self.files()
        if not any(path.suffix in _WEIGHTS for path in found):
            raise WeightsError(
                "the folder has no weights", where=str(self.path), fix="download the model again, whole"
            )
        lines = (f"{path.relative_to(self.path).as_posix()} {files.sha256(path)}\n" for path in found)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def has_weights(folder: Path) -> bool:
    """Say whether a folder, or one below it, holds a file of weights; False if there is no such folder."""
    return any(path.suffix in _WEIGHTS and path.is_file() for path in folder.rglob("*"))


Fetch = Callable[[str, str | None], str]
"""Brings a Hub id at a revision into the Hub's cache and returns its folder there."""


def locate(name: str, *, revision: str | None = None, fetch: Fetch | None = None) -> ModelFolder:
    """Find a model: an embedded name, a folder, `models/ORG/REPO` below the working folder, or a Hub id.

    The Hub is asked only for a Hub id that is nowhere on this machine, which is what naming one asks for;
    with `HF_HUB_OFFLINE=1` only its cache is.

    Args:
        name: Embedded name, path or Hub id.
        revision: Branch, tag or commit of a Hub id.
        fetch: How a Hub id is downloaded; None for every safetensors file and what describes it.

    Raises:
        WeightsError: There is no such model, or the Hub does not give it.
    """
    embedded = embedded_models()
    if name in embedded:
        return _folder(name, embedded[name], "embedded")
    path = user_path(name)
    if not name:
        raise WeightsError("there is no model without a name", fix=_known(name))
    if files.exists(path):
        if path.is_dir():
            return _folder(path.resolve().name, path.resolve(), "local")
        raise WeightsError(
            "is a file, not a model folder", where=name, fix="give the folder that holds the model"
        )
    if not _HUB_ID.fullmatch(name):
        raise WeightsError(
            f"there is no model '{name}': no folder of that path, no embedded model of that name",
            fix=_known(name),
        )
    offline = Path("models") / name
    if offline.is_dir():
        return _folder(name, offline.resolve(), "local")
    return _from_hub(name, revision, fetch or fetch_files(["*.safetensors"]))


def _known(name: str) -> str:
    return suggestion(name, embedded_models(), what="embedded model") + ", or a folder, or a Hub id ORG/REPO"


def user_path(name: str) -> Path:
    """Return what a user named as a path, with `~` expanded where that is a user's folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        # `~NAME` of an unknown user.
        return Path(name)


def fetch_files(weights: list[str]) -> Fetch:
    """Return a `Fetch` of the weight files that fit these patterns and of all that describes a model."""

    def fetch(name: str, revision: str | None) -> str:
        from huggingface_hub import snapshot_download

        described = [f"*{ending}" for ending in _DESCRIBES]
        return snapshot_download(name, revision=revision, allow_patterns=[*weights, *described, "README.md"])

    return fetch


def _from_hub(name: str, revision: str | None, fetch: Fetch) -> ModelFolder:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        path = Path(fetch(name, revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"the Hub does not give this model: {reason}",
            where=f"{name}@{revision or 'main'}",
            fix=f"check the id and your access (`hf auth login`), or put the folder at models/{name}",
        ) from error
    return _folder(name, path, path.name)


def _folder(name: str, path: Path, revision: str) -> ModelFolder:
    card = path / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    match = re.match(r"---\s*\n(.*?)\n---", text, flags=re.DOTALL)
    try:
        values = yaml.safe_load(match.group(1)) if match else {}
    except NOT_YAML:
        values = {}
    return ModelFolder(name, path, revision, values if isinstance(values, dict) else {})
