"""The JSON that the client reads: repositories, trees, commits, discussions (huggingface_hub/hf_api.py)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.hub.discussions import Discussion, iso, merged
from tests.hub.store import Commit, File, Refusal, Repo, pointer


def info(repo: Repo, commit: Commit, *, blobs: bool = False) -> dict[str, Any]:
    """Return a repository at a commit; with `blobs` its files have sizes and hashes."""
    card = metadata(repo.contents[commit.files["README.md"].sha256]) if "README.md" in commit.files else {}
    tags = card.get("tags") if isinstance(card.get("tags"), list) else []
    return {
        "_id": hashlib.sha1(repo.path.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": repo.id,
        "author": repo.owner,
        "sha": commit.oid,
        "lastModified": iso(commit.date),
        "createdAt": iso(repo.created),
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "tags": tags,
        "downloads": 0,
        "likes": 0,
        "cardData": card,
        "usedStorage": sum(file.size for file in commit.files.values()),
        "siblings": [_sibling(file, blobs=blobs) for file in commit.files.values()],
    }


def tree(repo: Repo, commit: Commit, folder: str, *, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    """Return the files and folders below `folder` ("" is the root), sorted by path.

    Raises:
        Refusal: There is no such folder (404, EntryNotFound).
    """
    prefix = f"{folder}/" if folder else ""
    files = [file for path, file in commit.files.items() if path.startswith(prefix)]
    if folder and not files:
        raise Refusal(404, f"{folder} does not exist on this revision", "EntryNotFound")
    entries: dict[str, dict[str, Any]] = {}
    for file in files:
        below = file.path.removeprefix(prefix).split("/")
        for depth in range(1, len(below) if recursive else min(len(below), 2)):
            name = prefix + "/".join(below[:depth])
            if name not in entries:
                entries[name] = directory(name, commit)
        if recursive or len(below) == 1:
            entries[file.path] = entry(file)
    if expand:
        for path, shown in entries.items():
            shown["lastCommit"] = _last_commit(repo, commit, path)
    return [entries[path] for path in sorted(entries)]


def entry(file: File) -> dict[str, Any]:
    """Return a file as the tree shows it."""
    shown: dict[str, Any] = {"type": "file", "path": file.path, "size": file.size, "oid": file.oid}
    if file.lfs:
        shown["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
    return shown


def directory(path: str, commit: Commit) -> dict[str, Any]:
    """Return a folder as the tree shows it; its oid changes with what is below."""
    below = sorted(
        (file.path, file.oid) for file in commit.files.values() if file.path.startswith(path + "/")
    )
    oid = hashlib.sha1(repr(below).encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "path": path, "size": 0, "oid": oid}


def path_entries(repo: Repo, commit: Commit, paths: list[str], *, expand: bool) -> list[dict[str, Any]]:
    """Return the entries of some paths, those that do not exist left out."""
    found = []
    for path in (path.strip("/") for path in paths):
        if path in commit.files:
            found.append(entry(commit.files[path]))
        elif any(name.startswith(path + "/") for name in commit.files):
            found.append(directory(path, commit))
        else:
            continue
        if expand:
            found[-1]["lastCommit"] = _last_commit(repo, commit, path)
    return found


def log_entry(commit: Commit) -> dict[str, Any]:
    """Return a commit as the list of commits shows it."""
    return {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": iso(commit.date),
        "formatted": {"title": commit.title, "message": commit.message},
    }


def discussion(repo: Repo, shown: Discussion) -> dict[str, Any]:
    """Return a discussion with its events, and the changes of a pull request."""
    details = {
        "num": shown.num,
        "title": shown.title,
        "author": {"name": shown.author},
        "createdAt": iso(shown.created),
        "status": shown.status,
        "repo": {"name": repo.id, "type": repo.kind},
        "isPullRequest": shown.is_pull_request,
        "events": shown.events,
    }
    if shown.fork is None:
        return details
    changes = {"base": f"refs/heads/{shown.base}"}
    if shown.merge_commit is not None:
        changes["mergeCommitId"] = shown.merge_commit
    old, new = repo.commits[shown.fork].files, repo.resolve(shown.ref).files
    paths = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
    return {
        **details,
        "changes": changes,
        "filesWithConflicts": [] if shown.merge_commit else merged(repo, shown)[1],
        "diff": "".join(f"diff --git a/{path} b/{path}\n" for path in paths),
    }


def metadata(readme: bytes) -> dict[str, Any]:
    """Return the YAML block at the head of a card, empty without one.

    Raises:
        Refusal: The block is no YAML mapping (400, with the client's `errors`).
    """
    match = re.match(r"---\s*\n(.*?)\n?---\s*(\n|$)", readme.decode(errors="replace"), re.DOTALL)
    if match is None:
        return {}
    try:
        block = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        message = f"YAML metadata error: {error}"
        raise Refusal(400, "Invalid metadata", errors=[{"message": message}], warnings=[]) from error
    if not isinstance(block, dict | None):
        message = "YAML metadata must be a mapping"
        raise Refusal(400, "Invalid metadata", errors=[{"message": message}], warnings=[])
    # Dates and the like are not JSON; the Hub shows them as text.
    return {str(key): _plain(value) for key, value in (block or {}).items()}


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _sibling(file: File, *, blobs: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        shown |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            shown["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
    return shown


def _pointer_size(file: File) -> int:
    return len(pointer(file.sha256, file.size))


def _last_commit(repo: Repo, commit: Commit, path: str) -> dict[str, str]:
    def state(at: Commit) -> list[File]:
        return [file for name, file in at.files.items() if name == path or name.startswith(path + "/")]

    history: Iterator[Commit] = iter(repo.history(commit.oid))
    last = next(history)
    for older in history:
        if state(older) != state(commit):
            break
        last = older
    return {"id": last.oid, "title": last.title, "date": iso(last.date)}
