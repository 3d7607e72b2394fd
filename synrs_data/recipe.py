"""Recipes: one YAML file a dataset, checked, completed with every default, overridden by `--set`, fingerprinted.

A recipe has two parts. The *generation* part decides the candidates, which are dear; the *selection* part
(`select`) decides which of them are packed, which is cheap and can be changed at any time. Each part has a
fingerprint of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synrs_data.errors import RecipeError
from synrs_data.registry import Kind, lookup
from synrs_data.resources import find, recipes, suggestion
from synrs_data.vocabulary import NOT_YAML, LabelSet, explain, load_label_set, parse_yaml, read_yaml

FINGERPRINT_VERSION = 1
DEFAULT_NEAR_DUPLICATE_DISTANCE = 4

EXCLUDED: dict[str, str] = {
    "title": "a label for people; it is in no shard",
    "description": "a text for people; it is in no shard",
    "labels": "where the label set lies; the digest of its contents counts instead",
    "options made with `path_option`": "where a file or model lies; the digest of its contents counts instead",
    "select": "decides nothing about the candidates; it has a fingerprint of its own",
}
"""What the fingerprint of the generation part leaves out, and why."""


def path_option(default: Any = ..., *, description: str) -> Any:
    """Return the field of a method option that may name a file or folder.

    A relative path is taken from the recipe's folder, and the fingerprint counts the contents, not the path.
    """
    return Field(default, description=description, json_schema_extra={"path": True})


class Model(BaseModel):
    """Base of every part of a recipe: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MethodSpec(BaseModel):
    """A method by name with its options beside it; they are checked against the method's own model."""

    model_config = ConfigDict(extra="allow", frozen=True)

    method: str = Field(description="Registered name; `synrs-data list` shows them.")


class ImageFormat(Model):
    """How images are encoded."""

    format: Literal["jpg", "png", "webp"] = Field("jpg", description="Extension of the image field.")
    quality: int = Field(
        95, ge=1, le=100, description="Quality of jpg, and of webp below 100; 100 is lossless webp."
    )


class Threshold(Model):
    """The range of a score that is accepted, both ends included."""

    min: float | None = Field(None, description="Lowest accepted value.")
    max: float | None = Field(None, description="Highest accepted value.")


class Quota(Model):
    """How many samples of each label are packed."""

    min: int = Field(0, ge=0, description="Fewer accepted candidates of a label than this are an error.")
    max: int | None = Field(
        None, ge=1, description="At most so many of a label are packed, the best by `rank_by`."
    )


class Selection(Model):
    """Which candidates are packed, into which splits and shards."""

    thresholds: dict[str, Threshold | None] = Field(
        default_factory=dict,
        description="Accepted range by score column; filters bring defaults; null switches one off.",
    )
    near_duplicate_distance: int | None = Field(
        None,
        ge=0,
        le=16,
        description="Images whose 64-bit perceptual hashes differ in at most so many bits are one; null keeps all.",
    )
    rank_by: str | None = Field(
        None,
        description="Score column by which quotas, top_k and near-duplicates keep the highest; null: by key.",
    )
    per_label: Quota = Field(default_factory=lambda: Quota(), description="Quota of each label.")
    top_k: int | None = Field(
        None, ge=1, description="At most so many samples in all, the best by `rank_by`."
    )
    splits: dict[str, float] = Field(
        default_factory=lambda: {"train": 1.0},
        description="Share of each split; a sample's split is a hash of its key.",
    )
    samples_per_shard: int = Field(1000, ge=1, description="Largest number of samples in a packed shard.")

    @field_validator("splits")
    @classmethod
    def _shares(cls, splits: dict[str, float]) -> dict[str, float]:
        for name, share in splits.items():
            if not re.fullmatch(r"[a-z][a-z0-9]*", name):
                raise ValueError(f"split '{name}' must be lower-case letters and digits")
            if share <= 0:
                raise ValueError(f"split '{name}' has share {share}, which is not above 0")
        if not splits or abs(sum(splits.values()) - 1) > 1e-6:
            raise ValueError(f"the shares add up to {sum(splits.values())}, not to 1")
        return splits


