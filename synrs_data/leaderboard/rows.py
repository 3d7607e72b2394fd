"""A row of the board from an arm of a verified submission."""

from __future__ import annotations

import yaml

from synrs_data.evaluate.arms import Arm
from synrs_data.evaluate.results import ZERO_SHOT, ArmValue
from synrs_data.leaderboard.board import Row, Track
from synrs_data.leaderboard.repository import Stored
from synrs_data.leaderboard.scores import AnyResult
from synrs_data.leaderboard.submission import Package


def shots_text(arm: Arm | None, task: str) -> str:
    """Return how many real images an arm has, in words; empty for an arm that trains nothing."""
    if arm is None:
        return ""
    if arm.kind == "synthetic":
        return "no real images"
    if arm.shots is None:
        return "all real images"
    if task == "classification":
        return f"{arm.shots} real image{'s' if arm.shots > 1 else ''} a class"
    return f"{arm.shots} real pair{'s' if arm.shots > 1 else ''}"


def make_row(found: Stored, number: int, index: int, parsed: Arm | None, track: Track, group: str) -> Row:
    """Return the row of an arm, without its rank.

    Args:
        found: A verified submission.
        number: Of the result.
        index: Of the arm.
        parsed: The arm, None for one that trains nothing.
        track: Which table it stands in.
        group: What it is ranked among, in words.
    """
    package, verification = found.package, found.verification
    submission, result = package.submission, package.results[number]
    arm = result.arms[index]
    metric, trained = arm.metrics[0], result.baseline.trained_on
    assert metric.value is not None
    assert metric.interval is not None
    if track == "datasets":
        trained = tuple(dict.fromkeys([*submission.train_datasets, *(trained or ())]))
    alone = parsed is None or parsed.kind == "synthetic"
    return Row(
        submission=package.id,
        track=track,
        name=submission.name,
        revision=submission.revision,
        kind=submission.kind,
        authors=submission.authors,
        license=submission.license,
        links=tuple(submission.links.items()),
        trained_on=trained,
        in_domain=None if trained is None else result.dataset.name in trained,
        protocol=result.protocol.name,
        arm=arm.name,
        shots=None if parsed is None or alone else parsed.shots,
        ratio=None if parsed is None or alone else parsed.ratio,
        value=metric.value,
        low=metric.interval.low,
        high=metric.interval.high,
        n=result.n,
        seeds=len(result.seeds),
        rank=0,
        tied_with_best=False,
        difference=verification.differences.get(str(number), {}).get(arm.name),
        per_class=arm.per_class if isinstance(arm, ArmValue) else {},
        recipe=_recipe(package),
        card=submission.description,
        reproduce=submission.reproduce or _command(result),
        task_hash=result.task_hash,
        verified=verification.sentence(result.benchmark.task),
        group=group,
        baseline=result.baseline.name,
        flags=verification.flags,
    )


def _recipe(package: Package) -> str:
    """Return how the synthetic images of a submission were made; one that has them has the same in all results."""
    record = next((each.synthetic for each in package.results if each.synthetic is not None), None)
    if record is None:
        return ""
    values = record.model_dump(mode="json", exclude={"leaks", "other_labels"})
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def _command(result: AnyResult) -> str:
    """Return the command that a result was made with, as far as the result says it."""
    words = ["synrs-data eval run", result.benchmark.id, "--baseline", result.baseline.method]
    if result.dataset.source:
        words += ["--data", result.dataset.source]
    if result.protocol.name != ZERO_SHOT:
        words += ["--protocol", result.protocol.name, "--arms", ",".join(arm.name for arm in result.arms)]
        words += ["--seeds", str(len(result.seeds))]
    if result.synthetic is not None:
        words += ["--synthetic", result.synthetic.source]
    return " ".join(words)
