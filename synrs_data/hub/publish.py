"""Publish finished builds as one commit: everything is there before a reader can see any of it.

Uploading changes no branch: objects are kept by their sha256 and those that are there are not sent again, so a
publish that was killed goes on where it stopped. One commit with the head that was read as its parent then makes
all files visible at once. Its answer may be lost, and others may commit in between; so after every failure the
state is read again and what is left to do is reckoned anew, until nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from synrs_data import __version__
from synrs_data.build.state import read_recipe
from synrs_data.errors import UserError
from synrs_data.events import EventLog, Listener
from synrs_data.hub.account import Account, check_account, check_repository
from synrs_data.hub.local import LocalBuild, check_contents, open_build
from synrs_data.hub.plan import PublishPlan, make_plan
from synrs_data.hub.pull_request import find_pull_request, open_draft
from synrs_data.hub.remote import ABSENT, RemoteState, read_back, read_state
from synrs_data.hub.session import Moved, Session, Waits, check_endpoint, check_name
from synrs_data.hub.silence import no_longer_than
from synrs_data.hub.xet import with_lfs_if_no_xet
from synrs_data.licenses import check_license
from synrs_data.recipe_file import complete

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_BATCH_FILES = 64
_BATCH_BYTES = 8 * 2**30
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish came to.

    Attributes:
        url: Address of the repository, or of the pull request.
        commit: The commit that holds the builds; empty after a dry run of a new repository.
        made: Whether this publish made it; False if everything was there.
        samples: Packed samples by config.
        plan: What was changed, or would be in a dry run.
        pull_request: Its number, None for a publish to the main branch.
    """

    url: str
    commit: str
    made: bool
    samples: dict[str, int]
    plan: PublishPlan
    pull_request: int | None


def publish(
    roots: Sequence[Path],
    repo: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    waits: Waits | None = None,
    listeners: Sequence[Listener] = (),
) -> Published:
    """Publish finished builds as configs of one dataset repository.

    Args:
        roots: Build folders.
        repo: USER/NAME.
        private: Make a new repository private.
        create_pr: Propose the version in a pull request instead of committing to the main branch.
        dry_run: Only say what would be done.
        token: Token; None takes HF_TOKEN or that of `hf auth login`.
        waits: When to give up on a busy Hub.
        listeners: Called with each event.

    Raises:
        VerificationError: A build is not as its manifest says, or the Hub lists other contents than were sent.
        UserError: The account, the repository or the Hub does not allow it.
    """
    check_endpoint()
    from huggingface_hub import HfApi

    check_name(repo)
    events = EventLog(None, *listeners)
    builds = [open_build(root) for root in roots]
    for build in builds:
        check_licence(build)
        if build.warning:
            events.emit("warning", text=build.warning)
    session = Session(repo, HfApi(token=token), waits or Waits(), events)
    with no_longer_than(session.waits.silence_s):
        return _publish(session, builds, private=private, create_pr=create_pr, dry_run=dry_run)


def _publish(
    session: Session, builds: list[LocalBuild], *, private: bool, create_pr: bool, dry_run: bool
) -> Published:
    account = check_account(session, dry_run=dry_run)
    state = read_state(session, _MAIN)
    check_repository(session, account, state, private=private, create_pr=create_pr, dry_run=dry_run)
    plan = make_plan(session, builds, state or ABSENT, first=True)
    session.events.emit("checking", files=sum(len(build.files) for build in builds))
    for build in builds:
        for path, size in check_contents(build):
            session.events.emit("checked", file=path, bytes=size)
    if plan.is_empty or dry_run:
        return _result(session, plan, (state or ABSENT).commit, None, made=False)
    if state is None:
        session.ask(
            lambda: session.api.create_repo(session.repo, repo_type="dataset", private=private, exist_ok=True)
        )
        session = replace(session, fresh=True)
    return _Publisher(session, builds, account, create_pr=create_pr).run()


def check_licence(build: LocalBuild) -> None:
    """Refuse a build whose licence is unknown or conflicts with that of what it was made from.

    Raises:
        UserError: It does; the message names the licence.
    """
    folder = build.folder
    recipe = complete(read_recipe(folder), folder=folder.root, where=str(folder.recipe))
    check_license(recipe, build.manifest["generator"], where=str(folder.root))


