"""Label sets and prompt-template sets: YAML files of `builders/vocab/`, or a user's own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synrs_data.errors import RecipeError
from synrs_data.resources import find, named_files


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_File):
    """One class of a label set.

    Attributes:
        name: The data set's own name of the class, as in its folders.
        phrase: The class in words, without an article, as it stands in a caption.
        article: The article that goes before the phrase, empty for none.
    """

    name: str = Field(min_length=1)
    phrase: str = Field(min_length=1)
    article: str = "a"

    @property
    def spoken(self) -> str:
        """The phrase with its article: "a forest", "annual crop land"."""
        return f"{self.article} {self.phrase}".strip()


class LabelSet(_File):
    """The classes of a data set, in the order of their indices."""

    name: str
    title: str
    source: str
    labels: tuple[Label, ...] = Field(min_length=1)

    @field_validator("labels")
    @classmethod
    def _unique(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        names = [label.name for label in labels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"labels appear twice: {', '.join(repeated)}")
        return labels

    @property
    def names(self) -> list[str]:
        """Names of the classes in the order of their indices."""
        return [label.name for label in self.labels]


class TemplateSet(_File):
    """Prompt templates with the place-holders `{label}` (the phrase) or `{spoken}` (with its article)."""

    name: str
    source: str
    templates: tuple[str, ...] = Field(min_length=1)

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            try:
                filled = template.format(label="x", spoken="y")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(f"template '{template}' has another place-holder than {{label}}") from error
            if filled == template:
                raise ValueError(f"template '{template}' has no place for {{label}}")
        return templates

    @property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the sha256 over the templates, one a line."""
        return hashlib.sha256("\n".join(self.templates).encode()).hexdigest()[:12]

    def fill(self, label: Label) -> list[str]:
        """Return every template filled for one label."""
        return [text.format(label=label.phrase, spoken=label.spoken) for text in self.templates]


def label_set_path(name: str) -> Path:
    """Return the file of a label set, by shipped name or path."""
    return find(name, named_files("builders/vocab/labels"), what="label set")


def template_set_path(name: str) -> Path:
    """Return the file of a template set, by shipped name or path."""
    return find(name, named_files("builders/vocab/templates"), what="template set")


def load_label_set(name: str) -> LabelSet:
    """Load a label set by shipped name or path."""
    return load_yaml(label_set_path(name), LabelSet)


def load_template_set(name: str) -> TemplateSet:
    """Load a template set by shipped name or path."""
    return load_yaml(template_set_path(name), TemplateSet)


FileT = TypeVar("FileT", bound=BaseModel)

NOT_YAML = (yaml.YAMLError, ValueError, KeyError, AttributeError, RecursionError)
"""What `parse_yaml` raises: PyYAML's own errors, and those of its constructors for a date or number that is none."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which makes plain values alone, without keys that silently replace an earlier one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' appears twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Return the plain values of a YAML text.

    Raises:
        YAMLError: And the others of `NOT_YAML`.
    """
    return yaml.load(text, _Loader)


def read_yaml(path: Path) -> Any:
    """Return the contents of a YAML file.

    Raises:
        RecipeError: It cannot be read or is not YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML) as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        reason = getattr(error, "problem", None) or getattr(error, "strerror", None) or str(error)
        raise RecipeError(
            f"cannot be read as YAML: {reason}{line}", where=str(path), fix="correct the file"
        ) from error


def load_yaml(path: Path, model: type[FileT]) -> FileT:
    """Load a YAML file into a pydantic model.

    Raises:
        RecipeError: It is not YAML, or does not fit the model; the message names the first wrong key.
    """
    try:
        return model.model_validate(read_yaml(path))
    except ValidationError as error:
        raise RecipeError(explain(error, model), where=str(path), fix="correct the file") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one sentence a wrong key: where it is, what is wrong, and the nearest known key."""
    import difflib

    sentences = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"]) or "the file"
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            near = difflib.get_close_matches(name, _field_names(model), n=1, cutoff=0.5)
            sentences.append(f"unknown key '{place}'" + (f", did you mean '{near[0]}'?" if near else ""))
        elif problem["type"] == "missing":
            sentences.append(f"the key '{place}' is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = (
                "" if isinstance(problem["input"], dict | list) else f" (it is {_short(problem['input'])})"
            )
            sentences.append(f"'{place}': {message[0].lower()}{message[1:]}{value}")
    return "; ".join(sentences)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _field_names(model: type[BaseModel]) -> list[str]:
    names = list(model.model_fields)
    for info in model.model_fields.values():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += _field_names(info.annotation)
    return names
