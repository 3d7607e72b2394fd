"""The facts of a build, and the counts that card and report both show.

Nothing here depends on a clock, on the order of rows or on the number of threads: the digests of the card and
the report are promised equal after any number of kills and restarts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from synrs_data.places import public_values
from synrs_data.recipe import Recipe, Threshold
from synrs_data.vocabulary import LabelSet


@dataclass(frozen=True, slots=True)
class Drawn:
    """How often a degradation drew which values of one parameter, and how often it should.

    Attributes:
        name: The parameter.
        count: How many candidates have it.
        ends: Lowest and highest value of equal bins, or the name of each bin.
        shares: Share of the candidates in each bin.
        expected: Probability of each bin.
    """

    name: str
    count: int
    ends: tuple[float, float] | tuple[str, ...]
    shares: tuple[float, ...]
    expected: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """All that card and report say about a build.

    Attributes:
        recipe: The completed recipe.
        labels: Its label set.
        packed: One row a packed sample.
        rejected: One row a candidate that is not packed, with `reason` and `rule`.
        generator: The generator's identity, as the plain values of `GeneratorIdentity`.
        environments: Device class and versions, one mapping for each that made candidates.
        fingerprints: Fingerprints of the parts "generation" and "selection".
        quarantined: Numbers of the shards that failed in every try.
        columns: Meaning of each score column, in order.
        extra_fields: Fields of images that the generator adds to each sample.
        drawn: What the degradation of pairs drew.
        unreadable: Names of source images that cannot be used, for which others were taken.
        compared: With how many real images each filter that looks for copies compared the candidates, by filter.
    """

    recipe: Recipe
    labels: LabelSet
    packed: pl.DataFrame
    rejected: pl.DataFrame
    generator: dict[str, Any]
    environments: list[dict[str, str]]
    fingerprints: dict[str, str]
    quarantined: list[int]
    columns: dict[str, str]
    extra_fields: tuple[str, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    unreadable: tuple[str, ...] = ()
    compared: dict[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> bool:
        """Whether samples are pairs of low- and high-resolution images."""
        return self.recipe.task == "lr-hr"

    @property
    def synthetic(self) -> bool:
        """Whether a model made the images; False for crops of real ones."""
        return bool(self.generator.get("synthetic", True))

    @property
    def sources(self) -> int:
        """Number of real images that packed samples are made from."""
        if "derived_from" not in self.packed.columns or not self.generator.get("real_sources", True):
            return 0
        return self.packed.filter(pl.col("derived_from") != "")["derived_from"].n_unique()

    @property
    def title(self) -> str:
        """Name of the dataset for people."""
        return self.recipe.title.strip() or self.recipe.name

    @property
    def candidates(self) -> int:
        """Number of candidates that were generated."""
        return self.packed.height + self.rejected.height

    @property
    def scores(self) -> list[str]:
        """Score columns that hold numbers, in order."""
        return [name for name in self.columns if self.packed.schema[name] != pl.String]


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of the selection.

    Attributes:
        rule: What a candidate had to do, in words.
        dropped: How many candidates it rejected.
        left: How many were left after it.
    """

    rule: str
    dropped: int
    left: int


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What became of the candidates of one label.

    Attributes:
        index: Index in the label set.
        name: The label's name.
        candidates: How many were generated.
        accepted: How many are packed.
        splits: How many are in each split.
        means: Mean of each score over all candidates; empty if there are none.
    """

    index: int
    name: str
    candidates: int
    accepted: int
    splits: dict[str, int]
    means: dict[str, float]


@dataclass(frozen=True, slots=True)
class CaptionFacts:
    """How varied the packed captions are.

    Attributes:
        unique: Number of different captions.
        commonest: The caption of most samples, empty if there is no sample.
        times: How many samples have it.
    """

    unique: int
    commonest: str
    times: int


def share(part: int, whole: int) -> str:
    """Return a share in per cent; neither "0 %" nor "100 %" unless it is so exactly."""
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.0f} %" if part in (0, whole) else f"{percent:.1f} %"


def number(value: float) -> str:
    """Return a score with three significant digits and never an exponent for what people call small."""
    if value == 0:
        return "0"
    style = ".1e" if abs(value) < 0.0001 else ".3g" if abs(value) < 1000 else ",.0f"
    return f"{value:{style}}".replace("-", "−")


def aligned(value: float) -> str:
    """Return a score with three significant digits, zeros at its end included, for a column of scores."""
    if not 0.001 <= abs(value) < 1000:
        return number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def bounds(threshold: Threshold) -> str:
    """Return an accepted range in words: "at least 0.1"."""
    if threshold.min is None and threshold.max is None:
        return "any value"
    if threshold.max is None:
        return f"at least {number(threshold.min or 0.0)}"
    if threshold.min is None:
        return f"at most {number(threshold.max)}"
    return f"{number(threshold.min)} to {number(threshold.max)}"


def rules(recipe: Recipe) -> dict[str, str]:
    """Return the rules of a selection in their order: short name, and what a candidate had to do in words."""
    select = recipe.select
    limits = {name: limit for name, limit in select.thresholds.items() if limit is not None}
    found = {name: f"{name} {bounds(limit)}" for name, limit in limits.items()}
    if select.near_duplicate_distance is not None:
        found["near_duplicate"] = f"no near-duplicate within {select.near_duplicate_distance} bits"
    if select.per_label.max is not None:
        found["per_label"] = f"within the quota of {select.per_label.max:,} a label"
    if select.top_k is not None:
        found["top_k"] = f"among the best {select.top_k:,}"
    return found


def funnel(facts: BuildFacts) -> list[Step]:
    """Return how many candidates each rule of the selection rejected and left, in the order of the rules."""
    dropped: dict[str, int] = dict(facts.rejected.group_by("rule").len().iter_rows())
    words = rules(facts.recipe) | {rule: rule for rule in sorted(dropped) if rule not in rules(facts.recipe)}
    steps, left = [], facts.candidates
    for rule, text in words.items():
        left -= dropped.get(rule, 0)
        steps.append(Step(text, dropped.get(rule, 0), left))
    return steps


def splits(facts: BuildFacts) -> dict[str, int]:
    """Return the number of samples of each split that has any, in the recipe's order."""
    found: dict[str, int] = dict(facts.packed.group_by("split").len().iter_rows())
    return {name: found[name] for name in facts.recipe.select.splits if name in found}


