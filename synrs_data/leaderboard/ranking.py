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

from synrs_data.evaluate.arms import parse_arm
from synrs_data.evaluate.benchmark import benchmarks, load_benchmark
from synrs_data.evaluate.results import PREDICTIONS, ZERO_SHOT
from synrs_data.leaderboard.board import BenchmarkBoard, Row
from synrs_data.leaderboard.repository import Stored
from synrs_data.leaderboard.rows import make_row, shots_text
from synrs_data.leaderboard.scores import AnyResult, Values, arms_of, classifier_of, difference, values_of

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
    result: AnyResult
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
        # Super-resolution has no guess to be compared with.
        chance=getattr(metric, "chance", 0.0),
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
        for index, arm in enumerate(arms_of(result)):
            parsed = None if arm.name == ZERO_SHOT else parse_arm(arm.name)
            if submission.kind != "synthetic-dataset" and (parsed is None or parsed.kind == "real"):
                group = ("models", result.protocol.name, shots_text(parsed, result.benchmark.task))
                text = ", ".join(filter(None, group[1:]))
                row = make_row(found, number, index, parsed, "models", text)
                yield _Entry(row, task, group, index, result, path)
            if submission.kind != "baseline" and parsed is not None:
                group = ("datasets", classifier_of(result), shots_text(parsed, result.benchmark.task))
                text = ", ".join([result.baseline.name, result.protocol.name, group[2]])
                row = make_row(found, number, index, parsed, "datasets", text)
                yield _Entry(row, task, group, index, result, path)


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
    reference = cache(lambda: _values(best))
    return [
        replace(
            entry.row,
            rank=values.index(sign * entry.row.value) + 1,
            tied_with_best=entry is best or _tied(best, entry, reference),
        )
        for entry in ordered
    ]


def _tied(best: _Entry, other: _Entry, reference: Callable[[], Values]) -> bool:
    """Return whether the interval of the paired difference to the best row contains 0.

    A difference is not more uncertain than both scores together (its standard deviation is at most the sum of theirs),
    so where intervals lie apart it is not computed. Without a common seed nothing is paired: overlap then decides.
    """
    first, second = best.row, other.row
    if first.low > second.high or second.low > first.high:
        return False
    found = difference(reference(), _values(other), seed=0)
    return found is None or found[1] <= 0 <= found[2]


def _values(entry: _Entry) -> Values:
    return values_of(entry.predictions.read_bytes(), entry.result, entry.arm)