class Recipe(Model):
    """One dataset: what is generated, how it is scored, what is packed."""

    version: Literal[1] = Field(1, description="Version of the recipe format.")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,95}$")] = Field(description="Short name.")
    title: str = Field("", description="Name for people.")
    description: str = Field("", description="What the dataset is for.")
    task: Literal["scene-caption"] = Field("scene-caption", description="Which fields a sample has.")
    license: str = Field(description="Licence of the samples, as a Hugging Face licence id.")
    seed: int = Field(0, ge=0, lt=2**63, description="The only source of randomness.")
    labels: str = Field(description="Label set: the name of a shipped one or a path.")
    candidates: int = Field(ge=1, lt=10**9, description="How many images are generated.")
    shard_size: int = Field(
        256, ge=1, description="Candidates in one generated shard, the unit of work and resume."
    )
    captions: MethodSpec = Field(description="Caption strategy and its options.")
    generator: MethodSpec = Field(description="Generator and its options.")
    filters: tuple[MethodSpec, ...] = Field((), description="Scores computed for every candidate.")
    image: ImageFormat = Field(default_factory=lambda: ImageFormat(), description="How images are encoded.")
    select: Selection = Field(default_factory=lambda: Selection(), description="The selection part.")

    def generation_part(self) -> dict[str, Any]:
        """Return all that decides the candidates, as plain values."""
        return self.model_dump(mode="json", exclude={"select"})

    def selection_part(self) -> dict[str, Any]:
        """Return all that decides which candidates are packed, as plain values."""
        return self.select.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return the recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


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
    return recipe.model_copy(
        update={
            "labels": labels,
            "captions": _complete_method("captions", recipe.captions, folder, where, "captions"),
            "generator": _complete_method("generators", recipe.generator, folder, where, "generator"),
            "filters": tuple(filters),
            "select": _complete_selection(recipe.select, filters, load_label_set(labels), where),
        }
    )


def score_columns(filters: Sequence[MethodSpec], labels: LabelSet) -> dict[str, str]:
    """Return name and meaning of every score column of a completed recipe's filters, in order."""
    columns: dict[str, str] = {}
    for spec in filters:
        columns |= dict(lookup("filters", spec.method)(method_options("filters", spec), labels).columns)
    return columns


def is_number(column: str) -> bool:
    """Return whether a score column holds numbers; perceptual hashes are texts, for `near_duplicate_distance`."""
    return not column.endswith("_phash")


def method_options(kind: Kind, spec: MethodSpec) -> Any:
    """Return the checked options of a method, as the method's own model."""
    return lookup(kind, spec.method).Options.model_validate(spec.model_extra or {})


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


def generation_fingerprint(recipe: Recipe, digests: dict[str, str]) -> str:
    """Return the fingerprint of the generation part.

    Args:
        recipe: A completed recipe.
        digests: sha256 of the contents that stand for excluded paths: captions, weights, label set.
    """
    values = recipe.model_dump(mode="json", exclude={"title", "description", "labels", "select"})
    methods: list[tuple[Kind, dict[str, Any]]] = [
        ("captions", values["captions"]),
        ("generators", values["generator"]),
    ]
    methods += [("filters", spec) for spec in values["filters"]]
    for kind, spec in methods:
        for name in _path_options(lookup(kind, spec["method"]).Options):
            del spec[name]
    return _fingerprint({"generation": values, "digests": digests})


def selection_fingerprint(recipe: Recipe) -> str:
    """Return the fingerprint of the selection part."""
    return _fingerprint({"selection": recipe.selection_part()})


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return dotted keys, with both values, in which two recipes' plain values differ."""
    changes: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key} (was {before!r}, is {after!r})")
    return changes


def _fingerprint(values: dict[str, Any]) -> str:
    text = json.dumps({"version": FINGERPRINT_VERSION, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


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


def _path_options(options: type[BaseModel]) -> list[str]:
    fields = options.model_fields.items()
    return [name for name, field in fields if (field.json_schema_extra or {}) == {"path": True}]


def _absolute_paths(cls: type[BaseModel], options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make paths absolute that exist beside the recipe: the resolved recipe lies in another folder."""
    resolved = dict(options)
    for name in _path_options(cls):
        value = options.get(name)
        # An empty text is no path, though `folder / ""` is the folder itself.
        if isinstance(value, str) and value and (folder / value).exists():
            resolved[name] = str((folder / value).resolve())
    return resolved
