"""The models of a recipe: what keys it has, of which types, with which defaults.

A recipe has two parts. The *generation* part decides the candidates, which are dear; the *selection* part
(`select`) decides which of them are packed, which is cheap and can be changed at any time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synrs_data.registry import Kind, lookup


def path_option(default: Any = ..., *, description: str) -> Any:
    """Return the field of a method option that may name a file or folder.

    A relative path is taken from the recipe's folder, and the fingerprint counts the contents, not the path.
    """
    return Field(default, description=description, json_schema_extra={"path": True})


class Model(BaseModel):
    """Base of every part of a recipe: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        # Pydantic would read `candidates: true` as 1; no key of a recipe itself is a truth value.
        if isinstance(value, bool):
            raise ValueError(f"{str(value).lower()} is no value of this key")  # noqa: TRY004 (pydantic reports ValueError alone)
        return value


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

    @model_validator(mode="after")
    def _ordered(self) -> Threshold:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Quota(Model):
    """How many samples of each label are packed."""

    min: int = Field(0, ge=0, description="Fewer accepted candidates of a label than this are an error.")
    max: int | None = Field(
        None, ge=1, description="At most so many of a label are packed, the best by `rank_by`."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Quota:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


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
        description="Share of each split; a sample's split is a hash of its key, or of the real image behind it.",
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


LicensedPart = Literal["generator", "lora", "controlnet", "sources", "maps", "captions"]
"""What a dataset can be made from that has a licence of its own; see `synrs_data.licenses`."""

_NOT_GENERATION = {"select", "license_name", "license_link", "licenses"}

_DEFAULTS_OF_PAIRS = {"labels": "scene", "captions": {"method": "none"}, "image": {"format": "png"}}


class Recipe(Model):
    """One dataset: what is generated, how it is scored, what is packed."""

    version: Literal[1] = Field(1, description="Version of the recipe format.")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,95}$")] = Field(description="Short name.")
    title: str = Field("", description="Name for people.")
    description: str = Field("", description="What the dataset is for.")
    task: Literal["scene-caption", "lr-hr"] = Field("scene-caption", description="Which fields a sample has.")
    license: str = Field(description="Licence of the samples, as a Hugging Face licence id.")
    license_name: str = Field("", description="Name of the licence, if `license` is `other`.")
    license_link: str = Field("", description="Address of its text, if `license` is `other`.")
    licenses: dict[LicensedPart, str] = Field(
        default_factory=dict,
        description="Licence of a part whose files state none: generator, lora, controlnet, sources, maps, captions.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="The only source of randomness.")
    labels: str = Field(
        description="Label set: the name of a shipped one or a path. Pairs need none: `scene` has one label."
    )
    candidates: int = Field(ge=1, lt=10**9, description="How many images are generated.")
    shard_size: int = Field(
        256, ge=1, description="Candidates in one generated shard, the unit of work and resume."
    )
    captions: MethodSpec = Field(
        description="Caption strategy and its options. Pairs need none: `none` gives empty captions."
    )
    generator: MethodSpec = Field(
        description="Generator and its options; of pairs, what gives the high-resolution images."
    )
    degradation: MethodSpec | None = Field(
        None, description="How low-resolution images are made of high-resolution ones; for `lr-hr` alone."
    )
    filters: tuple[MethodSpec, ...] = Field((), description="Scores computed for every candidate.")
    image: ImageFormat = Field(default_factory=lambda: ImageFormat(), description="How images are encoded.")
    select: Selection = Field(default_factory=lambda: Selection(), description="The selection part.")

    @model_validator(mode="before")
    @classmethod
    def _pairs_need_no_captions(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("task") == "lr-hr":
            return _DEFAULTS_OF_PAIRS | values
        return values

    @model_validator(mode="after")
    def _fits_its_task(self) -> Recipe:
        if self.task == "lr-hr":
            if self.degradation is None:
                raise ValueError("'task: lr-hr' needs a 'degradation'")
            if self.image.format != "png":
                raise ValueError("'task: lr-hr' keeps pixels as they are: 'image.format' is png")
        elif self.degradation is not None:
            raise ValueError("'degradation' makes pairs: it needs 'task: lr-hr'")
        return self

    def generation_part(self) -> dict[str, Any]:
        """Return all that decides the candidates, as plain values."""
        return self.model_dump(mode="json", exclude=_NOT_GENERATION)

    def selection_part(self) -> dict[str, Any]:
        """Return all that decides which candidates are packed, as plain values."""
        return self.select.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return the recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def is_number(column: str) -> bool:
    """Return whether a score column holds numbers; perceptual hashes are texts, for `near_duplicate_distance`."""
    return not column.endswith("_phash")


def method_options(kind: Kind, spec: MethodSpec) -> Any:
    """Return the checked options of a method, as the method's own model."""
    return lookup(kind, spec.method).Options.model_validate(spec.model_extra or {})


def path_options(options: type[BaseModel]) -> list[str]:
    """Return the options of a method that may name a file or folder."""
    fields = options.model_fields.items()
    return [name for name, field in fields if (field.json_schema_extra or {}) == {"path": True}]
