"""What a comparison of results says: the contents of `compare.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synrs_data.evaluate.baselines.base import BaselineRecord
from synrs_data.evaluate.parts import Direction, MetricName, Part, Sha256
from synrs_data.evaluate.results import BenchmarkRecord, Bootstrap, Counts, Interval, ProtocolRecord
from synrs_data.evaluate.synthetic_set import SyntheticRecord

Role = Literal["real", "control", "mixed", "synthetic", "zero-shot"]
"""What an arm is for: `more-real`, `flip-crop`, `cutout` and `cutmix` are controls."""

SIGNIFICANT = 0.05
"""Below it a p-value is counted; it belongs to intervals of 95 %."""


class ResultRecord(Part):
    """A result that was compared.

    Attributes:
        name: Of its folder.
        classifier: Label of its baseline and protocol.
        synthetic: Label of its synthetic set; None without any.
        arms: As it names them.
        seeds: Of every arm.
        environment: Device, and versions of Python and packages.
        predictions_sha256: Of the predictions that the numbers were computed from.
    """

    name: str
    classifier: str
    synthetic: str | None
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    environment: dict[str, str]
    predictions_sha256: Sha256


class ClassifierRecord(Part):
    """A baseline and the protocol that makes a classifier of it, under the label that all else uses."""

    label: str
    baseline: BaselineRecord
    protocol: ProtocolRecord


class StrategyRecord(Part):
    """A synthetic set, under the label that all else uses."""

    label: str
    synthetic: SyntheticRecord


class ClassDifference(Part):
    """How two arms differ in the share of one class that is right; the interval is of this class alone."""

    value: float
    interval: Interval


class McNemar(Part):
    """McNemar's exact test of two arms, about the share of items that are right, whatever the metric.

    Attributes:
        p_values: Of each seed.
        better: Seeds with a p-value below `SIGNIFICANT` in which the arm has more items right than the other one.
        worse: Such seeds in which it has fewer.
        combined: Twice the mean of the p-values, a p-value of all seeds; with one seed, its own.
        holm: The same after Holm's correction for all comparisons with the same kind of arm.
    """

    p_values: tuple[float, ...]
    better: int
    worse: int
    combined: float
    holm: float


class Compared(Part):
    """How an arm differs from another one on the same items.

    Attributes:
        to: Label of the other arm.
        seeds: Those that both have.
        value: The arm's mean less the other one's, over these seeds.
        interval: Of it, paired by seed and item.
        above_zero: Share of replicates in which the difference is above zero; ties count half.
        mcnemar: See there.
        per_class: By class name; None for a class without an item.
    """

    to: str
    seeds: tuple[int, ...]
    value: float
    interval: Interval
    above_zero: float
    mcnemar: McNemar
    per_class: dict[str, ClassDifference | None]


class Row(Part):
    """What an arm reached.

    Attributes:
        classifier: Label.
        synthetic: Label of the synthetic set; None for an arm without synthetic images.
        arm: As it was written.
        label: The same, with the result's name if two results give other predictions for it.
        role: What it is for.
        kind: Of the arm, such as "flip-crop".
        shots: Images a class; None for all.
        ratio: Added images for a real one.
        real_per_class: Real images to train on by number of classes.
        counts: Images of the arm.
        seeds: Of all results that have it.
        value: Mean of the metric over seeds.
        per_seed: Value of each seed.
        interval: Of the mean, over other seeds and other items.
        per_class: Share of each class that is right, mean over seeds; None for a class without an item.
        difference: To the arm that comparisons are made with; None for that arm and where there is none.
        controls: Of a mixed arm: to each control of the same shots and ratio.
    """

    classifier: str
    synthetic: str | None
    arm: str
    label: str
    role: Role
    kind: str
    shots: int | None
    ratio: float
    real_per_class: float
    counts: Counts
    seeds: tuple[int, ...]
    value: float
    per_seed: tuple[float, ...]
    interval: Interval
    per_class: dict[str, float | None]
    difference: Compared | None = None
    controls: tuple[Compared, ...] = ()


class Verdict(Part):
    """How often an interval of differences leaves zero out, over the arms of one kind.

    Attributes:
        classifier: Label.
        synthetic: Label of the synthetic set; None for controls.
        kind: Of the arms.
        against: Kind, or name, of the arms they are compared with.
        above: Arms whose interval is above zero.
        below: Arms whose interval is below zero.
        across: Arms whose interval holds zero.
        holm: Arms whose McNemar p-value is below `SIGNIFICANT` after Holm's correction.
    """

    classifier: str
    synthetic: str | None
    kind: str
    against: str
    above: int
    below: int
    across: int
    holm: int

    @property
    def arms(self) -> int:
        """How many arms there are."""
        return self.above + self.below + self.across


class Comparison(Part):
    """Several results of one benchmark, side by side.

    Attributes:
        schema_version: Of this file.
        versions: Of what computed it.
        benchmark: Name, version and task.
        task_hash: Of all results.
        content_sha256: Of the data of all results.
        n: Test items.
        classes: Names in the benchmark's order.
        metric: What values and differences are of, in 0 to 1.
        direction: Whether a higher or a lower value is better.
        chance: The expected value of guessing evenly.
        baseline_arm: Kind, or name, of the arm that differences are to.
        bootstrap: Of every interval.
        results: In the order given.
        classifiers: In the order of the results.
        strategies: In the order of the results.
        rows: By classifier, shots, ratio.
        comparisons: Differences to the baseline arm; about one in twenty intervals leaves zero out by chance.
        control_comparisons: Differences of mixed arms to controls.
        verdicts: For each classifier and synthetic set.
        unmatched: Arms that were compared with none, with the reason.
        notes: What a reader has to know.
    """

    schema_version: Literal[1] = 1
    versions: dict[str, str]
    benchmark: BenchmarkRecord
    task_hash: Sha256
    content_sha256: str | None
    n: int
    classes: tuple[str, ...]
    metric: MetricName
    direction: Direction
    chance: float
    baseline_arm: str
    bootstrap: Bootstrap
    results: tuple[ResultRecord, ...]
    classifiers: tuple[ClassifierRecord, ...]
    strategies: tuple[StrategyRecord, ...]
    rows: tuple[Row, ...]
    comparisons: int = Field(ge=0)
    control_comparisons: int = Field(ge=0)
    verdicts: tuple[Verdict, ...]
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]
