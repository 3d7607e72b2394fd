"""Load recipes: read, override by `--set`, check every method's options, write out every default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from synrs_data.errors import RecipeError
from synrs_data.files import exists
from synrs_data.recipe import (
    MethodSpec,
    Recipe,
    Selection,
    Threshold,
    is_number,
    method_options,
    path_options,
)
from synrs_data.registry import Kind, lookup
from synrs_data.resources import find, recipes, suggestion
from synrs_data.vocabulary import NOT_YAML, LabelSet, explain, load_label_set, parse_yaml, read_yaml

DEFAULT_NEAR_DUPLICATE_DISTANCE = 4
_PROVENANCE_COLUMNS = "key shard label label_name caption caption_source seed geo width height derived_from"
_PAIR_COLUMNS = "degradation_parameters"
_PACKING_COLUMNS = "offset length sha256 file split reason rule"
RESERVED_COLUMNS = frozenset(f"{_PROVENANCE_COLUMNS} {_PAIR_COLUMNS} {_PACKING_COLUMNS}".split())
"""Columns of a build's tables that are no scores."""


def load_recipe(name: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Load a recipe by path or shipped name, apply overrides and write out every default.

    Args:
        name: A path, or the bare name of a file under `builders/`.
        overrides: Texts `a.b=value`, values in YAML; a number in the path counts into a list.

    Raises:
        RecipeError: No such recipe, not YAML, an unknown key or method, a wrong type or value.
    """
    path = find(str(name), recipes(), what="recipe")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise RecipeError(
            "a recipe is a mapping of keys to values", where=str(path), fix="see `synrs-data list recipes`"
        )
    for text in overrides or []:
        override(values, text)
    return complete(values, folder=path.resolve().parent, where=str(path))


def complete(values: dict[str, Any], *, folder: Path, where: str) -> Recipe:
    """Check a recipe's values, methods' options included, and write out every default.

    Args:
        values: The recipe as plain values.
        folder: Folder that relative paths of options start from.
        where: Where the values come from, for messages.

    Raises:
        RecipeError: An unknown key or method, a wrong type or value.
    """
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe), where=where, fix="correct the recipe") from error
    labels = str(folder / recipe.labels) if (folder / recipe.labels).is_file() else recipe.labels
    filters = [
        _complete_method("filters", spec, folder, where, f"filters.{i}")
        for i, spec in enumerate(recipe.filters)
    ]
    repeated = {spec.method for spec in filters if [other.method for other in filters].count(spec.method) > 1}
    if repeated:
        raise RecipeError(
            f"filters appear twice: {', '.join(sorted(repeated))}", where=where, fix="keep one of each"
        )
    if recipe.task != "lr-hr":
        _refuse_pair_filters(filters, where)
    degradation = recipe.degradation
    if degradation is not None:
        degradation = _complete_method("degradations", degradation, folder, where, "degradation")
    return recipe.model_copy(
        update={
            "labels": labels,
            "captions": _complete_method("captions", recipe.captions, folder, where, "captions"),
            "generator": _complete_method("generators", recipe.generator, folder, where, "generator"),
            "degradation": degradation,
            "filters": tuple(filters),
            "select": _complete_selection(recipe.select, filters, load_label_set(labels), where),
        }
    )


def score_columns(filters: Sequence[MethodSpec], labels: LabelSet) -> dict[str, str]:
    """Return name and meaning of every score column of a completed recipe's filters, in order."""
    columns: dict[str, str] = {}
    for spec in filters:
        own = dict(lookup("filters", spec.method)(method_options("filters", spec), labels).columns)
        taken = sorted(own.keys() & (columns.keys() | RESERVED_COLUMNS))
        if taken:
            raise RecipeError(
                f"the filter '{spec.method}' gives the score '{taken[0]}', which is another's name",
                where="filters",
                fix="take one of the two filters out, or rename the score in the plugin",
            )
        columns |= own
    return columns


def override(values: dict[str, Any], text: str) -> None:
    """Apply one `a.b=value` to a recipe's plain values, in place.

    Raises:
        RecipeError: The text has no `=`, its value is not YAML, or its path leads through a plain value.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise RecipeError(
            f"`--set {text}` has no value", fix="write `--set key=value`, for example `--set seed=7`"
        )
    try:
        parsed = parse_yaml(value)
    except NOT_YAML as error:
        raise RecipeError(f"`--set {text}`: the value is not YAML", fix="quote it") from error
    here: Any = values
    *parents, last = path.split(".")
    for part in parents:
        if isinstance(here, list):
            here = here[_position(part, here, text)]
        else:
            # A key that is null, such as a threshold that is switched off, can be given keys again.
            here[part] = {} if here.get(part) is None else here[part]
            here = here[part]
        if not isinstance(here, dict | list):
            raise RecipeError(
                f"`--set {text}`: '{part}' has no keys below it", fix="see the recipe for its keys"
            )
    if isinstance(here, list):
        here[_position(last, here, text)] = parsed
    else:
        here[last] = parsed


def _position(part: str, items: list[Any], text: str) -> int:
    if not (part.isascii() and part.isdigit()) or int(part) >= len(items):
        raise RecipeError(
            f"`--set {text}`: '{part}' is no position in a list of {len(items)}", fix="count from 0"
        )
    return int(part)


def _complete_method(kind: Kind, spec: MethodSpec, folder: Path, where: str, key: str) -> MethodSpec:
    try:
        cls = lookup(kind, spec.method)
    except RecipeError as error:
        raise RecipeError(f"'{key}.method': {error.what}", where=where, fix=error.fix) from error
    options = _absolute_paths(cls.Options, spec.model_extra or {}, folder)
    try:
        checked = cls.Options.model_validate(options)
    except ValidationError as error:
        sentence = explain(error, cls.Options)
        raise RecipeError(
            f"'{key}' ({spec.method}): {sentence}",
            where=where,
            fix=f"`synrs-data list {kind}` shows the options",
        ) from error
    return MethodSpec(method=spec.method, **checked.model_dump(mode="json"))


def _refuse_pair_filters(filters: list[MethodSpec], where: str) -> None:
    for spec in filters:
        if getattr(lookup("filters", spec.method), "needs_pairs", False):
            raise RecipeError(
                f"the filter '{spec.method}' compares low- and high-resolution images, and this recipe makes none",
                where=where,
                fix="take it out, or set `task: lr-hr` and a `degradation`",
            )


def _complete_selection(
    select: Selection, filters: list[MethodSpec], labels: LabelSet, where: str
) -> Selection:
    """Write out the thresholds and the near-duplicate distance that the filters bring."""
    thresholds: dict[str, Threshold | None] = {}
    for spec in filters:
        thresholds |= lookup("filters", spec.method)(method_options("filters", spec), labels).thresholds()
    thresholds |= select.thresholds
    columns = [name for name in score_columns(filters, labels) if is_number(name)]
    for name in [*thresholds, *([select.rank_by] if select.rank_by else [])]:
        if name not in columns:
            raise RecipeError(
                f"'select': no filter of this recipe gives the number '{name}'",
                where=where,
                fix=suggestion(name, columns, what="score"),
            )
    has_hash = any(spec.method == "near-duplicate" for spec in filters)
    distance = select.near_duplicate_distance
    if distance is not None and not has_hash:
        raise RecipeError(
            "'select.near_duplicate_distance' needs the filter near-duplicate",
            where=where,
            fix="add `- method: near-duplicate` to `filters`",
        )
    if "near_duplicate_distance" not in select.model_fields_set and has_hash:
        distance = DEFAULT_NEAR_DUPLICATE_DISTANCE
    return select.model_copy(update={"thresholds": thresholds, "near_duplicate_distance": distance})


def _absolute_paths(cls: type[BaseModel], options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make paths absolute that exist beside the recipe: the resolved recipe lies in another folder."""
    resolved = dict(options)
    for name in path_options(cls):
        value = options.get(name)
        # An empty text is no path, though `folder / ""` is the folder itself.
        if isinstance(value, str) and value and exists(folder / value):
            resolved[name] = str((folder / value).resolve())
    return resolved
