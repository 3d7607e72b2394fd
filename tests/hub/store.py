"""What the loopback Hub keeps: contents by sha256, repositories, and commits that never change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from tests.hub import attributes

if TYPE_CHECKING:
    from tests.hub.discussions import Discussion

Kind = Literal["model", "dataset", "space"]

ATTRIBUTES = ".gitattributes"


class Refusal(Exception):
    """An answer that is an error: status, the Hub's `X-Error-Code`, its message, more of the JSON body.

    `commit` is the commit in which a file was looked for in vain; clients remember it.
    """

    def __init__(self, status: int, message: str, code: str | None = None, **body: object) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body
        self.commit: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a tree.

    `oid` is git's name of the blob: the sha1 of the content, or of the LFS pointer if `lfs`.
    """

    path: str
    sha256: str
    size: int
    oid: str
    lfs: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with its whole tree, `files`, by path."""

    oid: str
    parents: tuple[str, ...]
    author: str
    title: str
    message: str
    date: datetime
    files: Mapping[str, File]

    @property
    def sha256(self) -> dict[str, str]:
        """The sha256 of every file, by path."""
        return {path: file.sha256 for path, file in self.files.items()}


@dataclass(frozen=True, slots=True)
class Put:
    """Write `content`, or with `content=None` the LFS object `sha256`, at `path`."""

    path: str
    content: bytes | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the file `path`, or every file below it if `folder`."""

    path: str
    folder: bool = False


def git_oid(content: bytes) -> str:
    """Return the sha1 that git gives to a blob (gitformat: "blob SIZE NUL content")."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer of an object (git-lfs, docs/spec.md)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Contents:
    """Every byte string that was uploaded, by sha256."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        """Keep `content` and return its sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._bytes[sha256] = content
        return sha256

    def __getitem__(self, sha256: str) -> bytes:
        return self._bytes[sha256]

    def file(self, path: str, sha256: str, *, lfs: bool) -> File:
        """Return the tree entry of a content."""
        content = self._bytes[sha256]
        size = len(content)
        return File(path, sha256, size, git_oid(pointer(sha256, size) if lfs else content), lfs)


@dataclass(slots=True)
class Repo:
    """A repository: commits, what points at them, and who may see it."""

    kind: Kind
    id: str
    contents: Contents
    private: bool = False
    gated: Literal["auto", "manual", False] = False
    granted: set[str] = field(default_factory=set)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pull_refs: dict[str, str] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    discussions: list[Discussion] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """The user or organisation before the slash."""
        return self.id.partition("/")[0]

    @property
    def path(self) -> str:
        """Where its pages are: `datasets/USER/NAME`, without a prefix for a model."""
        return self.id if self.kind == "model" else f"{self.kind}s/{self.id}"

    def resolve(self, revision: str = "main") -> Commit:
        """Return the commit of a branch, tag, `refs/pr/N` or (shortened) sha1.

        Raises:
            Refusal: Nothing has that name (404, RevisionNotFound).
        """
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        for names in (self.branches, self.tags, self.pull_refs):
            if (oid := names.get(revision) or names.get(short)) is not None:
                return self.commits[oid]
        if re.fullmatch("[0-9a-f]{7,40}", revision):
            for oid, commit in self.commits.items():
                if oid.startswith(revision):
                    return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, revision: str = "main") -> list[Commit]:
        """Return the commits of a revision along first parents, newest first."""
        return list(self._walk(self.resolve(revision)))

    def read(self, path: str, revision: str = "main") -> bytes:
        """Return the content of a file.

        Raises:
            Refusal: The revision (404, RevisionNotFound) or the file (404, EntryNotFound) is not there.
        """
        return self.contents[self.entry(path, self.resolve(revision)).sha256]

    def entry(self, path: str, commit: Commit) -> File:
        """Return the tree entry of `path`.

        Raises:
            Refusal: The file is not there (404, EntryNotFound).
        """
        if path not in commit.files:
            refusal = Refusal(404, "Entry not found", "EntryNotFound")
            refusal.commit = commit.oid
            raise refusal
        return commit.files[path]

    def attributes(self, commit: Commit) -> str:
        """Return the text of the commit's `.gitattributes`."""
        file = commit.files.get(ATTRIBUTES)
        return "" if file is None else self.contents[file.sha256].decode()

    def commit(
        self,
        edits: Iterable[Put | Remove],
        *,
        revision: str,
        author: str,
        title: str,
        message: str = "",
        parent: str | None = None,
    ) -> Commit:
        """Add one commit to a branch or pull request, all edits or none.

        Args:
            edits: What to write and remove, in order.
            revision: A branch or `refs/pr/N`.
            author: Its user name.
            title: First line of the message.
            message: The rest.
            parent: Refuse unless the revision still points to this (shortened) sha1.

        Raises:
            Refusal: The parent is stale (412), the revision is no branch (404), a removed file is not there
                (404), an LFS object was never uploaded (400).
        """
        names = self.pull_refs if revision.startswith("refs/pr/") else self.branches
        if (name := revision.removeprefix("refs/heads/")) not in names:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        head = self.commits[names[name]]
        if parent is not None and not head.oid.startswith(parent):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        commit = self.graft(self._edited(head, edits), (head.oid,), author, title, message)
        names[name] = commit.oid
        return commit

    def graft(
        self, files: Mapping[str, File], parents: tuple[str, ...], author: str, title: str, message: str = ""
    ) -> Commit:
        """Keep a commit that nothing points to yet."""
        files = MappingProxyType(dict(sorted(files.items())))
        # The number makes two commits with the same tree and parent in one clock tick two commits.
        seed = repr((len(self.commits), parents, author, title, message, [*files.values()])).encode()
        oid = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
        self.commits[oid] = Commit(oid, parents, author, title, message, datetime.now(UTC), files)
        return self.commits[oid]

    def _edited(self, head: Commit, edits: Iterable[Put | Remove]) -> dict[str, File]:
        files, unnamed = dict(head.files), []
        for edit in edits:
            if isinstance(edit, Remove):
                gone = [path for path in files if _is_below(path, edit.path)] if edit.folder else [edit.path]
                if not gone or any(path not in files for path in gone):
                    raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
                for path in gone:
                    del files[path]
            elif edit.content is not None:
                files[edit.path] = self.contents.file(edit.path, self.contents.add(edit.content), lfs=False)
            elif edit.sha256 in self.lfs:
                files[edit.path] = self.contents.file(edit.path, edit.sha256, lfs=True)
                unnamed.append(edit.path)
            else:
                raise Refusal(400, "LFS pointer pointed to a file that does not exist")
        if unnamed:
            old = self.contents[files[ATTRIBUTES].sha256].decode() if ATTRIBUTES in files else ""
            text = attributes.with_lfs_lines(old, unnamed).encode()
            files[ATTRIBUTES] = self.contents.file(ATTRIBUTES, self.contents.add(text), lfs=False)
        return files

    def _walk(self, commit: Commit) -> Iterator[Commit]:
        yield commit
        while commit.parents:
            commit = self.commits[commit.parents[0]]
            yield commit


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
