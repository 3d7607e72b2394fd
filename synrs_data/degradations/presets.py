"""Presets of degradations: YAML files of `builders/vocab/degradations`, or a user's own, told apart by their `kind`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from synrs_data.errors import RecipeError
from synrs_data.resources import find, named_files
from synrs_data.vocabulary import load_yaml, read_yaml

_FOLDER = "builders/vocab/degradations"

PresetT = TypeVar("PresetT", bound=BaseModel)


def preset_path(name: str) -> Path:
    """Return the file of a preset of any kind, by shipped name or path.

    Raises:
        RecipeError: There is none.
    """
    return find(name, named_files(_FOLDER), what="degradation preset")


def load_preset_of(kind: str, name: str, model: type[PresetT]) -> PresetT:
    """Load a preset by shipped name or path.

    Args:
        kind: The kind that the degradation takes, such as "sensor".
        name: Shipped name or path.
        model: What a file of that kind holds.

    Raises:
        RecipeError: There is none, it is of another kind, or it is no preset; the message names the wrong key.
    """
    path = preset_path(name)
    found = _kind(path)
    if found and found != kind:
        ours = [known for known, file in named_files(_FOLDER).items() if _kind(file) == kind]
        raise RecipeError(
            f"is a preset of the kind '{found}', not '{kind}'",
            where=str(path),
            fix=f"choose one of {', '.join(ours)}, or the degradation that takes presets of the kind '{found}'",
        )
    return load_yaml(path, model)


def _kind(path: Path) -> str:
    values = read_yaml(path)
    found = values.get("kind") if isinstance(values, dict) else None
    return found if isinstance(found, str) else ""
