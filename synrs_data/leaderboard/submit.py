"""Propose a submission to a results repository: verified here first, then one pull request, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synrs_data import __version__
from synrs_data.errors import UserError
from synrs_data.events import Listener
from synrs_data.hub.account import check_account, check_repository
from synrs_data.hub.local import PublishedFile
from synrs_data.hub.pull_request import find_pull_request, open_draft
from synrs_data.hub.remote import read_back
from synrs_data.hub.session import Moved, Session, Waits
from synrs_data.leaderboard.remote import (
    MAIN,
    commit_files,
    known_copies,
    missing_files,
    open_session,
    state_of,
)
from synrs_data.leaderboard.rules import Finding
from synrs_data.leaderboard.submission import FOLDER, open_package, read_folder
from synrs_data.leaderboard.verify import verify


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit came to.

    Attributes:
        id: Of the submission.
        url: Address of the pull request, or of the repository if the submission is there.
        number: Of the pull request, None if the submission is there.
        made: Whether this submit made or changed it.
        flags: What a maintainer will have to accept.
    """

    id: str
    url: str
    number: int | None
    made: bool
    flags: tuple[Finding, ...]


def submit(
    root: Path,
    repo: str,
    *,
    token: str | None = None,
    waits: Waits | None = None,
    listeners: Sequence[Listener] = (),
) -> Submitted:
    """Verify a submission and open a pull request with it; an open one of ours with the same contents is gone on with.

    Args:
        root: Folder of the submission.
        repo: USER/NAME of the results repository.
        token: Token; None takes HF_TOKEN or that of `hf auth login`.
        waits: When to give up on a busy Hub.
        listeners: Called with each event.

    Raises:
        Refused: It breaks a rule; nothing was sent.
        UserError: The account, the repository or the Hub does not allow it.
    """
    package = open_package(read_folder(root), where=str(root))
    verify(package).check(str(root))
    with open_session(repo, token=token, waits=waits, listeners=listeners) as session:
        account = check_account(session, dry_run=False)
        state = state_of(session, MAIN)
        check_repository(session, account, state, private=False, create_pr=True, dry_run=False)
        flags = verify(package, known=known_copies(package, state)).flags
        files = {f"{FOLDER}/{package.id}/{path}": content for path, content in package.files.items()}
        if not missing_files(files, state.files):
            return Submitted(package.id, session.url, None, False, flags)
        number, made = _propose(session, account.name, package.id, files)
    return Submitted(package.id, f"{session.url}/discussions/{number}", number, made, flags)


def _propose(session: Session, user: str, identity: str, files: dict[str, bytes]) -> tuple[int, bool]:
    """Return the number of the pull request that holds the files, and whether this made it so."""
    title = f"Submit {identity}"
    for attempt in range(session.waits.tries):
        number = find_pull_request(session, user, title)
        revision = MAIN if number is None else f"refs/pr/{number}"
        state = state_of(session, revision)
        missing = missing_files(files, state.files)
        commit = state.commit
        if missing or number is None:
            try:
                info = commit_files(
                    session,
                    missing,
                    revision=revision,
                    create_pr=number is None,
                    parent=state.commit,
                    title=title,
                    description=f"Verified by synrs-data {__version__} before it was sent.",
                )
            except Exception as error:  # noqa: BLE001 - `wait_or_raise` tells them apart
                try:
                    session.wait_or_raise(error, attempt)
                except Moved:
                    session.events.emit("overtaken")
                    time.sleep(session.waits.seconds(attempt, None))
                continue
            commit, number = str(info.oid), number if info.pr_num is None else info.pr_num
        assert number is not None
        open_draft(session, number)
        read_back(session, commit, [PublishedFile.of_bytes(*each) for each in files.items()], [])
        # At the first try an earlier submit had made it; later an answer was lost.
        return number, bool(missing) or attempt > 0
    raise UserError(
        "others keep committing to this repository",
        where=session.url,
        fix="run the same command again later: what was uploaded is kept",
    )