class _Publisher:
    """Brings a repository, or a pull request on it, to the state that the builds ask for."""

    def __init__(
        self, session: Session, builds: list[LocalBuild], account: Account, *, create_pr: bool
    ) -> None:
        self._session = session
        self._builds = builds
        self._user = account.name
        self._create_pr = create_pr
        names = ", ".join(f"{build.manifest['name']} ({build.manifest['task']})" for build in builds)
        self._title = f"Publish {names}"

    def run(self) -> Published:
        """Return what it came to.

        Raises:
            UserError: The Hub does not allow it, or others committed before every try.
        """
        for attempt in range(self._session.waits.tries):
            number, state = self._read()
            plan = make_plan(self._session, self._builds, state, first=False)
            if plan.is_empty:
                # At the first try somebody else was quicker with the same; later an answer was lost.
                return self._conclude(plan, state.commit, number, made=attempt > 0)
            try:
                operations = self._upload(plan, number)
                commit, number = self._commit(plan, operations, state, number)
            except Exception as error:  # noqa: BLE001 - `wait_or_raise` tells them apart
                try:
                    self._session.wait_or_raise(error, attempt)
                except Moved:
                    self._session.events.emit("overtaken")
                    # What the Hub says of its head may be older than what it compares a parent with.
                    time.sleep(self._session.waits.seconds(attempt, None))
                continue
            return self._conclude(plan, commit, number, made=True)
        raise UserError(
            "others keep committing to this repository",
            where=self._session.url,
            fix="run the same command again later: what was uploaded is kept",
        )

    def _read(self) -> tuple[int | None, RemoteState]:
        """Return our pull request, if one is wanted and there is one, and the state to start from."""
        number = find_pull_request(self._session, self._user, self._title) if self._create_pr else None
        state = read_state(self._session, _MAIN if number is None else _reference(number))
        if state is None:
            raise UserError(
                "the repository is gone", where=self._session.url, fix="run the same command again"
            )
        return number, state

    def _upload(self, plan: PublishPlan, number: int | None) -> list[CommitOperationAdd]:
        """Send what is missing of the LFS objects, which changes no branch; return what to commit.

        The operations are new ones at each try, because they remember what the Hub held when they were sent.
        """
        session, files = self._session, plan.sent
        revision, opens = self._target(number)
        session.events.emit("uploading", files=len(files), bytes=sum(file.size for file in files))
        operations = [file.operation() for file in files]
        with with_lfs_if_no_xet(session, revision, create_pr=opens):
            for batch in _batches(operations):
                session.ask(partial(self._preupload, batch, revision, opens))
                sent = sum(operation.upload_info.size for operation in batch)
                session.events.emit("uploaded", files=len(batch), bytes=sent)
        return operations

    def _preupload(self, batch: list[CommitOperationAdd], revision: str, opens: bool) -> None:
        self._session.api.preupload_lfs_files(
            self._session.repo,
            batch,
            repo_type="dataset",
            revision=revision,
            create_pr=opens,
            free_memory=False,
            # The repository's own `.gitignore` would leave files of ours out without a word.
            gitignore_content="",
        )

    def _commit(
        self,
        plan: PublishPlan,
        operations: list[CommitOperationAdd],
        state: RemoteState,
        number: int | None,
    ) -> tuple[str, int | None]:
        """Make all files visible at once; return the commit and the pull request."""
        from huggingface_hub import CommitOperationDelete

        revision, opens = self._target(number)
        info = self._session.api.create_commit(
            self._session.repo,
            [*(CommitOperationDelete(path) for path in plan.deleted), *operations],
            commit_message=self._title,
            commit_description=f"Published by synrs-data {__version__}.",
            repo_type="dataset",
            revision=revision,
            create_pr=opens,
            parent_commit=state.commit,
        )
        return str(info.oid), info.pr_num if opens else number

    def _target(self, number: int | None) -> tuple[str, bool]:
        """Return the revision to commit to, and whether that opens a pull request."""
        return (_MAIN, self._create_pr) if number is None else (_reference(number), False)

    def _conclude(self, plan: PublishPlan, commit: str, number: int | None, *, made: bool) -> Published:
        if number is not None:
            open_draft(self._session, number)
        read_back(self._session, commit, list(plan.files.values()), plan.deleted)
        return _result(self._session, plan, commit, number, made=made)


def _batches(operations: list[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    """Yield the operations in parts, so that progress is seen and a try repeats little."""
    batch: list[CommitOperationAdd] = []
    size = 0
    for operation in operations:
        if batch and (len(batch) == _BATCH_FILES or size + operation.upload_info.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(operation)
        size += operation.upload_info.size
    if batch:
        yield batch


def _reference(number: int) -> str:
    return f"refs/pr/{number}"


def _result(session: Session, plan: PublishPlan, commit: str, number: int | None, *, made: bool) -> Published:
    url = session.url if number is None else f"{session.url}/discussions/{number}"
    samples = {config: build.samples for config, build in plan.builds.items()}
    return Published(url, commit, made, samples, plan, number)
