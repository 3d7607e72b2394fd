"""What tests/hub/test_hub.py does in the client process, with nothing but the real clients."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Literal, cast

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.lfs import UploadInfo, post_lfs_batch_info
from huggingface_hub.utils._http import get_session

Edits = dict[str, bytes | None]
"""Contents by path; None deletes the file, or the folder if the path ends with a slash."""


def call(method: str, *args: Any, token: str | None = None, **kwargs: Any) -> Any:
    """Call a method of HfApi whose value other processes can read."""
    value = getattr(HfApi(token=token), method)(*args, **kwargs)
    return str(value) if method == "create_repo" else value


def commit(repo: str, edits: Edits, token: str, **kwargs: Any) -> tuple[str, str | None]:
    """Make one commit on a dataset and return its oid and pull request."""
    operations: list[Any] = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in edits.items()
    ]
    info = HfApi(token=token).create_commit(
        repo, operations, commit_message="A commit", repo_type="dataset", **kwargs
    )
    return info.oid, info.pr_revision


def upload_folder(repo: str, folder: Path, token: str, **kwargs: Any) -> tuple[str, str | None]:
    """Upload a folder to a dataset and return the commit's oid and pull request."""
    info = HfApi(token=token).upload_folder(repo_id=repo, folder_path=folder, repo_type="dataset", **kwargs)
    return info.oid, info.pr_revision


def copy(repo: str, source: str, target: str, token: str) -> str:
    """Copy a file inside a dataset."""
    operation = CommitOperationCopy(source, target)
    info = HfApi(token=token).create_commit(
        repo, [operation], commit_message="Copy", repo_type="dataset", token=token
    )
    return info.oid


def tree(repo: str, token: str | None = None, **kwargs: Any) -> dict[str, str | None]:
    """Return the paths of a tree: sha256 of LFS files, git oid of others, None for folders."""
    return {
        found.path: (found.lfs.sha256 if found.lfs else found.blob_id)
        if isinstance(found, RepoFile)
        else None
        for found in HfApi(token=token).list_repo_tree(repo, repo_type="dataset", **kwargs)
    }


def last_commits(repo: str, paths: list[str]) -> dict[str, str]:
    """Return the title of the commit that last changed each path, from two endpoints that must agree."""
    api = HfApi()
    listed = {
        found.path: found.last_commit
        for found in api.list_repo_tree(repo, repo_type="dataset", recursive=True, expand=True)
    }
    titles = {}
    for found in api.get_paths_info(repo, paths, repo_type="dataset", expand=True):
        assert found.last_commit is not None
        assert found.last_commit == listed[found.path]
        titles[found.path] = found.last_commit.title
    return titles


def metadata(repo: str, path: str, timeout: float = 10, token: str | None = None) -> dict[str, Any]:
    """Return what the client reads from HEAD."""
    url = hf_hub_url(repo, path, repo_type="dataset")
    found = get_hf_file_metadata(url, timeout=timeout, token=token)
    return {"commit": found.commit_hash, "etag": found.etag, "size": found.size, "location": found.location}


def download(repo: str, path: str, token: str | None = None, revision: str | None = None) -> str:
    """Download a file past the cache and return its sha256."""
    with tempfile.TemporaryDirectory() as cache:
        local = hf_hub_download(
            repo, path, repo_type="dataset", revision=revision, token=token, cache_dir=cache
        )
        return hashlib.sha256(Path(local).read_bytes()).hexdigest()


def snapshot(repo: str, revision: str | None = None) -> dict[str, str]:
    """Download a whole dataset and return the sha256 of every file."""
    with tempfile.TemporaryDirectory() as cache:
        root = Path(snapshot_download(repo, repo_type="dataset", revision=revision, cache_dir=cache))
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file()
        }


def read_range(path: str, start: int, size: int) -> tuple[bytes, bytes]:
    """Read a part of a file by its `hf://` path, and the whole of it."""
    fs = HfFileSystem(skip_instance_cache=True)
    with fs.open(path, "rb", block_size=16, cache_type="readahead") as file:
        file.seek(start)
        part = file.read(size)
    return part, fs.cat_file(path)


