"""What benchmarks are made of: data sets, prompts and metrics, and the digests that pin them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BenchmarkId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Ensemble = Literal["normalise-mean-normalise", "mean-normalise"]
MetricName = Literal["top1", "mean-per-class"]
Direction = Literal["higher", "lower"]


class Part(BaseModel):
    """Base of a benchmark's parts: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Splits(Part):
    """Values of a table's column `split`.

    Attributes:
        test: Items that scores are of.
        train: Items that a classifier may be trained on; None where the benchmark has none.
        validation: Items that settings are chosen on; None to take them from those to train on.
    """

    test: str = Field(min_length=1)
    train: str | None = Field(None, min_length=1)
    validation: str | None = Field(None, min_length=1)


class Images(Part):
    """Items that are images of a WebDataset tar, with a table of their labels.

    Attributes:
        kind: Tells this from other data sets.
        name: The data set they come from; a baseline trained on it is in-domain.
        splits: Which rows of the table are what.
        images: The tar, from the benchmark's folder.
        images_sha256: Digest of the tar.
        items: CSV or Parquet with the columns key, split, label (a class name) and sha256 (of the image).
        items_sha256: Digest of the table.
        get: What to do where a file is missing, as an instruction.
    """

    kind: Literal["images"]
    name: str = Field(min_length=1)
    splits: Splits
    images: str = Field(min_length=1)
    images_sha256: Sha256
    items: str = Field(min_length=1)
    items_sha256: Sha256
    get: str = Field(min_length=1)


class SavedFeatures(Part):
    """Items that are rows of a file of saved features; their keys are the row numbers, nine digits.

    Attributes:
        kind: Tells this from other data sets.
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


class ClassFolders(Part):
    """A rule instead of a table: an image's class is the folder it lies in, its split follows from its contents.

    Of parquet shards, as `datasets` writes them, a column says the class: by name, or by number with the names in the
    schema's metadata.

    Of each class, images are put in the order of a hash of `salt`, class name and contents; the first are to train
    on, the next to validate on, the rest is the test. Copies of an image count once.

    Attributes:
        train: Share of each class to train on, rounded to whole images.
        validation: Share of each class to validate on; 0 to take them from those to train on.
        images: Images that the data set has, copies included; None if that is not known.
        salt: Another one splits in another way.
        label_column: Column of parquet shards that says the class.
    """

    train: float = Field(ge=0, lt=1)
    validation: float = Field(0, ge=0, lt=1)
    images: int | None = Field(None, ge=1)
    salt: str = Field(min_length=1)
    label_column: str = Field("label", min_length=1)

    @model_validator(mode="after")
    def _leaves_a_test(self) -> ClassFolders:
        if self.train + self.validation >= 1:
            raise ValueError("train and validation leave no image for the test")
        return self


class Source(Part):
    """Items that are images wherever a user has them: a folder, tars, parquet shards, a data set of the Hub.

    Either a pinned table or a rule says which class and split an image is of. With a table, images are found by the
    sha256 of their bytes, so their names and folders do not matter.

    Attributes:
        kind: Tells this from other data sets.
        name: The data set they come from; a baseline trained on it is in-domain.
        path: Where they lie if `--data` does not say it: a path from the benchmark's folder, or hf://datasets/...
        field: Field of a tar's samples or column of parquet, if there are several images in one.
        items: CSV or Parquet with the columns name, split, label (a class name) and sha256 (of the image).
        items_sha256: Digest of the table.
        splits: Which rows of the table are what.
        rule: Instead of a table.
        content_sha256: Of a rule: `content_digest` of what it must find; None means "not pinned", and the result
            then says what was found.
        get: What to do where images are missing, as an instruction.
    """

    kind: Literal["source"]
    name: str = Field(min_length=1)
    path: str | None = None
    field: str | None = None
    items: str | None = None
    items_sha256: Sha256 | None = None
    splits: Splits | None = None
    rule: ClassFolders | None = None
    content_sha256: Sha256 | None = None
    get: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        table = (self.items, self.items_sha256, self.splits)
        if self.rule is None and None in table:
            raise ValueError("give `items`, `items_sha256` and `splits`, or a `rule`")
        if self.rule is not None and any(value is not None for value in table):
            raise ValueError("give either `items`, `items_sha256` and `splits`, or a `rule`, not both")
        if self.rule is None and self.content_sha256 is not None:
            raise ValueError("`content_sha256` pins what a `rule` finds; a table is pinned by `items_sha256`")
        return self


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
    direction: Direction
    chance: float = Field(ge=0, le=1)


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


def content_digest(rows: list[tuple[str, str]]) -> str:
    """Return the sha256 that stands for labelled images: their (class name, sha256), sorted, a line each."""
    return hashlib.sha256(
        "".join(f"{label} {sha256}\n" for label, sha256 in sorted(rows)).encode()
    ).hexdigest()
