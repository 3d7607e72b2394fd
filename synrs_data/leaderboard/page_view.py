"""What the page of each submission shows.

Positions on the axis of an interval are in 0 to `AXIS`, the width of its picture.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from synrs_data.leaderboard.board import BenchmarkBoard, Board, Row, Track
from synrs_data.leaderboard.page_text import (
    Link,
    Scale,
    keys_of,
    line,
    lines,
    link,
    name_of,
    scale_of,
    shown_group,
)

AXIS = 160.0

Place = Callable[[float], float]
"""Gives the position of a value on an axis."""


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of a submission's page: positions in `at` are of low, value, high, those in `change` of the difference."""

    arm: str
    ratio: str
    score: str
    interval: str
    at: tuple[float, float, float]
    difference: str
    difference_interval: str
    change: tuple[float, float, float] | None
    sign: int
    rank: int
    ranked: int
    tied: bool
    n: int
    seeds: int
    domain: bool | None


@dataclass(frozen=True, slots=True)
class GroupView:
    """The rows of a submission that are ranked among the same others.

    Attributes:
        track: Of the rows.
        title: What they are ranked among.
        rows: In the order of the board.
        zero: Where no difference is, on the axis of differences.
        classes: Name of each class, and each row's share of it in per cent, None for none.
    """

    track: Track
    title: str
    rows: tuple[RowView, ...]
    zero: float
    classes: tuple[tuple[str, tuple[float | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class PartView:
    """What a submission did on one benchmark."""

    key: str
    benchmark: BenchmarkBoard
    title: str
    scale: Scale
    groups: tuple[GroupView, ...]
    commands: tuple[str, ...]
    task_hashes: tuple[str, ...]
    trained_on: tuple[str, ...]
    verified: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubmissionView:
    """The page of a submission; every text is visible characters, and none is markup."""

    id: str
    name: str
    revision: str
    kind: str
    authors: str
    license: str
    links: tuple[Link, ...]
    card: str
    recipes: tuple[str, ...]
    parts: tuple[PartView, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    key: str
    benchmark: BenchmarkBoard
    ranked: Counter[tuple[Track, str]]


def submission_views(board: Board) -> list[SubmissionView]:
    """Return the submissions in the order in which the board has them."""
    found: dict[str, dict[int, list[Row]]] = {}
    places = []
    for number, (key, benchmark) in enumerate(zip(keys_of(board), board.benchmarks, strict=True)):
        places.append(_Place(key, benchmark, Counter((row.track, row.group) for row in benchmark.rows)))
        for row in benchmark.rows:
            found.setdefault(row.submission, {}).setdefault(number, []).append(row)
    return [_submission({places[number]: rows for number, rows in own.items()}) for own in found.values()]


def _submission(parts: dict[_Place, list[Row]]) -> SubmissionView:
    rows = [row for own in parts.values() for row in own]
    first = rows[0]
    return SubmissionView(
        id=first.submission,
        name=name_of(first),
        revision=line(first.revision),
        kind=first.kind,
        authors=line(", ".join(first.authors), 1000),
        license=line(first.license),
        links=tuple(link(label, address) for label, address in first.links),
        card=lines(first.card),
        recipes=_unique(lines(row.recipe) for row in rows if row.recipe),
        parts=tuple(_part(place, own) for place, own in parts.items()),
    )


def _part(place: _Place, rows: list[Row]) -> PartView:
    benchmark, scale = place.benchmark, scale_of(place.benchmark)
    keys = list(dict.fromkeys((row.track, row.group) for row in rows))
    groups = [
        _group_view([row for row in rows if (row.track, row.group) == key], scale, place.ranked[key])
        for key in keys
    ]
    named = [", ".join(map(line, row.trained_on)) or "nothing" for row in rows if row.trained_on is not None]
    return PartView(
        key=place.key,
        benchmark=benchmark,
        title=line(benchmark.title, 300),
        scale=scale,
        groups=tuple(groups),
        commands=_unique(lines(row.reproduce, 4000) for row in rows if row.reproduce),
        task_hashes=_unique(line(row.task_hash) for row in rows),
        trained_on=_unique(named),
        verified=_unique(line(row.verified, 400) for row in rows if row.verified),
        flags=_unique(line(flag) for row in rows for flag in row.flags),
    )


def _group_view(rows: list[Row], scale: Scale, ranked: int) -> GroupView:
    place = _axis([value for row in rows for value in (row.low, row.value, row.high)])
    changes = [value for row in rows for value in row.difference or ()]
    place_change = _axis([0.0, *changes])
    classes = dict.fromkeys(name for row in rows for name in row.per_class)
    return GroupView(
        track=rows[0].track,
        title=shown_group(rows[0].group),
        rows=tuple(_row(row, scale, ranked, place, place_change) for row in rows),
        zero=place_change(0.0),
        classes=tuple((line(name), tuple(_share(row, name) for row in rows)) for name in classes),
    )


def _row(row: Row, scale: Scale, ranked: int, place: Place, place_change: Place) -> RowView:
    change = row.difference
    return RowView(
        arm=line(row.arm),
        ratio="" if row.ratio is None else f"{row.ratio:g}",
        score=scale.text(row.value),
        interval=f"{scale.text(row.low)} to {scale.text(row.high)}",
        at=(place(row.low), place(row.value), place(row.high)),
        difference=scale.text(change[0], signed=True) if change else "",
        difference_interval=" to ".join(scale.text(end, signed=True) for end in change[1:]) if change else "",
        change=(place_change(change[1]), place_change(change[0]), place_change(change[2]))
        if change
        else None,
        sign=0 if change is None else (change[1] > 0) - (change[2] < 0),
        rank=row.rank,
        ranked=ranked,
        tied=row.tied_with_best,
        n=row.n,
        seeds=row.seeds,
        domain=row.in_domain,
    )


def _axis(values: Sequence[float]) -> Place:
    low, high = min(values), max(values)
    margin, width = 6.0, (high - low) or 1.0
    return lambda value: round(margin + (value - low) / width * (AXIS - 2 * margin), 1)


def _share(row: Row, name: str) -> float | None:
    share = row.per_class.get(name)
    return None if share is None or not math.isfinite(share) else 100 * min(max(share, 0.0), 1.0)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
