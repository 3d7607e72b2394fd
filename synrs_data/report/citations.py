"""What a card cites: the systems and data sets that one build used, from `cards/citations.yaml`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from pydantic import Field, RootModel

from synrs_data.recipe import MethodSpec, Model
from synrs_data.report.view import BuildFacts
from synrs_data.resources import shipped
from synrs_data.vocabulary import load_yaml


class Citation(Model):
    """One entry of the table."""

    uses: tuple[str, ...] = Field(min_length=1, description="Patterns of what a build used.")
    bibtex: str = Field(min_length=1, description="The BibTeX entry.")


class _Table(RootModel[tuple[Citation, ...]]):
    """The whole table, in the order in which cards show it."""


def citations(facts: BuildFacts) -> list[str]:
    """Return the BibTeX entries of what a build used, in the order of the table."""
    found = used(facts)
    table = load_yaml(shipped("cards", "citations.yaml"), _Table).root
    return [
        entry.bibtex.strip()
        for entry in table
        if any(fnmatchcase(name, pattern.lower()) for pattern in entry.uses for name in found)
    ]


def used(facts: BuildFacts) -> set[str]:
    """Return what a build used, in the words of `cards/citations.yaml` and in small letters."""
    recipe, generator = facts.recipe, facts.generator
    parameters = generator["parameters"]
    found = {
        "always",
        f"generator:{recipe.generator.method}",
        f"scheduler:{generator['scheduler']}",
        f"family:{parameters.get('model_family', '')}",
        f"captions:{recipe.captions.method}",
        f"labels:{facts.labels.name}",
    }
    if generator.get("synthetic", True) and recipe.generator.method != "real-images":
        found.add(f"model:{generator['model']}")
    found |= {f"model:{parameters[key]}" for key in ("controlnet", "lora") if key in parameters}
    found |= {f"model:{name}" for name in _last(recipe.generator, "model", "controlnet", "lora")}
    found |= {f"sources:{name}" for name in _last(recipe.generator, "images", "sources", "maps")}
    for key in ("backend", "templates", "dataset"):
        found |= {f"{key}:{name}" for name in _last(recipe.captions, key)}
    for spec in recipe.filters:
        found.add(f"filter:{spec.method}")
        # A leak filter without its embedding has an encoder option that nothing reads.
        if (spec.model_extra or {}).get("embedding", True):
            found |= {f"encoder:{name}" for name in _last(spec, "model")}
        found |= {f"templates:{name}" for name in _last(spec, "templates")}
    if recipe.degradation is not None:
        found.add(f"degradation:{recipe.degradation.method}")
        found |= {f"preset:{name}" for name in _last(recipe.degradation, "preset")}
    return {name.lower() for name in found}


def _last(spec: MethodSpec, *keys: str) -> list[Any]:
    """Return the options that are there: a Hub id or address whole, of a path of this machine the last name."""
    options = spec.model_extra or {}
    values = [options[key] for key in keys if options.get(key)]
    return [PurePath(value).name if PurePath(str(value)).is_absolute() else value for value in values]
