"""Results repositories on the Hub: read one, or what a pull request adds to it, and commit whole submissions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.results import PREDICTIONS
from synrs_data.events import EventLog, Listener
from synrs_data.hub.local import PublishedFile
from synrs_data.hub.remote import RemoteFile, RemoteState, read_file, read_tree
from synrs_data.hub.session import Session, Waits, check_name
from synrs_data.hub.silence import no_longer_than
from synrs_data.hub.xet import with_lfs_if_no_xet
from synrs_data.leaderboard.repository import VERIFICATION
from synrs_data.leaderboard.rules import Finding, Refused
from synrs_data.leaderboard.submission import FOLDER, Package, check_listing, is_submission_id

MAIN = "main"

_READERS = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody wants to add.

    Attributes:
        id: Name of its folder.
        files: Contents by path in that folder.
        commit: Where they were read.
        author: Who opened the pull request; empty without one.
        number: Of the pull request, None for a submission that lies in the repository.
        url: Its address for people.
    """

    id: str
    files: Mapping[str, bytes]
    commit: str
    author: str
    number: int | None
    url: str


@contextlib.contextmanager
def open_session(
    repo: str, *, token: str | None, waits: Waits | None, listeners: Sequence[Listener] = ()
) -> Iterator[Session]:
    """Yield how a results repository is asked.

    Raises:
        UserError: The name is none of a repository.
    """
    from huggingface_hub import HfApi

    check_name(repo)
    session = Session(repo, HfApi(token=token), waits or Waits(), EventLog(None, *listeners))
    with no_longer_than(session.waits.silence_s):
        yield session


def head_of(session: Session, revision: str) -> str:
    """Return the commit of a revision.

    Raises:
        UserError: There is no such repository or revision.
    """
    return str(session.ask(lambda: session.api.dataset_info(session.repo, revision=revision)).sha)


def state_of(session: Session, revision: str) -> RemoteState:
    """Return a repository's state at a revision, without reading a file of it: a stranger's may be many and huge.

    Raises:
        UserError: There is no such repository or revision.
    """
    info = session.ask(lambda: session.api.dataset_info(session.repo, revision=revision))
    return RemoteState(str(info.sha), bool(info.private), read_tree(session, str(info.sha)), {})


def fetch_repository(
    repo: str, revision: str, target: Path, *, token: str | None = None, waits: Waits | None = None
) -> None:
    """Write the submissions of a repository into a folder; what is no file of a submission stays where it is.

    Raises:
        UserError: The Hub does not give them.
    """
    with open_session(repo, token=token, waits=waits) as session:
        state = state_of(session, revision)
        by_id: dict[str, dict[str, int]] = {}
        for path, file in state.files.items():
            parts = path.split("/", 2)
            if len(parts) == 3 and parts[0] == FOLDER and is_submission_id(parts[1]):
                by_id.setdefault(parts[1], {})[parts[2]] = file.size
        whole = {
            identity: sizes
            for identity, sizes in by_id.items()
            if VERIFICATION in sizes
            and not check_listing({path: size for path, size in sizes.items() if path != VERIFICATION})
        }
        files.make_folder(target / FOLDER)
        paths = [f"{FOLDER}/{identity}/{path}" for identity, sizes in whole.items() for path in sizes]

        def fetch(path: str) -> None:
            files.make_folder((target / path).parent)
            (target / path).write_bytes(read_file(session, path, state.commit))

        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(fetch, paths))


def read_proposal(session: Session, number: int) -> Proposal:
    """Return the submission that a pull request adds.

    Raises:
        UserError: There is no such pull request.
        Refused: It does anything else (R16), or its files are no submission's (R01, R02).
    """

    def details() -> Any:
        return session.api.get_discussion_details(session.repo, number, repo_type="dataset")

    found, url = session.ask(details), f"{session.url}/discussions/{number}"
    if not found.is_pull_request:
        raise UserError("is no pull request", where=url, fix="give the number of one")
    revision = f"refs/pr/{number}"
    commit = head_of(session, revision)
    tree, base = read_tree(session, commit), read_tree(session, _base(session, commit))
    changed = {path for path in tree.keys() | base.keys() if tree.get(path) != base.get(path)}
    added = sorted(path for path in changed if path not in base)
    folders = {tuple(path.split("/")[:2]) for path in added}
    identities = [parts[1] for parts in folders if len(parts) == 2 and parts[0] == FOLDER]
    if (
        len(folders) != 1
        or len(identities) != 1
        or not is_submission_id(identities[0])
        or len(added) < len(changed)
    ):
        others = sorted(changed - set(added)) or added or ["nothing"]
        text = f"it changes {len(changed)} files, such as '{others[0][:200]}', in {len(folders)} folders"
        raise Refused([Finding("R16", text)], where=url)
    files_of = _read(session, commit, f"{FOLDER}/{identities[0]}", {path: tree[path] for path in added}, url)
    return Proposal(identities[0], files_of, commit, str(found.author), number, url)


