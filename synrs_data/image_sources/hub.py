"""Datasets of the Hugging Face Hub by address: `hf://datasets/USER/NAME[@REVISION][/PATH]`."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from synrs_data.errors import UserError

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


def fetch_dataset(address: DatasetAddress, patterns: list[str]) -> Path:
    """Bring the files of a dataset into the Hub's cache and return its folder there, named by its commit.

    With `HF_HUB_OFFLINE=1` only the cache is asked.

    Args:
        address: The dataset.
        patterns: Patterns of the names of files that are wanted, such as "*.tar", below the address's path alone;
            a `manifest.json` at the top is always fetched.

    Raises:
        UserError: The Hub does not give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    path = glob.escape(address.path)
    wanted = [path, *(f"{path}/{pattern}" for pattern in patterns)] if path else patterns
    wanted = [*wanted, "manifest.json"]
    try:
        return Path(
            snapshot_download(
                address.name, repo_type="dataset", revision=address.revision, allow_patterns=wanted
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the Hub does not give this dataset: {reason}",
            where=f"hf://datasets/{address.name}@{address.revision or 'main'}",
            fix="check the name and your access (`hf auth login`), or fetch it where there is a network by "
            f"`hf download {address.name} --repo-type dataset --local-dir DIR`, copy DIR here and name it instead",
        ) from error