def find(path: str) -> list[str]:
    """List all files below an `hf://` path."""
    return cast(list[str], HfFileSystem(skip_instance_cache=True).find(path))


def load(
    repo: str, split: str, cache: Path, *, streaming: bool
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Load a dataset; return its features and rows, images as mean colours."""
    import datasets
    import numpy as np

    loaded = datasets.load_dataset(repo, split=split, streaming=streaming, cache_dir=str(cache))
    rows = [
        {name: np.asarray(value).mean().item() if name == "png" else value for name, value in row.items()}
        for row in loaded
    ]
    return {name: str(kind) for name, kind in loaded.features.items()}, rows


def merge(repo: str, num: int, token: str, *, leave_draft: bool = False) -> dict[str, Any]:
    """Merge a pull request, out of draft first unless told not to, and return its details."""
    api = HfApi(token=token)
    if not leave_draft:
        api.change_discussion_status(repo, num, "open", repo_type="dataset")
    api.merge_pull_request(repo, num, repo_type="dataset")
    return details(repo, num)


def details(repo: str, num: int) -> dict[str, Any]:
    """Return the details of a discussion."""
    found = HfApi().get_discussion_details(repo, num, repo_type="dataset")
    return {
        "status": found.status,
        "author": found.author,
        "title": found.title,
        "target": found.target_branch,
        "merge_commit": found.merge_commit_oid,
        "conflicts": found.conflicting_files,
        "diff": found.diff,
        "events": [event.type for event in found.events],
        "reference": found.git_reference,
    }


def discuss(repo: str, token: str) -> dict[str, Any]:
    """Open a discussion, comment, rename and close it."""
    api = HfApi(token=token)
    num = api.create_discussion(repo, "A question", repo_type="dataset").num
    api.comment_discussion(repo, num, "More", repo_type="dataset")
    api.rename_discussion(repo, num, "An answer", repo_type="dataset")
    api.change_discussion_status(repo, num, "closed", repo_type="dataset")
    listed = [found.num for found in api.get_repo_discussions(repo, repo_type="dataset")]
    assert num in listed
    return details(repo, num)


def refs(repo: str, token: str) -> dict[str, dict[str, str]]:
    """Return branches, tags and pull requests with their commits."""
    found = HfApi(token=token).list_repo_refs(repo, repo_type="dataset", include_pull_requests=True)
    named: dict[Literal["branches", "tags", "pulls"], Any] = {
        "branches": found.branches,
        "tags": found.tags,
        "pulls": found.pull_requests,
    }
    return {kind: {ref.name: ref.target_commit for ref in listed} for kind, listed in named.items()}


def info(repo: str, token: str | None = None, revision: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """Return the description of a dataset."""
    found = HfApi(token=token).dataset_info(repo, revision=revision, **kwargs)
    return {
        "sha": found.sha,
        "private": found.private,
        "author": found.author,
        "gated": found.gated,
        "card": _known(found.card_data),
        "files": {
            sibling.rfilename: sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
            for sibling in found.siblings or []
        },
    }


def history(repo: str, revision: str | None = None) -> list[str]:
    """Return the titles of all commits, newest first."""
    return [found.title for found in HfApi().list_repo_commits(repo, repo_type="dataset", revision=revision)]


def listed(author: str, token: str) -> list[str]:
    """Return the datasets of a user."""
    return [found.id for found in HfApi(token=token).list_datasets(author=author)]


def lfs_address(repo: str, content: bytes, token: str) -> str:
    """Ask where to upload an LFS object."""
    asked = [UploadInfo.from_bytes(content)]
    answers, _, _ = post_lfs_batch_info(asked, token, "dataset", repo, revision="main")
    return str(answers[0]["actions"]["upload"]["href"])


def send(method: str, url: str, content: bytes = b"", token: str | None = None) -> int:
    """Send a bare request with the client's own session and return the status."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return int(get_session().request(method, url, content=content, headers=headers).status_code)


def _known(card: object) -> dict[str, Any]:
    return {} if card is None else {key: value for key, value in vars(card).items() if value is not None}
