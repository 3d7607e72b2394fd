"""Which texts of a recipe name places of the machine that it was written on, and the recipe without them.

Options that name files say so (`path_option`). A method may forget to; so a text of any other key that is nothing but
an absolute path of two names or more, without a blank, is taken for one too. A sentence that begins with a slash is
none, nor is anything that stands in the title or the description: those are for people, and are kept as they are. The
rule asks no disk, because what is published must not depend on the machine that publishes it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any, cast

from synrs_data.errors import RecipeError
from synrs_data.recipe import path_options
from synrs_data.registry import Kind, lookup

_PLACE = re.compile(r"/+[^/\s]+(?:/+[^/\s]+)+/*")
_FOR_PEOPLE = {("title",), ("description",)}
_METHODS: dict[str, Kind] = {"captions": "captions", "generator": "generators", "degradation": "degradations"}

Key = tuple[str, ...]


def public_values(recipe: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a recipe in which each place has only its last name, and the places as they were.

    Args:
        recipe: The plain values of a resolved recipe.
    """
    declared, places = set(_declared(recipe)), list[str]()

    def shorten(value: Any, key: Key, is_path: bool) -> Any:
        is_path = is_path or key in declared
        if isinstance(value, Mapping):
            return {name: shorten(item, (*key, str(name)), is_path) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [shorten(item, (*key, str(number)), is_path) for number, item in enumerate(value)]
        if not isinstance(value, str) or key in _FOR_PEOPLE:
            return value
        if not (_PLACE.fullmatch(value) or (is_path and PurePath(value).is_absolute())):
            return value
        places.append(value)
        return PurePath(value).name

    return cast(dict[str, Any], shorten(recipe, (), False)), places


def without_folders(value: Any, places: Collection[str]) -> Any:
    """Return plain values, such as a manifest's, in which a text that is a place has only its last name.

    Args:
        value: The values.
        places: What the recipe names; other texts are judged by how they look.
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item, places) for item in value]
    is_place = isinstance(value, str) and (value in places or _PLACE.fullmatch(value))
    return PurePath(value).name if is_place else value


def _declared(recipe: Mapping[str, Any]) -> Iterator[Key]:
    """Yield the keys of what may name a file, folder or model."""
    yield ("labels",)
    methods: list[tuple[Key, Kind, Any]] = [
        ((key,), kind, recipe.get(key)) for key, kind in _METHODS.items() if recipe.get(key)
    ]
    filters = recipe.get("filters")
    for number, spec in enumerate(filters if isinstance(filters, list | tuple) else []):
        methods.append((("filters", str(number)), "filters", spec))
    for key, kind, spec in methods:
        # Somebody who has not the method may look at a build of it; publishing refuses it in words of its own.
        with contextlib.suppress(RecipeError):
            if isinstance(spec, Mapping):
                for name in path_options(lookup(kind, str(spec.get("method"))).Options):
                    yield (*key, name)
