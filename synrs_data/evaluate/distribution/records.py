"""The report of a comparison, `distance.json`: every number with its extractor, sample sizes, settings and spread."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

REPORT = "distance.json"

Pair = Literal["synthetic-real", "test-real"]
"""What is compared with what: the second one is the floor, real images with other real images."""


class Record(BaseModel):
    """Base of the report's parts: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExtractorRecord(Record):
    """What made the features.

    Attributes:
        id: Its name; part of the name of every measure.
        kind: How it was loaded; "external" for features that another program made.
        sha256: Digest of its weights.
        width: Numbers of a feature.
        preprocessing: How images are resized and normalised.
    """

    id: str = Field(min_length=1)
    kind: Literal["open-clip", "timm", "external"]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    preprocessing: dict[str, Any]


class SetRecord(Record):
    """One of the compared sets.

    Attributes:
        role: What it is in the comparison.
        location: Where it lies, as the user named it.
        n: Images that were read.
        of: Images that are there.
        sha256: Digest of the source, or of the file of features.
    """

    role: Literal["synthetic", "real", "train", "test"]
    location: str
    n: int
    of: int
    sha256: str


class Measure(Record):
    """A number.

    Attributes:
        name: Measure and extractor, such as "frechet-distance@eurosat-tiny-clip".
        pair: Of which two sets.
        value: The number.
        better: Which direction is better.
        n: Images of each of the two sets, drawn so that all numbers of a report have the same.
        standard_error: Over half samples; None where an interval says it.
        low: Lower end of the 95 % interval over images, the other set held fixed; None where there is none.
        high: Upper end.
        settings: Neighbours, kernel, subsets.
        cautions: Why it says little, if it does.
    """

    name: str
    pair: Pair
    value: float
    better: Literal["lower", "higher"]
    n: int
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    settings: dict[str, int | float | str] = {}
    cautions: tuple[str, ...] = ()


class CaptionRecord(Record):
    """How well captions fit their images; see `clip_score.Agreement`."""

    name: str
    n: int
    captions: int
    shuffles: int
    mean: float
    null: float
    null_deviation: float
    difference: float
    low: float
    high: float


class NearnessRecord(Record):
    """How near images come to training images; see `memorisation.Nearness`.

    Attributes:
        training: Role of the set that is searched.
        floor: Role of the held-out real images.
        n: Synthetic images.
        n_training: Training images.
        n_floor: Held-out images.
        authentic: Share of synthetic images that are authentic, with its interval.
        floor_authentic: Share of held-out images that are.
        floor_copies: Held-out images with the pixels of a training image, which make the floor too low; None for saved
            features.
    """

    name: str
    training: Literal["train", "real"]
    floor: Literal["real", "test"]
    n: int
    n_training: int
    n_floor: int
    median: float
    floor_median: float
    limit: float
    below_limit: float
    nearer: float
    nearer_low: float
    nearer_high: float
    authentic: float
    authentic_low: float
    authentic_high: float
    floor_authentic: float
    floor_copies: int | None


class LeakRecord(Record):
    """Copies of test images in another set.

    Attributes:
        role: The set.
        n: Its images.
        n_test: Test images.
        exact: Images with the pixels of a test image.
        near: Images whose perceptual hash is within `distance` bits of that of a test image, exact ones too.
        distance: Bits of 64.
    """

    role: Literal["synthetic", "real"]
    n: int
    n_test: int
    exact: int
    near: int
    distance: int


class Report(Record):
    """A comparison.

    Attributes:
        schema_version: Of this file.
        extractor: What made the features.
        sets: The compared sets.
        measures: Distances and shares.
        captions: Agreement with captions; None without captions or a text encoder.
        nearness: Memorisation; None where there is nothing to compare with.
        leaks: Copies of test images; empty without test images.
        left_out: What was not measured, and why.
        seed: Of every draw.
        environment: Device, and versions of Python and packages.
        wall_seconds: How long it took.
    """

    schema_version: Literal[1] = 1
    extractor: ExtractorRecord
    sets: tuple[SetRecord, ...]
    measures: tuple[Measure, ...]
    captions: CaptionRecord | None
    nearness: NearnessRecord | None
    leaks: tuple[LeakRecord, ...]
    left_out: tuple[str, ...]
    seed: int
    environment: dict[str, str]
    wall_seconds: float
