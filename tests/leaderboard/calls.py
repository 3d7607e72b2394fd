"""What tests/leaderboard/test_hub.py does in the client process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synrs_data.hub.session import Waits
from synrs_data.image_sources.hub import parse_address
from synrs_data.leaderboard.add import add_proposal, verify_proposal
from synrs_data.leaderboard.board import Board
from synrs_data.leaderboard.collect import read_board
from synrs_data.leaderboard.remote import open_session
from synrs_data.leaderboard.submit import submit

_WAITS = Waits(tries=4, first_s=0.01, longest_s=1.0)


def propose(folder: Path, repo: str, token: str) -> dict[str, Any]:
    """Submit a folder and return id, number of the pull request, whether it was made, and flags."""
    done = submit(folder, repo, token=token, waits=_WAITS)
    return {
        "id": done.id,
        "url": done.url,
        "number": done.number,
        "made": done.made,
        "flags": [flag.rule for flag in done.flags],
    }


def check(address: str, token: str | None = None) -> tuple[str, list[str], list[str]]:
    """Verify a proposal and return its id, the rules that it breaks and its flags."""
    parsed = parse_address(address)
    assert parsed is not None
    with open_session(parsed.name, token=token, waits=_WAITS) as session:
        _, package, report = verify_proposal(session, parsed)
    return package.id, [each.rule for each in report.findings], [each.rule for each in report.flags]


def add(address: str, token: str, accept: Sequence[str] = ()) -> tuple[str, bool]:
    """Add a proposal and return its id and whether this made it."""
    parsed = parse_address(address)
    assert parsed is not None
    done = add_proposal(parsed, accept=accept, token=token, waits=_WAITS)
    return done.id, done.made


def board(address: str) -> tuple[Board, list[str]]:
    """Return the board of a repository, and what was left out."""
    lines = list[str]()
    return read_board(address, report=lines.append), lines
