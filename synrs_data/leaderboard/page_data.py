"""The data of the table of the leaderboard, as values for JSON, and whether a board can be shown at all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from synrs_data.errors import VerificationError
from synrs_data.leaderboard.board import BenchmarkBoard, Board, Row, Track
from synrs_data.leaderboard.page_text import SHARES, keys_of, line, link, name_of, scale_of, shown_group

TRACKS: tuple[Track, ...] = ("models", "datasets")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_PRECISION = 7

FIELDS = (
    "submission",
    "group",
    "arm",
    "ratio",
    "value",
    "low",
    "high",
    "n",
    "seeds",
    "rank",
    "tied",
    "difference",
    "domain",
    "trained",
    "verified",
    "flags",
)
"""Columns of a row in the page's data, in their order."""


def check(board: Board) -> None:
    """Refuse a board that no page can show.

    Raises:
        VerificationError: A submission's id is no file name, or a number is not finite.
    """
    for benchmark in board.benchmarks:
        for row in benchmark.rows:
            where = f"a row of {benchmark.id} in the submission {line(row.submission)!r}"
            if _ID.fullmatch(row.submission) is None:
                raise VerificationError(
                    "the submission's id is no plain file name",
                    where=where,
                    fix="remove its folder from the results: `synrs-data leaderboard add` never made it",
                )
            numbers = [row.value, row.low, row.high, row.ratio or 0.0, *(row.difference or ())]
            if not all(map(math.isfinite, numbers)):
                raise VerificationError(
                    "a number is not finite", where=where, fix="`synrs-data leaderboard verify` says which"
                )


def page_data(board: Board) -> dict[str, Any]:
    """Return what the script of the page shows, as values for JSON."""
    submissions: dict[str, int] = {}
    facts: list[dict[str, Any]] = []
    trained: dict[tuple[str, ...], int] = {}
    benchmarks = []
    for key, benchmark in zip(keys_of(board), board.benchmarks, strict=True):
        for row in benchmark.rows:
            if row.submission not in submissions:
                submissions[row.submission] = len(facts)
                facts.append(_facts(row))
        scale = scale_of(benchmark)
        groups = {
            track: {
                group: number
                for number, group in enumerate(dict.fromkeys(row.group for row in _of(benchmark, track)))
            }
            for track in TRACKS
        }
        benchmarks.append(
            {
                "key": key,
                "title": line(benchmark.title, 300),
                "metric": line(benchmark.metric),
                "higher": benchmark.direction == "higher",
                "chance": _number(benchmark.chance) if benchmark.task in SHARES else None,
                "scale": {"factor": scale.factor, "digits": scale.digits, "unit": scale.unit},
                "groups": {track: [shown_group(group) for group in groups[track]] for track in TRACKS},
                "rows": {
                    track: [
                        _values(row, submissions, groups[track], trained) for row in _of(benchmark, track)
                    ]
                    for track in TRACKS
                },
            }
        )
    published = [
        {
            "model": line(row.model),
            "dataset": line(row.dataset),
            "metric": line(row.metric),
            "value": _number(row.value),
            "protocol": line(row.protocol, 400),
            "trained": None if row.trained_on is None else [line(name) for name in row.trained_on],
            "domain": row.in_domain,
            "source": link(row.source, row.url).label,
            "url": link(row.source, row.url).address,
        }
        for row in board.published
    ]
    return {
        "fields": FIELDS,
        "submissions": facts,
        "trained": [[line(name) for name in names] for names in trained],
        "benchmarks": benchmarks,
        "published": published,
    }


def _values(
    row: Row, submissions: dict[str, int], groups: dict[str, int], trained: dict[tuple[str, ...], int]
) -> list[Any]:
    values = {
        "submission": submissions[row.submission],
        "group": groups[row.group],
        "arm": line(row.arm),
        "ratio": row.ratio,
        "value": _number(row.value),
        "low": _number(row.low),
        "high": _number(row.high),
        "n": row.n,
        "seeds": row.seeds,
        "rank": row.rank,
        "tied": int(row.tied_with_best),
        "difference": None if row.difference is None else [_number(each) for each in row.difference],
        "domain": None if row.in_domain is None else int(row.in_domain),
        "trained": None if row.trained_on is None else trained.setdefault(row.trained_on, len(trained)),
        "verified": int(bool(row.verified)),
        "flags": [line(flag) for flag in row.flags],
    }
    return [values[field] for field in FIELDS]


def _facts(row: Row) -> dict[str, Any]:
    return {
        "id": row.submission,
        "name": name_of(row),
        "revision": line(row.revision, 40),
        "authors": line(", ".join(row.authors)),
        "license": line(row.license, 60),
    }


def _of(benchmark: BenchmarkBoard, track: Track) -> Iterable[Row]:
    return (row for row in benchmark.rows if row.track == track)


def _number(value: float) -> float:
    return round(value, _PRECISION)
