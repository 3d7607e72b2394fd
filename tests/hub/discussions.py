"""Discussions and pull requests of the loopback Hub, and how a pull request is merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from tests.hub.store import File, Refusal, Repo

Status = Literal["open", "closed", "merged", "draft"]


@dataclass(slots=True)
class Discussion:
    """A discussion, or a pull request if `fork` names the commit from which it left `base`."""

    num: int
    author: str
    title: str
    status: Status
    base: str = "main"
    fork: str | None = None
    merge_commit: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_pull_request(self) -> bool:
        """Whether it has a branch of its own."""
        return self.fork is not None

    @property
    def ref(self) -> str:
        """The revision to which its commits go."""
        return f"refs/pr/{self.num}"

    def note(self, kind: str, author: str, **data: Any) -> dict[str, Any]:
        """Add an event and return it in the client's format (huggingface_hub/community.py, deserialize_event)."""
        event = {
            "id": f"{self.num:012x}{len(self.events):012x}",
            "type": kind,
            "createdAt": iso(datetime.now(UTC)),
            "author": {"name": author},
            "data": data,
        }
        self.events.append(event)
        return event

    def comment(self, author: str, text: str) -> dict[str, Any]:
        """Add a comment and return its event."""
        latest = {"raw": text, "html": text, "updatedAt": iso(datetime.now(UTC)), "author": {"name": author}}
        return self.note("comment", author, edited=False, hidden=False, latest=latest, history=[])

    def set_status(self, author: str, status: Status) -> dict[str, Any]:
        """Change the status and return the event."""
        self.status = status
        return self.note("status-change", author, status=status)


def open_pull(
    repo: Repo,
    num: int,
    *,
    author: str,
    title: str,
    status: Status,
    base: str = "main",
    start: str | None = None,
) -> Discussion:
    """Open a pull request whose branch starts at `start`, or at the head of `base`."""
    fork = repo.resolve(start or base).oid
    repo.pull_refs[f"refs/pr/{num}"] = fork
    return Discussion(num, author, title, status, base, fork)


def merge(repo: Repo, pull: Discussion, *, author: str) -> None:
    """Add the pull request to its base as one commit.

    Raises:
        Refusal: It is not open, or both sides changed a file (409).
    """
    if pull.status != "open":
        raise Refusal(409, f"This pull request cannot be merged: its status is {pull.status}.")
    files, conflicts = merged(repo, pull)
    if conflicts:
        raise Refusal(409, f"This pull request has conflicts: {', '.join(conflicts)}.")
    titles = [
        f"- {commit.title} ({commit.oid})" for commit in repo.history(pull.ref) if commit.oid != pull.fork
    ]
    commit = repo.graft(
        files, (repo.branches[pull.base],), author, f"{pull.title} (#{pull.num})", "\n".join(reversed(titles))
    )
    repo.branches[pull.base] = pull.merge_commit = commit.oid
    pull.set_status(author, "merged")


def merged(repo: Repo, pull: Discussion) -> tuple[Mapping[str, File], list[str]]:
    """Return the tree after a three-way merge by whole files, and the paths that both sides changed."""
    assert pull.fork is not None
    old = repo.commits[pull.fork].files
    ours, theirs = repo.resolve(pull.base).files, repo.resolve(pull.ref).files
    files, conflicts = dict(ours), []
    for path in sorted(old.keys() | theirs.keys()):
        if theirs.get(path) in (old.get(path), ours.get(path)):
            continue
        if ours.get(path) != old.get(path):
            conflicts.append(path)
        elif path in theirs:
            files[path] = theirs[path]
        else:
            files.pop(path, None)
    return files, conflicts


def iso(moment: datetime) -> str:
    """Return a time as the Hub writes it: UTC, milliseconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
