"""A benchmark: one YAML file of `evals/`, or a user's own, that fixes everything a score depends on but the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from synrs_data.errors import RecipeError
from synrs_data.resources import find, shipped
from synrs_data.vocabulary import Label, load_template_set, load_yaml

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BenchmarkId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Ensemble = Literal["normalise-mean-normalise", "mean-normalise"]
MetricName = Literal["top1", "mean-per-class"]


class Part(BaseModel):
    """Base of a benchmark's parts: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Images(Part):
    """Items that are images of a WebDataset tar, with a table of their labels.

    Attributes:
        kind: Tells this from saved features.
        name: The data set they come from; a baseline trained on it is in-domain.
        split: Rows of the table that are the test.
        images: The tar, from the benchmark's folder.
        images_sha256: Digest of the tar.
        items: CSV with the columns key, split, label (a class name) and sha256 (of the image).
        items_sha256: Digest of the table.
        get: What to do where a file is missing, as an instruction.
    """

    kind: Literal["images"]
    name: str = Field(min_length=1)
    split: str = Field(min_length=1)
    images: str = Field(min_length=1)
    images_sha256: Sha256
    items: str = Field(min_length=1)
    items_sha256: Sha256
    get: str = Field(min_length=1)


class SavedFeatures(Part):
    """Items that are rows of a file of saved features; their keys are the row numbers, nine digits.

    Attributes:
        kind: Tells this from images.
        name: The data set they come from; a baseline trained on it is in-domain.
        count: Number of items.
        labels_sha256: `labels_digest` of the class names and of every item's label.
        path: A file of features to use where none is given, from the benchmark's folder.
        get: What to do where a file is missing, as an instruction.
    """

    kind: Literal["features"]
    name: str = Field(min_length=1)
    count: int = Field(ge=1)
    labels_sha256: Sha256
    path: str | None = None
    get: str = Field(min_length=1)


class Prompts(Part):
    """The prompt templates, pinned.

    Attributes:
        name: A template set of `builders/vocab/templates`, or the prompts of saved features.
        count: Number of templates.
        sha256: `prompts_digest` of the templates.
    """

    name: str = Field(min_length=1)
    count: int = Field(ge=1)
    sha256: Sha256


class Metric(Part):
    """A number to report.

    Attributes:
        name: "top1", the share of items that are right; "mean-per-class", the mean of that share over classes.
        direction: Whether a higher or a lower value is better.
        chance: The expected value of guessing evenly.
    """

    name: MetricName
    direction: Literal["higher", "lower"]
    chance: float = Field(ge=0, le=1)


class Benchmark(Part):
    """A zero-shot classification benchmark.

    Attributes:
        id: Its name; that of its file.
        version: Raised when anything changes that moves a score.
        title: One line for lists.
        task: The protocol: class embeddings from prompts, the class of the highest cosine wins.
        dataset: How its items are found, and their content by hash.
        classes: In the order of their indices; a bare name stands for a label whose phrase it is.
        prompts: The prompt templates.
        ensemble: How the embeddings of a class's prompts become one.
        metrics: What is reported.
        license: Of the data.
        leak_policy: What a model may not have seen, in words.
    """

    id: BenchmarkId
    version: int = Field(ge=1)
    title: str = Field(min_length=1)
    task: Literal["zero-shot-classification"]
    dataset: Annotated[Images | SavedFeatures, Field(discriminator="kind")]
    classes: tuple[Label, ...] = Field(min_length=2)
    prompts: Prompts
    ensemble: Ensemble
    metrics: tuple[Metric, ...] = Field(min_length=1)
    license: str = Field(min_length=1)
    leak_policy: str = Field(min_length=1)
    _folder: Path = PrivateAttr(default=Path())

    @field_validator("classes", mode="before")
    @classmethod
    def _names_are_labels(cls, values: Any) -> Any:
        if not isinstance(values, list | tuple):
            return values
        return [{"name": v, "phrase": v, "article": ""} if isinstance(v, str) else v for v in values]

    @model_validator(mode="after")
    def _unique(self) -> Benchmark:
        metrics = [str(metric.name) for metric in self.metrics]
        for what, names in (("class", self.class_names), ("metric", metrics)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"the {what} {', '.join(repeated)} appears twice")
        return self

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices."""
        return [label.name for label in self.classes]

    @property
    def task_hash(self) -> str:
        """The sha256 over the whole benchmark as canonical JSON: sorted keys, no spaces, UTF-8.

        Only `dataset.path` and `dataset.get` are left out: they say where the data lie, and those who keep the same
        data elsewhere do the same task.
        """
        values = self.model_dump(mode="json")
        for key in ("path", "get"):
            values["dataset"].pop(key, None)
        return canonical_digest(values)

    def at(self, path: str) -> Path:
        """Return a path that the benchmark names, taken from its folder."""
        return self._folder / Path(path).expanduser()

    def templates(self) -> tuple[str, ...]:
        """Return the prompt templates.

        Raises:
            RecipeError: There is no such set, or it is not the one that the benchmark pins.
        """
        templates = load_template_set(self.prompts.name).templates
        self.check_prompts(templates, where=f"the template set '{self.prompts.name}'")
        return templates

    def check_prompts(self, prompts: tuple[str, ...], where: str) -> None:
        """Raise a RecipeError unless these are the pinned prompts.

        Args:
            prompts: Templates or, of saved features, the prompts as their file lists them.
            where: Their place, for the message.
        """
        found = prompts_digest(prompts)
        if (found, len(prompts)) != (self.prompts.sha256, self.prompts.count):
            raise RecipeError(
                f"these {len(prompts)} prompts are not the {self.prompts.count} of the benchmark: their sha256 is "
                f"{found}, not {self.prompts.sha256}",
                where=where,
                fix=f"use the prompts that '{self.id}' version {self.version} was made with",
            )


def canonical_digest(values: Any) -> str:
    """Return the sha256 of values as canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def prompts_digest(prompts: tuple[str, ...]) -> str:
    """Return the sha256 of prompts, one a line."""
    return hashlib.sha256("\n".join(prompts).encode()).hexdigest()


def labels_digest(classes: list[str], labels: list[int]) -> str:
    """Return the sha256 that stands for the items of saved features: class names, and each item's index of one."""
    return canonical_digest({"classes": classes, "labels": labels})


def benchmarks() -> dict[str, Path]:
    """Return the files of the shipped benchmarks by name."""
    return {path.stem: path for path in sorted(shipped("evals").glob("*.yaml"))}


def describe() -> Iterator[str]:
    """Yield a line for each shipped benchmark."""
    for name in benchmarks():
        found = load_benchmark(name)
        yield f"{name}: {found.title}; version {found.version}, task hash {found.task_hash[:12]}"


def load_benchmark(name: str) -> Benchmark:
    """Load a benchmark by shipped name or path.

    Raises:
        RecipeError: There is none, or its file is wrong; the message names the key.
    """
    path = find(name, benchmarks(), what="benchmark")
    benchmark = load_yaml(path, Benchmark)
    benchmark._folder = path.parent
    return benchmark
