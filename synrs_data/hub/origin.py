"""Where a build that is made again comes from: a folder of this machine, or the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from synrs_data import files
from synrs_data.errors import VerificationError
from synrs_data.events import Listener
from synrs_data.hub.dataset import RemoteDataset, choose_config, open_dataset, read_build, under
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import read_manifest


class Origin(Protocol):
    """A finished build."""

    @property
    def where(self) -> str:
        """Its place, for messages."""
        ...

    @property
    def manifest(self) -> dict[str, Any]:
        """Its manifest."""
        ...

    def gather(self, names: Sequence[str], folder: Path) -> BuildFolder:
        """Return a build folder in which some of its files are, each as the manifest promises.

        Args:
            names: Paths in the build.
            folder: Where they may be put.

        Raises:
            VerificationError: One is missing or not as promised.
            BuildFolderError: The disk is full.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderOrigin:
    """A build folder of this machine; nothing in it is changed."""

    root: Path
    manifest: dict[str, Any]

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return str(self.root)

    def gather(self, names: Sequence[str], folder: Path) -> BuildFolder:
        """Return the folder; see `Origin.gather`."""
        for name in names:
            path = self.root / name
            entry = _entry(self, name)
            if not path.is_file() or files.sha256(path) != entry["sha256"]:
                raise _changed(self, name, "has other contents" if path.is_file() else "is missing")
        return BuildFolder(self.root)


@dataclass(frozen=True, slots=True)
class HubOrigin:
    """A config of a dataset of the Hub."""

    dataset: RemoteDataset
    config: str
    manifest: dict[str, Any]

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return f"{self.dataset.where}/{self.config}".rstrip("/")

    def gather(self, names: Sequence[str], folder: Path) -> BuildFolder:
        """Fetch files into `folder`; see `Origin.gather`."""
        for name in names:
            entry = _entry(self, name)
            path = under(self.config, name)
            if path not in self.dataset.files:
                raise _changed(self, name, "is missing")
            files.make_folder((folder / name).parent)
            digest = hashlib.sha256()
            with files.atomic(folder / name) as file:
                for chunk in iter(self.dataset.open(path).read, b""):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != entry["sha256"]:
                raise _changed(self, name, "has other contents")
        return BuildFolder(folder)


def open_origin(text: str, *, listeners: Sequence[Listener] = ()) -> Origin:
    """Return the finished build at a place.

    Args:
        text: A build folder, or `hf://datasets/USER/NAME[@REVISION][/CONFIG]`.
        listeners: Told whenever the Hub is waited for.

    Raises:
        UserError: The Hub does not give it, or holds several builds and none is named.
        VerificationError: There is no manifest.
    """
    if not text.startswith("hf://"):
        root = Path(text)
        return FolderOrigin(root, read_manifest(BuildFolder(root)))
    dataset = open_dataset(text, listeners=listeners)
    config = choose_config(dataset)
    manifest, _ = read_build(dataset, config)
    return HubOrigin(dataset, config, manifest)


def _entry(origin: Origin, name: str) -> dict[str, Any]:
    entry = origin.manifest["files"].get(name)
    if entry is None:
        raise VerificationError(
            f"does not list {name}", where=f"{origin.where}/manifest.json", fix="publish the build again"
        )
    return dict(entry)


def _changed(origin: Origin, name: str, what: str) -> VerificationError:
    return VerificationError(
        what + (" than its manifest says" if what.startswith("has") else ""),
        where=f"{origin.where}/{name}",
        fix=f"`synrs-data verify {origin.where}` names all that is wrong",
    )
