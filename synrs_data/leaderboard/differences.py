"""What synthetic images add, where a submission has arms with them in one result and real ones in another.

A result compares its own arms. A long study keeps arms in several results; their predictions are of the same items and
seeds, so they can be paired all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from synrs_data.evaluate.arms import Arm, parse_arm, reference
from synrs_data.evaluate.results import ZERO_SHOT
from synrs_data.leaderboard.scores import AnyResult, Triple, arms_of, classifier_of, difference, values_of
from synrs_data.leaderboard.submission import Package


def differences(package: Package) -> dict[str, dict[str, Triple]]:
    """Return the difference of each arm to the real arm of its shots, by number of the result and name of the arm.

    Of the first metric. Arms that their own result compares have that difference; others are compared with the real
    arm of the same classifier, benchmark and shots in another result of the submission, over the seeds that both have.

    Args:
        package: A submission that keeps every rule.
    """
    found: dict[str, dict[str, Triple]] = {}
    for number, result in enumerate(package.results):
        for index, arm in enumerate(arms_of(result)):
            own = arm.metrics[0].difference
            if own is not None:
                triple: Triple | None = (own.value, own.interval.low, own.interval.high)
            else:
                triple = _across(package, number, index)
            if triple is not None:
                found.setdefault(str(number), {})[arm.name] = triple
    return found


def _across(package: Package, number: int, index: int) -> Triple | None:
    result = package.results[number]
    if result.arms[index].name == ZERO_SHOT:
        return None
    arm = parse_arm(result.arms[index].name)
    real = dict(_real_arms(package, result))
    other = reference(arm, list(real))
    if other is None:
        return None
    where, position = real[other]
    return difference(
        values_of(package.predictions(number), result, index),
        values_of(package.predictions(where), package.results[where], position),
        seed=result.bootstrap.seed,
    )


def _real_arms(package: Package, like: AnyResult) -> Iterator[tuple[Arm, tuple[int, int]]]:
    """Yield the real arms of a result's classifier and task, with the positions of their result and arm."""
    for number, result in enumerate(package.results):
        if result.task_hash == like.task_hash and classifier_of(result) == classifier_of(like):
            for index, value in enumerate(arms_of(result)):
                if value.name != ZERO_SHOT and (arm := parse_arm(value.name)).kind == "real":
                    yield arm, (number, index)