def label_rows(facts: BuildFacts) -> list[LabelRow]:
    """Return one row a label of the label set, labels without candidates included."""
    size = len(facts.labels.labels)
    accepted = _count(facts.packed, size)
    candidates = accepted + _count(facts.rejected, size)
    by_split = {name: _count(facts.packed.filter(pl.col("split") == name), size) for name in splits(facts)}
    means = _means(facts, size)
    return [
        LabelRow(
            index=i,
            name=name,
            candidates=int(candidates[i]),
            accepted=int(accepted[i]),
            splits={split: int(counts[i]) for split, counts in by_split.items()},
            means={score: float(values[i]) for score, values in means.items()} if candidates[i] else {},
        )
        for i, name in enumerate(facts.labels.names)
    ]


def caption_facts(facts: BuildFacts) -> CaptionFacts:
    """Return how many packed captions are different, and the commonest; the first by letter among equals."""
    counts = facts.packed.group_by("caption").len().sort(["len", "caption"], descending=[True, False])
    if counts.is_empty():
        return CaptionFacts(0, "", 0)
    text, times = counts.row(0)
    return CaptionFacts(counts.height, text, times)


def public_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML; of a path of this machine, only the last name."""
    values, _ = public_values(recipe.model_dump(mode="json"))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def _count(table: pl.DataFrame, size: int) -> NDArray[np.int64]:
    return np.bincount(table["label"].to_numpy(), minlength=size).astype(np.int64)


def _means(facts: BuildFacts, size: int) -> dict[str, NDArray[np.float64]]:
    # One sum after the other in the order of keys: a parallel sum's last bits depend on the threads.
    tables = [table.select("key", "label", *facts.scores) for table in (facts.packed, facts.rejected)]
    both = pl.concat(tables, how="vertical_relaxed").sort("key")
    labels = both["label"].to_numpy()
    counts = np.maximum(np.bincount(labels, minlength=size), 1)
    sums = {name: np.bincount(labels, both[name].to_numpy(), minlength=size) for name in facts.scores}
    return {name: values / counts for name, values in sums.items()}
