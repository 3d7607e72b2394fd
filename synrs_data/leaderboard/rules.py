"""The rules of a submission, by id, and what is found against them.

A rule that is broken refuses a submission. A flag asks a maintainer to look: what it names is possible, and seldom
honest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from synrs_data.errors import VerificationError

RULES = {
    "R01": "A submission is submission.yaml and the folders results/0, results/1, ..., each with result.json and "
    "predictions.parquet: regular files, no links, nothing else.",
    "R02": "It has at most 32 results of 64 arms and 32 seeds, with 1,000 replicates an interval; submission.yaml has "
    "at most 64 KiB, result.json 1 MiB, predictions.parquet 32 MiB, all files 64 MiB.",
    "R03": "submission.yaml is plain YAML in UTF-8: no anchors, aliases or tags, no key twice, at most 8 levels.",
    "R04": "submission.yaml has the keys of its schema, and texts without control characters.",
    "R05": "Its folder in the results repository is named by its contents.",
    "R06": "result.json fits the schema of results; every number is finite.",
    "R07": "A result is of a shipped benchmark with pinned data, in the shipped version, with the task hash that "
    "submission.yaml declares.",
    "R08": "predictions.parquet has the columns of its protocol, no empty value, and at most 64 MiB unpacked.",
    "R09": "Every arm and seed has every test item once, in the benchmark's order, and no other.",
    "R10": "The labels are the benchmark's.",
    "R11": "Predictions are classes of the benchmark, scores are finite and the highest is the prediction's; of "
    "super-resolution no image is left out of a mean.",
    "R12": "Every number of a result follows from its predictions, and what it says of itself is consistent.",
    "R13": "predictions.parquet has the sha256 that result.json names.",
    "R14": "A score and its interval overlap the interval that another bootstrap seed gives.",
    "R15": "What model and generator were trained on is declared, alike in submission.yaml and in the results, and no "
    "synthetic image is declared to come from more images than there are.",
    "R16": "A pull request adds one submission and changes nothing else.",
    "R17": "A submission is of one kind: a baseline has no synthetic images, a synthetic dataset is the same in all "
    "results that have one.",
}
"""What refuses a submission, a sentence each."""

FLAGS = {
    "F01": "An arm is right on more than 99.9 % of at least 200 items.",
    "F02": "Errors fall on classes as evenly as chance would have them, as those of labels with noise do; a model "
    "confuses some classes more than others.",
    "F03": "The predictions are those of another submission, byte by byte.",
}
"""What a maintainer must accept by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks a rule or raises a flag.

    Attributes:
        rule: Id of the rule or flag.
        text: A sentence with file and values.
    """

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule} {visible(self.text)}"


class Refused(VerificationError):
    """A submission breaks rules.

    Args:
        findings: Which ones, at least one.
        where: The submission.
        fix: What to do about it; by default the first rule's text.
    """

    def __init__(self, findings: Sequence[Finding], *, where: str, fix: str = "") -> None:
        rule = findings[0].rule
        super().__init__(
            "; ".join(str(finding) for finding in findings),
            where=where,
            fix=fix or f"{rule}: {(RULES | FLAGS)[rule]}",
        )
        self.findings = tuple(findings)


def visible(text: str) -> str:
    """Return a stranger's text with an escape for each character that does not show: a terminal would obey some."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def flags_left(flags: Iterable[Finding], accepted: Iterable[str]) -> tuple[Finding, ...]:
    """Return the flags that a maintainer has not accepted."""
    known = set(accepted)
    return tuple(flag for flag in flags if flag.rule not in known)
