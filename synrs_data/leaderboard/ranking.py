"""Rank what a results repository holds: rows by benchmark, and within groups that ask the same question.

Ranks are by value alone. Whether a row is worse than the best one is another question, which the paired difference
answers: both predict the same items, so each replicate draws the same items and seeds for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from synrs_data.evaluate.arms import Arm, parse_arm
from synrs_data.evaluate.benchmark import benchmarks, load_benchmark
from synrs_data.evaluate.compare_inputs import classifier_id
from synrs_data.evaluate.results import PREDICTIONS, ZERO_SHOT, ArmValue, Result
from synrs_data.evaluate.statistics import STATISTICS, paired_over_seeds
from synrs_data.leaderboard.board import BenchmarkBoard, Row, Track
from synrs_data.leaderboard.differences import Right, right_of
from synrs_data.leaderboard.repository import Stored

_Task = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row with what its rank needs.

    Attributes:
        row: Without rank.
        task: Id, version and task hash of the benchmark.
        group: What tells groups apart; their texts may be the same.
        arm: Position of the arm in its result.
        result: The result.
        predictions: Its file.
    """

    row: Row
    task: _Task
    group: tuple[str, ...]
    arm: int
    result: Result
    predictions: Path


def rank(found: Iterable[Stored]) -> tuple[BenchmarkBoard, ...]:
    """Return the boards of verified submissions, by benchmark."""
    entries = [entry for each in found for entry in _entries(each)]
    boards = []
    for task, own in groupby(sorted(entries, key=lambda entry: entry.task), key=lambda entry: entry.task):
        ranked = list[Row]()
        by_group: dict[tuple[str, ...], list[_Entry]] = {}
        for entry in own:
            by_group.setdefault(entry.group, []).append(entry)
        for members in _with_distinct_texts(by_group):
            ranked += _ranked(members)
        ranked.sort(key=_place)
        boards.append(_board(task, ranked, entries))
    return tuple(boards)


def _place(row: Row) -> tuple[object, ...]:
    """Return what rows are ordered by: groups with few real images first, all of them last."""
    shots = math.inf if row.shots is None else row.shots
    classifier = row.baseline if row.track == "datasets" else ""
    return row.track, row.protocol, classifier, shots, row.group, row.rank, row.submission, row.arm


def _board(task: _Task, rows: list[Row], entries: list[_Entry]) -> BenchmarkBoard:
    identity, version, task_hash = task
    result = next(entry.result for entry in entries if entry.task == task)
    metric = result.arms[0].metrics[0]
    shipped = load_benchmark(identity) if identity in benchmarks() else None
    current = shipped is not None and shipped.task_hash == task_hash
    return BenchmarkBoard(
        id=identity,
        version=version,
        # Rows of a version that is gone stay, apart from those of the present one.
        title=shipped.title if shipped is not None and current else f"{identity}, an earlier version",
        task=result.benchmark.task,
        metric=metric.name,
        direction=metric.direction,
        chance=metric.chance,
        license=shipped.license if shipped is not None and current else "",
        rows=tuple(rows),
    )


def _entries(found: Stored) -> Iterator[_Entry]:
    """Yield the rows of a submission; an arm that several of its results have, such as that of real images, once."""
    seen = set[tuple[object, ...]]()
    for entry in _all_entries(found):
        row = entry.row
        same = (entry.task, entry.group, row.arm, row.value, row.low, row.high, row.seeds)
        if same not in seen:
            seen.add(same)
            yield entry


def _all_entries(found: Stored) -> Iterator[_Entry]:
    submission = found.package.submission
    for number, result in enumerate(found.package.results):
        path = found.folder / "results" / str(number) / PREDICTIONS
        task = (result.benchmark.id, result.benchmark.version, result.task_hash)
        for index, arm in enumerate(result.arms):
            parsed = None if arm.name == ZERO_SHOT else parse_arm(arm.name)
            if submission.kind != "synthetic-dataset" and (parsed is None or parsed.kind == "real"):
                group = ("models", result.protocol.name, _shots_text(parsed))
                text = ", ".join(filter(None, group[1:]))
                row = _row(found, number, arm, parsed, "models", text)
                yield _Entry(row, task, group, index, result, path)
            if submission.kind != "baseline" and parsed is not None:
                group = ("datasets", classifier_id(result), _shots_text(parsed))
                text = ", ".join([result.baseline.name, result.protocol.name, group[2]])
                row = _row(found, number, arm, parsed, "datasets", text)
                yield _Entry(row, task, group, index, result, path)