def read_submission(session: Session, revision: str, folder: str) -> Proposal:
    """Return a submission that lies in a repository.

    Raises:
        UserError: There is none.
        Refused: Its files are no submission's.
    """
    state = state_of(session, revision)
    own = {path: file for path, file in state.files.items() if path.startswith(f"{folder}/")}
    own.pop(f"{folder}/{VERIFICATION}", None)
    url, identity = f"{session.url}/tree/{state.commit}/{folder}", folder.rpartition("/")[2]
    if not own or folder != f"{FOLDER}/{identity}":
        raise UserError("is no submission", where=url, fix=f"name one: {FOLDER}/ID")
    return Proposal(identity, _read(session, state.commit, folder, own, url), state.commit, "", None, url)


def known_copies(package: Package, state: RemoteState) -> dict[str, str]:
    """Return the id of the submission of a repository by the sha256 of predictions that are also this submission's."""
    found = {}
    for number in range(len(package.results)):
        own = PublishedFile.of_bytes(PREDICTIONS, package.predictions(number))
        for path, file in state.files.items():
            parts = path.split("/")
            of_other = len(parts) > 2 and parts[0] == FOLDER and parts[1] != package.id
            if of_other and parts[-1] == PREDICTIONS and file.equals(own):
                found[own.sha256] = parts[1]
    return found


def missing_files(wanted: Mapping[str, bytes], there: Mapping[str, RemoteFile]) -> list[PublishedFile]:
    """Return the files that a tree does not have with these contents."""
    own = [PublishedFile.of_bytes(path, content) for path, content in wanted.items()]
    return [file for file in own if file.path not in there or not there[file.path].equals(file)]


def commit_files(
    session: Session,
    added: Sequence[PublishedFile],
    *,
    revision: str,
    create_pr: bool,
    parent: str,
    title: str,
    description: str,
) -> Any:
    """Make one commit of files; see `synrs_data.hub.publish` for why the operations are new ones at each try.

    Raises:
        Exception: What the Hub's client raises; `Session.wait_or_raise` tells whether to try again.
    """
    operations = [file.operation() for file in added]
    with with_lfs_if_no_xet(session, revision, create_pr=create_pr):
        session.ask(
            lambda: session.api.preupload_lfs_files(
                session.repo,
                operations,
                repo_type="dataset",
                revision=revision,
                create_pr=create_pr,
                free_memory=False,
                gitignore_content="",
            )
        )
    return session.api.create_commit(
        session.repo,
        operations,
        commit_message=title,
        commit_description=description,
        repo_type="dataset",
        revision=revision,
        create_pr=create_pr,
        parent_commit=parent,
    )


def _base(session: Session, commit: str) -> str:
    """Return the last commit that a pull request shares with the main branch."""

    def history(revision: str) -> list[str]:
        found = session.api.list_repo_commits(session.repo, repo_type="dataset", revision=revision)
        return [each.commit_id for each in found]

    main = set(session.ask(lambda: history(MAIN)))
    shared = next((each for each in session.ask(lambda: history(commit)) if each in main), None)
    if shared is None:
        raise VerificationError(
            "shares no commit with the main branch", where=session.url, fix="open another one"
        )
    return shared


def _read(
    session: Session, commit: str, folder: str, tree: Mapping[str, RemoteFile], where: str
) -> dict[str, bytes]:
    """Return contents by path below a folder, after a look at paths and sizes."""
    sizes = {path.removeprefix(f"{folder}/"): file.size for path, file in tree.items()}
    if findings := check_listing(sizes):
        raise Refused(findings, where=where)
    contents = {path: read_file(session, f"{folder}/{path}", commit) for path in sorted(sizes)}
    for path, content in contents.items():
        if not tree[f"{folder}/{path}"].equals(PublishedFile.of_bytes(path, content)):
            raise VerificationError(f"the Hub gives other contents of '{path}' than it lists", where=where)
    return contents
