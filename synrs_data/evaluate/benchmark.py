"""A benchmark: one YAML file of `evals/`, or a user's own, that fixes everything a score depends on but the model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.other_tasks import CaptionedImages, ImageMetric, ImagePairs, RetrievalMetric
from synrs_data.evaluate.parts import (
    BenchmarkId,
    Ensemble,
    Images,
    Metric,
    Part,
    Prompts,
    SavedFeatures,
    Source,
    canonical_digest,
    prompts_digest,
)
from synrs_data.resources import find, shipped, suggestion
from synrs_data.vocabulary import Label, load_template_set, load_yaml, read_yaml

Task = Literal["classification", "retrieval", "super-resolution"]


class Benchmark(Part):
    """What every benchmark has.

    Attributes:
        id: Its name; that of its file.
        version: Raised when anything changes that moves a score.
        title: One line for lists.
        task: What is measured.
        license: Of the data.
        leak_policy: What a model may not have seen, in words.
    """

    id: BenchmarkId
    version: int = Field(ge=1)
    title: str = Field(min_length=1)
    task: Task
    license: str = Field(min_length=1)
    leak_policy: str = Field(min_length=1)
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _unique(self) -> Benchmark:
        for what, names in self._names():
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"the {what} {', '.join(repeated)} appears twice")
        return self

    def _names(self) -> list[tuple[str, list[str]]]:
        """Return what may not appear twice, by what it is."""
        return [("metric", [str(metric.name) for metric in getattr(self, "metrics", ())])]

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


class Prompted(Benchmark):
    """A benchmark that asks models by text.

    Attributes:
        prompts: The prompt templates.
    """

    prompts: Prompts

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


class Classification(Prompted):
    """Scene classification: zero-shot, or by a classifier that a protocol trains.

    Attributes:
        task: "classification".
        dataset: How its items are found, and their content by hash.
        classes: In the order of their indices; a bare name stands for a label whose phrase it is.
        ensemble: How the embeddings of a class's prompts become one.
        metrics: What is reported.
    """

    task: Literal["classification"]
    dataset: Annotated[Images | SavedFeatures | Source, Field(discriminator="kind")]
    classes: tuple[Label, ...] = Field(min_length=2)
    ensemble: Ensemble
    metrics: tuple[Metric, ...] = Field(min_length=1)

    @field_validator("classes", mode="before")
    @classmethod
    def _names_are_labels(cls, values: Any) -> Any:
        if not isinstance(values, list | tuple):
            return values
        for number, value in enumerate(values):
            # YAML reads null, yes, 3 and 2020-01-01 as no texts.
            if value is None or isinstance(value, bool | int | float | date):
                raise ValueError(f"class {number} is {value!r}, which is no text: put its name in quotes")
        return [{"name": v, "phrase": v, "article": ""} if isinstance(v, str) else v for v in values]

    def _names(self) -> list[tuple[str, list[str]]]:
        return [("class", self.class_names), *super()._names()]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices."""
        return [label.name for label in self.classes]


class Retrieval(Benchmark):
    """Image-text retrieval both ways (reference protocol: `retrieval.py` of ChenDelong1999/RemoteCLIP).

    Attributes:
        task: "retrieval".
        dataset: Images and their captions.
        capitalize: Whether each caption goes through Python's `str.capitalize` first, as there.
        metrics: What is reported.
    """

    task: Literal["retrieval"]
    dataset: CaptionedImages
    capitalize: bool
    metrics: tuple[RetrievalMetric, ...] = Field(min_length=1)


class SuperResolution(Benchmark):
    """Super-resolution by a whole factor.

    Attributes:
        task: "super-resolution".
        dataset: Pairs of images.
        scale: HR pixels for an LR pixel along an edge.
        metrics: What is reported.
    """

    task: Literal["super-resolution"]
    dataset: ImagePairs
    scale: int = Field(ge=2, le=16)
    metrics: tuple[ImageMetric, ...] = Field(min_length=1)


AnyBenchmark = Classification | Retrieval | SuperResolution

TASKS: dict[str, type[Classification] | type[Retrieval] | type[SuperResolution]] = {
    "classification": Classification,
    "retrieval": Retrieval,
    "super-resolution": SuperResolution,
}
"""The model of each task's benchmarks."""


def benchmarks() -> dict[str, Path]:
    """Return the files of the shipped benchmarks by name."""
    return {path.stem: path for path in sorted(shipped("evals").glob("*.yaml"))}


def describe() -> Iterator[str]:
    """Yield a line for each shipped benchmark."""
    for name in benchmarks():
        found = load_benchmark(name)
        yield f"{name}: {found.title}; {found.task}, version {found.version}, task hash {found.task_hash[:12]}"


def load_benchmark(name: str) -> AnyBenchmark:
    """Load a benchmark by shipped name or path.

    Raises:
        RecipeError: There is none, or its file is wrong; the message names the key.
    """
    path = find(name, benchmarks(), what="benchmark")
    values = read_yaml(path)
    task = values.get("task") if isinstance(values, dict) else None
    if not isinstance(task, str) or task not in TASKS:
        what = "the key 'task' is missing" if task is None else "'task': input should be a text"
        name = task if isinstance(task, str) else ""
        # Only a text is quoted: by aliases a short file can hold a list that is endless when it is written out.
        what = f"'task': there is no task {task!r}" if name else what
        raise RecipeError(what, where=str(path), fix=suggestion(name, list(TASKS), what="task"))
    benchmark = load_yaml(path, TASKS[task])
    benchmark._folder = path.parent
    return benchmark


def load_classification(name: str) -> Classification:
    """Load a benchmark of classification.

    Raises:
        RecipeError: See `load_benchmark`.
        UserError: It is of another task.
    """
    benchmark = load_benchmark(name)
    if not isinstance(benchmark, Classification):
        raise UserError(
            f"the benchmark '{benchmark.id}' is of the task {benchmark.task}, not classification",
            fix="choose another benchmark: `synrs-data list benchmarks`",
        )
    return benchmark