def _shots_text(arm: Arm | None) -> str:
    if arm is None:
        return ""
    if arm.kind == "synthetic":
        return "no real images"
    if arm.shots is None:
        return "all real images"
    return f"{arm.shots} real image{'s' if arm.shots > 1 else ''} a class"


def _row(found: Stored, number: int, arm: ArmValue, parsed: Arm | None, track: Track, group: str) -> Row:
    submission, verification = found.package.submission, found.verification
    result = found.package.results[number]
    metric, trained = arm.metrics[0], result.baseline.trained_on
    if track == "datasets":
        trained = tuple(dict.fromkeys([*submission.train_datasets, *(trained or ())]))
    alone = parsed is None or parsed.kind == "synthetic"
    return Row(
        submission=found.package.id,
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
        per_class=arm.per_class,
        recipe=_recipe(result),
        card=submission.description,
        reproduce=submission.reproduce or _command(result),
        task_hash=result.task_hash,
        verified=verification.sentence,
        group=group,
        baseline=result.baseline.name,
        flags=verification.flags,
    )


def _recipe(result: Result) -> str:
    record = result.synthetic
    if record is None:
        return ""
    values = record.model_dump(
        mode="json", include={"name", "source", "revision", "manifest_sha256", "generator", "recipe"}
    )
    return yaml.safe_dump(values | {"images": record.images}, sort_keys=False, allow_unicode=True, width=100)


def _command(result: Result) -> str:
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


def _with_distinct_texts(groups: dict[tuple[str, ...], list[_Entry]]) -> Iterator[list[_Entry]]:
    """Yield the members of each group; texts that two groups share get digits of the classifier's digest."""
    texts = [members[0].row.group for members in groups.values()]
    for key, members in groups.items():
        text = members[0].row.group
        if texts.count(text) > 1:
            text = f"{text} ({key[1][:8]})"
        yield [replace(entry, row=replace(entry.row, group=text)) for entry in members]


def _ranked(members: list[_Entry]) -> list[Row]:
    sign = 1 if members[0].result.arms[0].metrics[0].direction == "higher" else -1
    ordered = sorted(
        members, key=lambda entry: (-sign * entry.row.value, entry.row.submission, entry.row.arm)
    )
    values = sorted({sign * entry.row.value for entry in ordered}, reverse=True)
    best = ordered[0]
    right = cache(lambda: _right(best))
    return [
        replace(
            entry.row,
            rank=values.index(sign * entry.row.value) + 1,
            tied_with_best=entry is best or _tied(best, entry, right),
        )
        for entry in ordered
    ]


def _tied(best: _Entry, other: _Entry, right: Callable[[], tuple[NDArray[np.int64], Right]]) -> bool:
    """Return whether the interval of the paired difference to the best row contains 0.

    A difference is not more uncertain than both scores together (its standard deviation is at most the sum of theirs),
    so where intervals lie apart it is not computed. Without a common seed nothing is paired: overlap then decides.
    """
    first, second = best.row, other.row
    if first.low > second.high or second.low > first.high:
        return False
    seeds = sorted(set(best.result.seeds) & set(other.result.seeds))
    statistic = STATISTICS.get(best.result.arms[0].metrics[0].name)
    if not seeds or statistic is None:
        return True
    labels, best_right = right()
    one = best_right[[best.result.seeds.index(seed) for seed in seeds]]
    two = _right(other)[1][[other.result.seeds.index(seed) for seed in seeds]]
    if np.array_equal(one, two):
        return True
    found = paired_over_seeds(labels, one, two, len(first.per_class), statistic, seed=0)
    return found.low <= 0 <= found.high


def _right(entry: _Entry) -> tuple[NDArray[np.int64], Right]:
    return right_of(entry.predictions.read_bytes(), entry.result, entry.arm)
