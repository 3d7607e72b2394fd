"""The plan of a published recipe, whose sources are found on this machine and are the same as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from synrs_data.build.plan import CAPTION_FILE, BuildPlan, digests_of
from synrs_data.build.state import read_plan, read_recipe, read_state
from synrs_data.errors import RecipeError, UserError
from synrs_data.files import exists
from synrs_data.fingerprint import changed_keys
from synrs_data.hub.origin import Origin
from synrs_data.recipe import Recipe, path_options
from synrs_data.recipe_file import complete, override
from synrs_data.registry import Kind, lookup
from synrs_data.shards.folder import BuildFolder
from synrs_data.vocabulary import NOT_YAML, parse_yaml

_EVALUATION = "generator.evaluation"


def published_plan(origin: Origin, published: BuildFolder, overrides: Sequence[str]) -> BuildPlan:
    """Return the plan of a build from its published files.

    A published recipe names only the last part of each path. Where the contents lie is said by `overrides`, and the
    digests of `build.json` decide whether they are the same. Relative paths start from the working folder. The
    caption book is published, so that the files it was made from need not be there.

    Args:
        origin: The build.
        published: Where its recipe, its state and its caption book lie.
        overrides: Texts such as `generator.images=PATH`.

    Raises:
        UserError: A source is missing or has other contents, or an override changes more than a place.
        VerificationError: One of the files is damaged.
    """
    where = f"{origin.where}/{published.recipe.name}"
    _refuse_selection(overrides, where)
    values = read_recipe(published)
    for text in overrides:
        override(values, _from_here(text))
    if not any(text.startswith(f"{_EVALUATION}=") for text in overrides):
        _leave_out_evaluation(values)
    recipe = _complete(values, published.root / "nothing", where)
    state = read_state(published)
    plan = read_plan(published, recipe)
    if plan.fingerprint != state["fingerprint"]:
        raise _another_recipe(origin, read_recipe(published), recipe, where)
    captions = {key: value for key, value in state["digests"].items() if key.startswith(CAPTION_FILE)}
    try:
        found = digests_of(recipe, captions)
    except UserError as error:
        raise UserError(error.what, where=error.where, fix=_places(recipe, error)) from error
    names = found.keys() | state["digests"].keys()
    if others := sorted(name for name in names if found.get(name) != state["digests"].get(name)):
        raise UserError(
            f"the contents of {', '.join(others)} are not those that the dataset was made from (sha256 differs)",
            where=where,
            fix=f"{_places(recipe, None)}; what comes with synrs-data is that of {origin.manifest['software']}",
        )
    return plan


def _refuse_selection(overrides: Sequence[str], where: str) -> None:
    for text in overrides:
        if text.partition("=")[0].partition(".")[0] == "select":
            raise RecipeError(
                f"`--set {text}` chooses other samples",
                where=where,
                fix="take it out: a rebuild packs the same",
            )


def _leave_out_evaluation(values: dict[str, Any]) -> None:
    """Leave out the images that no source may be one of: they shape no sample, and were compared at the build."""
    generator = values.get("generator")
    if isinstance(generator, dict) and generator.get("evaluation"):
        generator["evaluation"] = None


def _from_here(text: str) -> str:
    """Return an override whose path, if it names one, starts from the working folder."""
    key, _, value = text.partition("=")
    if value and exists(Path(value)):
        with suppress(*NOT_YAML):
            if isinstance(parse_yaml(value), str):
                return f"{key}={json.dumps(str(Path(value).absolute()))}"
    return text


def _complete(values: dict[str, Any], nothing: Path, where: str) -> Recipe:
    """Complete a published recipe; `nothing` is no folder, so that a name stays that of an embedded model."""
    try:
        return complete(values, folder=nothing, where=where)
    except RecipeError as error:
        labels = str(values.get("labels"))
        if labels and labels in f"{error.where} {error.what}":
            raise RecipeError(error.what, where=where, fix=_say(["labels"])) from error
        raise


def _another_recipe(origin: Origin, before: dict[str, Any], recipe: Recipe, where: str) -> RecipeError:
    after = recipe.generation_part()
    old = {key: value for key, value in before.items() if key in after}
    changes = changed_keys(_without_places(old, recipe), _without_places(after, recipe))
    software = origin.manifest["software"]
    if changes:
        return RecipeError(
            f"is another recipe so: {'; '.join(changes)}",
            where=where,
            fix=f"use `--set` for places of files, folders and models alone; without any `--set`, install {software}",
        )
    return RecipeError(
        "has another fingerprint than its build.json says", where=where, fix=f"install {software}"
    )


def _without_places(values: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the generation part of a recipe's plain values without titles and without what names places."""
    left = {key: value for key, value in values.items() if key not in ("title", "description")}
    for key, _ in _named_places(recipe):
        left = _without(left, key.split("."))
    return left


def _without(value: Any, path: Sequence[str]) -> Any:
    """Return a value without what lies at a path in it."""
    first, *rest = path
    if isinstance(value, list):
        return [_without(item, rest) if str(place) == first else item for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if not rest:
        return {key: item for key, item in value.items() if key != first}
    return {key: _without(item, rest) if key == first else item for key, item in value.items()}


def _named_places(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """Yield key and value of everything in a recipe that may name a file, folder or model."""
    yield "labels", recipe.labels
    methods: list[tuple[str, Kind, Any]] = [
        ("captions", "captions", recipe.captions),
        ("generator", "generators", recipe.generator),
        *((f"filters.{number}", "filters", spec) for number, spec in enumerate(recipe.filters)),
    ]
    if recipe.degradation is not None:
        methods.append(("degradation", "degradations", recipe.degradation))
    for key, kind, spec in methods:
        for name in path_options(lookup(kind, spec.method).Options):
            yield f"{key}.{name}", (spec.model_extra or {}).get(name)


def _places(recipe: Recipe, error: UserError | None) -> str:
    """Return how to say where contents lie: for what an error names, else for all that may be elsewhere."""
    found = [
        (key, str(value)) for key, value in _named_places(recipe) if value and not key.startswith("captions.")
    ]
    if error is not None:
        found = [(key, value) for key, value in found if value in f"{error.where} {error.what}"] or found
    return _say([key for key, _ in found])


def _say(keys: Sequence[str]) -> str:
    options = " ".join(f"--set {key}=PATH" for key in keys)
    return (
        f"a published recipe has only the last part of a path; say where it lies on this machine: `{options}`"
    )
