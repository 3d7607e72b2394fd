"""The maintainer's part: add a submission to a results repository, verified submissions only.

What is added are the bytes that were verified. A pull request is not merged by the Hub's button, because its author may
push to it between verification and merge: its files are committed with `verification.json`, and it is closed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synrs_data.errors import UserError, VerificationError
from synrs_data.events import Listener
from synrs_data.hub.account import check_account
from synrs_data.hub.local import PublishedFile
from synrs_data.hub.remote import read_back
from synrs_data.hub.session import Moved, Session, Waits
from synrs_data.image_sources.hub import DatasetAddress
from synrs_data.leaderboard.remote import (
    MAIN,
    Proposal,
    commit_files,
    head_of,
    known_copies,
    missing_files,
    open_session,
    read_proposal,
    read_submission,
    state_of,
)
from synrs_data.leaderboard.repository import (
    VERIFICATION,
    known_predictions,
    stored_files,
    verification_of,
    write_stored,
)
from synrs_data.leaderboard.rules import Finding, Refused, flags_left
from synrs_data.leaderboard.submission import FOLDER, Package, open_package, read_folder
from synrs_data.leaderboard.verify import Report, verify

_PULL_REQUEST = "refs/pr/"


@dataclass(frozen=True, slots=True)
class Added:
    """What an add came to.

    Attributes:
        id: Of the submission.
        place: Folder, or address of the commit.
        made: Whether this add made it; False if it was there.
        report: What was verified.
    """

    id: str
    place: str
    made: bool
    report: Report


def add_folder(root: Path, repository: Path, *, accept: Sequence[str] = ()) -> Added:
    """Verify a submission's folder and add it to a local results repository, made if it is not there.

    Raises:
        Refused: It breaks a rule, or raises a flag that is not accepted.
        BuildFolderError: The repository cannot be written.
    """
    package = open_package(read_folder(root), where=str(root))
    known = known_predictions(repository) if (repository / FOLDER).is_dir() else {}
    report = verify(package, known=known)
    _check(report, accept, where=str(root))
    folder = write_stored(repository, package, verification_of(package, report))
    return Added(package.id, str(folder), True, report)


def verify_proposal(session: Session, address: DatasetAddress) -> tuple[Proposal, Package, Report]:
    """Verify what a pull request adds, or a submission of a repository.

    Args:
        session: The repository.
        address: With the revision refs/pr/N, or the path submissions/ID.

    Raises:
        UserError: There is no such submission.
        Refused: It is none, or its folder is not named by its contents.
    """
    revision = address.revision or MAIN
    if revision.startswith(_PULL_REQUEST) and not address.path:
        proposal = read_proposal(session, _number(revision, session))
    else:
        proposal = read_submission(session, revision, address.path)
    package = open_package(proposal.files, where=proposal.url)
    if package.id != proposal.id:
        text = f"its folder is '{proposal.id}', its contents have the id '{package.id}'"
        raise Refused([Finding("R05", text)], where=proposal.url)
    known = known_copies(package, state_of(session, MAIN))
    return proposal, package, verify(package, known=known)


def add_proposal(
    address: DatasetAddress,
    *,
    accept: Sequence[str] = (),
    token: str | None = None,
    waits: Waits | None = None,
    listeners: Sequence[Listener] = (),
) -> Added:
    """Verify what a pull request adds, commit just that with its verification, and close the pull request.

    Args:
        address: See `verify_proposal`.
        accept: Flags that the maintainer has looked at.
        token: Token; None takes HF_TOKEN or that of `hf auth login`.
        waits: When to give up on a busy Hub.
        listeners: Called with each event.

    Raises:
        Refused: It breaks a rule, or raises a flag that is not accepted.
        VerificationError: The pull request changed while it was verified.
        UserError: The account or the Hub does not allow it.
    """
    with open_session(address.name, token=token, waits=waits, listeners=listeners) as session:
        check_account(session, dry_run=False)
        session.ask(lambda: session.api.auth_check(session.repo, repo_type="dataset", write=True))
        proposal, package, report = verify_proposal(session, address)
        _check(report, accept, where=proposal.url)
        record = verification_of(
            package, report, source=proposal.url, commit=proposal.commit, author=proposal.author
        )
        commit, made = _commit(session, proposal, stored_files(package, record))
        if proposal.number is not None:
            _close(session, proposal.number, f"Verified and added as {commit}.")
    return Added(package.id, f"{session.url}/commit/{commit}", made, report)


def _check(report: Report, accept: Sequence[str], *, where: str) -> None:
    report.check(where)
    if left := flags_left(report.flags, accept):
        options = " ".join(f"--accept-flag {rule}" for rule in sorted({flag.rule for flag in left}))
        raise Refused(left, where=where, fix=f"ask the submitter; if you believe it, add it with `{options}`")


def _number(revision: str, session: Session) -> int:
    text = revision.removeprefix(_PULL_REQUEST)
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"'{revision}' is no pull request", where=session.url, fix="write @refs/pr/NUMBER")
    return int(text)


def _commit(session: Session, proposal: Proposal, files: dict[str, bytes]) -> tuple[str, bool]:
    """Return the commit of the main branch that holds the files, and whether this made it."""
    own = [PublishedFile.of_bytes(path, content) for path, content in files.items()]
    for attempt in range(session.waits.tries):
        state = state_of(session, MAIN)
        missing = missing_files(files, state.files)
        record = f"{FOLDER}/{proposal.id}/{VERIFICATION}"
        if record in state.files and {file.path for file in missing} <= {record}:
            # At the first try an earlier add had made it, whose record stays; later an answer was lost.
            return state.commit, attempt > 0
        if proposal.number is not None:
            head = head_of(session, f"{_PULL_REQUEST}{proposal.number}")
            if head != proposal.commit:
                raise VerificationError(
                    f"changed while it was verified: it is at {head}, {proposal.commit} was verified",
                    where=proposal.url,
                    fix="run the same command again: it verifies what is there now",
                )
        try:
            info = commit_files(
                session,
                missing,
                revision=MAIN,
                create_pr=False,
                parent=state.commit,
                title=f"Add {proposal.id}",
                description=f"Verified at {proposal.commit} of {proposal.url}",
            )
        except Exception as error:  # noqa: BLE001 - `wait_or_raise` tells them apart
            try:
                session.wait_or_raise(error, attempt)
            except Moved:
                session.events.emit("overtaken")
                time.sleep(session.waits.seconds(attempt, None))
            continue
        read_back(session, str(info.oid), own, [])
        return str(info.oid), True
    raise UserError(
        "others keep committing to this repository", where=session.url, fix="run the same command again later"
    )


def _close(session: Session, number: int, comment: str) -> None:
    def close() -> None:
        found = session.api.get_discussion_details(session.repo, number, repo_type="dataset")
        if found.status in ("open", "draft"):
            session.api.change_discussion_status(
                session.repo, number, "closed", comment=comment, repo_type="dataset"
            )

    session.ask(close)
