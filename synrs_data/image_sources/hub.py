"""Datasets of the Hugging Face Hub by address: `hf://datasets/USER/NAME[@REVISION][/PATH]`."""

from __future__ import annotations

import errno
import glob
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from synrs_data.errors import UserError
from synrs_data.image_sources.builds import is_build

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ADDRESS = re.compile(
    r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)"
    # Revisions of pull requests and conversions have slashes of their own, as in huggingface_hub's HfFileSystem.
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@]+))?(?:/(?P<path>.*))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class DatasetAddress:
    """Where a dataset, or a part of it, lies on the Hub.

    Attributes:
        name: USER/NAME.
        revision: Branch, tag or commit; None for the main branch.
        path: Folder or file in it; empty for all.
    """

    name: str
    revision: str | None
    path: str


def parse_address(text: str) -> DatasetAddress | None:
    """Return the address in a text, None for a text that is none, such as a path.

    Raises:
        UserError: It begins with hf:// and goes on in another way.
    """
    if not text.startswith("hf://"):
        return None
    match = _ADDRESS.fullmatch(text)
    parts = [part for part in (match["path"] or "").split("/") if part] if match else []
    if match is None or ".." in parts or "." in parts:
        raise UserError(
            "is no address of a dataset",
            where=text,
            fix="write hf://datasets/USER/NAME, hf://datasets/USER/NAME@REVISION or either with /PATH behind it",
        )
    return DatasetAddress(match["name"], unquote(match["revision"] or "") or None, "/".join(parts))


def fetch_images(address: DatasetAddress, patterns: list[str]) -> tuple[Path, str]:
    """Bring what may hold images of a dataset into the Hub's cache.

    Manifests come first and tell the published builds: of one, its packed shards are all that is fetched. With
    `HF_HUB_OFFLINE=1` only the cache is asked.

    Args:
        address: The dataset.
        patterns: Patterns of the names of files that are wanted where there is no build, such as "*.tar", below the
            address's path alone.

    Returns:
        Its folder in the cache, named by its commit; and the path in it that is meant: that of the address, or the
        only build that there is.

    Raises:
        UserError: The Hub does not give it, the disk is full, or there are several builds and none is named.
    """
    root, build, path = _find(address)
    below = glob.escape(path)
    if build is None:
        wanted = [below, *_below(path, patterns)] if path else patterns
    else:
        wanted = _below(path, ["data/*.tar"]) if path == build else [below, f"{below}/*.tar"]
    # The same commit, also if the branch has moved since.
    return _download(address, root.name, wanted), path


def fetch_build(address: DatasetAddress, patterns: list[str]) -> tuple[Path, str]:
    """Bring files of a published build into the Hub's cache; see `fetch_images`.

    Args:
        address: The build, or a dataset that holds no other.
        patterns: Patterns of their paths in the build, such as "data/*.tar"; its manifest always comes too.
    """
    root, _, path = _find(address)
    return _download(address, root.name, _below(path, [*patterns, "manifest.json"])), path


def _below(path: str, patterns: list[str]) -> list[str]:
    return [f"{glob.escape(path)}/{pattern}" for pattern in patterns] if path else patterns


def _find(address: DatasetAddress) -> tuple[Path, str | None, str]:
    """Return a dataset's folder in the cache, the folder of the build that is meant or None, and the path that is."""
    # Every dataset has a card: the Hub's client warns where nothing fits.
    root = _download(address, address.revision, ["README.md", "manifest.json", "*/manifest.json"])
    return root, *_build_in(address, root)


def _build_in(address: DatasetAddress, root: Path) -> tuple[str | None, str]:
    """Return the folder of the build that is meant, None if it is none, and the path that is meant."""
    if is_build(root):
        return "", address.path
    builds = sorted(path.name for path in root.iterdir() if path.is_dir() and is_build(path))
    if address.path:
        first = address.path.partition("/")[0]
        return (first if first in builds else None), address.path
    if len(builds) > 1:
        raise UserError(
            f"holds {len(builds)} builds: {', '.join(builds)}",
            where=f"hf://datasets/{address.name}@{address.revision or 'main'}",
            fix=f"name one: hf://datasets/{address.name}@{root.name}/{builds[0]}",
        )
    return (builds[0], builds[0]) if builds else (None, "")


def _download(address: DatasetAddress, revision: str | None, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        with warnings.catch_warnings():
            # The client says it for each file and goes on; if it cannot, the message below says it once.
            warnings.filterwarnings("ignore", "Not enough free disk space", UserWarning)
            return Path(
                snapshot_download(address.name, repo_type="dataset", revision=revision, allow_patterns=wanted)
            )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise UserError(
                f"the Hub's cache cannot be written: {error.strerror}",
                where=HF_HUB_CACHE,
                fix="free some space, or set HF_HOME to a folder on another disk, and run it again: files that are "
                "whole are kept, and others are not taken for whole",
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the Hub does not give this dataset: {reason}",
            where=f"hf://datasets/{address.name}@{address.revision or 'main'}",
            fix="check the name and your access (`hf auth login`), or fetch it where there is a network by "
            f"`hf download {address.name} --repo-type dataset --local-dir DIR`, copy DIR here and name it instead",
        ) from error
