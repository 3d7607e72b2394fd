"""What a dataset repository holds at one commit, and which of it is ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synrs_data.errors import VerificationError

if TYPE_CHECKING:
    from synrs_data.hub.local import PublishedFile
    from synrs_data.hub.session import Session

_MANIFEST = re.compile(r"([^/]+)/manifest\.json")
_OURS = {"format": int, "name": str, "task": str, "files": dict}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a tree: `sha256` of an LFS object, None for a regular file, whose git blob is `oid`."""

    size: int
    sha256: str | None
    oid: str

    def equals(self, file: PublishedFile) -> bool:
        """Tell whether it has the contents of `file`."""
        if self.size != file.size:
            return False
        return self.sha256 == file.sha256 if self.sha256 is not None else self.oid == file.git_oid()


@dataclass(frozen=True, slots=True)
class RemoteState:
    """A repository at one commit.

    Attributes:
        commit: Its oid, empty for a repository that is not there.
        private: Whether it is private.
        files: Every file by path.
        configs: Manifest by config: the folders that a publish of ours made.
    """

    commit: str
    private: bool
    files: dict[str, RemoteFile]
    configs: dict[str, dict[str, Any]]


ABSENT = RemoteState("", private=False, files={}, configs={})
"""A repository that is still to be made."""


def read_state(session: Session, revision: str) -> RemoteState | None:
    """Return the state at a revision, None if there is no repository that the token may see.

    Args:
        session: The repository.
        revision: Branch, commit or pull request.

    Raises:
        UserError: The Hub does not give it.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def head() -> Any:
        try:
            return session.api.dataset_info(session.repo, revision=revision)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            if session.fresh:
                raise
            return None

    info = session.ask(head)
    if info is None:
        return None
    commit = str(info.sha)
    files = read_tree(session, commit)
    found = {
        match[1]: manifest
        for path in files
        if (match := _MANIFEST.fullmatch(path))
        and (manifest := _parse_manifest(read_file(session, path, commit))) is not None
    }
    return RemoteState(commit, bool(info.private), files, found)


def read_tree(session: Session, commit: str) -> dict[str, RemoteFile]:
    """Return every file at a commit by path."""
    from huggingface_hub.hf_api import RepoFile

    def listing() -> dict[str, RemoteFile]:
        entries = session.api.list_repo_tree(
            session.repo, repo_type="dataset", revision=commit, recursive=True
        )
        return {
            entry.path: RemoteFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    return session.ask(listing)


def read_file(session: Session, path: str, commit: str) -> bytes:
    """Return the contents of a file at a commit, past the cache: it is read once and small."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        get_session,
        hf_raise_for_status,
    )

    url = hf_hub_url(session.repo, path, repo_type="dataset", revision=commit, endpoint=session.api.endpoint)

    def download() -> bytes:
        response = get_session().get(url, headers=session.headers(), follow_redirects=True)
        hf_raise_for_status(response)
        return bytes(response.content)

    return session.ask(download)


def read_back(session: Session, commit: str, wanted: list[PublishedFile], deleted: list[str]) -> None:
    """Compare a commit with what was published.

    Raises:
        VerificationError: A file is missing, differs, or is still there.
    """
    found = read_tree(session, commit)
    wrong = [file.path for file in wanted if file.path not in found or not found[file.path].equals(file)]
    wrong += [path for path in deleted if path in found]
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise VerificationError(
            f"the Hub lists other contents than were sent: {shown}",
            where=f"{session.url}/tree/{commit}",
            fix="publish again; if it comes back, tell the Hub's support",
        )


def _parse_manifest(content: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(values, dict) and all(isinstance(values.get(key), kind) for key, kind in _OURS.items())
    return values if ours else None
