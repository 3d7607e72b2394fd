"""What the leaderboard shows: ranked rows by benchmark and track, and numbers from papers apart from them.

Every text of a row but `track`, `kind`, `protocol`, `arm` and the hashes is a submitter's own words: show it as text,
never as markup, and follow no link that is not http or https.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Track = Literal["models", "datasets"]
"""Of models: a baseline's score on a benchmark. Of datasets: what synthetic images add to a fixed baseline."""

SubmissionKind = Literal["baseline", "synthetic-dataset", "both"]


@dataclass(frozen=True, slots=True)
class Row:
    """An arm of a submitted result.

    Rows are ranked among those of their `group`: same track, protocol and number of real images a class, and on the
    datasets track the same classifier. Scores of different groups answer different questions.

    Attributes:
        submission: Id: the name's slug and the first 12 hexadecimal digits of the content digest.
        track: Which table it stands in.
        name: Of the model or the synthetic dataset.
        revision: Of it.
        kind: What was submitted.
        authors: As submitted.
        license: Of the model or dataset.
        links: Label and http(s) address.
        trained_on: Data sets the model, and the generator of the synthetic images, was trained on; None if nobody
            declared them.
        in_domain: Whether the benchmark's data set is among them, None if they are not declared.
        protocol: Registered name of the protocol, "zero-shot" where nothing is trained.
        arm: What was trained on, such as "mixed@16x2"; "zero-shot" where nothing is trained.
        shots: Real images a class, None for all or where nothing is trained.
        ratio: Synthetic (or other added) images for a real one: 0 for real images alone, None for synthetic ones
            alone and where nothing is trained.
        value: The benchmark's first metric, mean over seeds.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        n: Test items.
        seeds: Number of seeds.
        rank: From 1 within the group, by value; rows of equal value share a rank.
        tied_with_best: Whether the 95 % interval of the paired difference to the group's best row contains 0; true for
            the best.
        difference: Value and interval of the difference to the arm of real images alone of the same shots; None
            without one.
        per_class: Share of each class that is right, mean over seeds; None for a class without an item.
        recipe: How synthetic images were made, as YAML; empty for none.
        card: The submitter's description, plain text.
        reproduce: Command that gives the result again.
        task_hash: Of the benchmark.
        verified: Version that recomputed it, and what; empty where nobody did.
        group: What it is ranked among, in words.
        baseline: Model under the classifier.
        flags: Flags that a maintainer accepted, such as "F01".
    """

    submission: str
    track: Track
    name: str
    revision: str
    kind: SubmissionKind
    authors: tuple[str, ...]
    license: str
    links: tuple[tuple[str, str], ...]
    trained_on: tuple[str, ...] | None
    in_domain: bool | None
    protocol: str
    arm: str
    shots: int | None
    ratio: float | None
    value: float
    low: float
    high: float
    n: int
    seeds: int
    rank: int
    tied_with_best: bool
    difference: tuple[float, float, float] | None
    per_class: Mapping[str, float | None]
    recipe: str
    card: str
    reproduce: str
    task_hash: str
    verified: str
    group: str = ""
    baseline: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkBoard:
    """The rows of one benchmark in one version, by group and rank.

    Attributes:
        id: Of the benchmark.
        version: Of it.
        title: One line.
        task: Such as "classification".
        metric: The metric that rows are ranked by.
        direction: "higher" or "lower" is better.
        chance: The expected value of guessing evenly.
        license: Of the benchmark's data.
        rows: Of both tracks.
    """

    id: str
    version: int
    title: str
    task: str
    metric: str
    direction: Literal["higher", "lower"]
    chance: float
    license: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A number that stands in a paper: another protocol, not recomputed, so never ranked.

    Attributes:
        model: Of the paper.
        dataset: The data set as the paper names it.
        metric: What the number is.
        value: In 0 to 1.
        protocol: How it was found, as far as the source says.
        trained_on: Data sets the model was trained on, None if not known.
        in_domain: Whether `dataset` is among them.
        source: Paper and table.
        url: Its address, http or https.
    """

    model: str
    dataset: str
    metric: str
    value: float
    protocol: str
    trained_on: tuple[str, ...] | None
    in_domain: bool | None
    source: str
    url: str


@dataclass(frozen=True, slots=True)
class Board:
    """The whole leaderboard."""

    benchmarks: tuple[BenchmarkBoard, ...]
    published: tuple[PublishedRow, ...]
