"""A finished build as it will be published: every file with its size and sha256, checked against the manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synrs_data import files
from synrs_data.errors import VerificationError
from synrs_data.hub.public import public_documents, refuse_paths
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import check_counts, check_extra, manifest_text, read_manifest

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_SHOWN = 5
_LARGE = (".tar", ".parquet")
_HASHERS = 5  # as many as the Hub's client uploads at once (hf_api.py, num_threads)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a dataset repository.

    Attributes:
        path: Path in the repository, or in the config's folder.
        size: Bytes.
        sha256: Hexadecimal.
        content: A file of this machine, or the bytes.
    """

    path: str
    size: int
    sha256: str
    content: Path | bytes

    @classmethod
    def of_bytes(cls, path: str, content: bytes) -> PublishedFile:
        """Return the file of these contents."""
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)

    def under(self, config: str) -> PublishedFile:
        """Return it as a file of a config."""
        return PublishedFile(f"{config}/{self.path}", self.size, self.sha256, self.content)

    def read(self) -> bytes:
        """Return the contents."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()

    def git_oid(self) -> str:
        """Return git's name of the contents as a blob (gitformat: "blob SIZE NUL content")."""
        content = self.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def operation(self) -> CommitOperationAdd:
        """Return what the Hub's client uploads; its sha256 is given, so that no file is read for it again."""
        from huggingface_hub import CommitOperationAdd

        operation = CommitOperationAdd(self.path, self.content)
        operation.upload_info.sha256 = bytes.fromhex(self.sha256)
        return operation


@dataclass(frozen=True, slots=True)
class LocalBuild:
    """A finished build whose files are all there, with the sizes and counts of the manifest.

    Attributes:
        folder: The build folder.
        manifest: The manifest on disk.
        files: What is published of it, by path below its config; the manifest is the last.
    """

    folder: BuildFolder
    manifest: dict[str, Any]
    files: dict[str, PublishedFile]

    @property
    def samples(self) -> int:
        """Number of packed samples."""
        return sum(split["samples"] for split in self.manifest["splits"].values())

    @property
    def warning(self) -> str:
        """What a reader of the dataset should know of the build, empty if nothing."""
        missing = self.manifest["quarantined"]
        return f"{self.folder.root}: {len(missing)} shards are in quarantine and missing" if missing else ""


def open_build(root: Path) -> LocalBuild:
    """Return a finished build, checked in all that costs no reading of its shards.

    Args:
        root: The build folder.

    Raises:
        VerificationError: It is not finished, a file is missing, extra or of another size, or an earlier version of
            synrs-data finished it, without a page that is published.
        UserError: A file names a path of this machine.
    """
    folder = BuildFolder(root)
    manifest = read_manifest(folder)
    _refuse(folder, _cheap_faults(folder, manifest))
    _refuse_older(folder, manifest)
    refuse_paths(folder, manifest)
    public = public_documents(folder, manifest)
    found: dict[str, PublishedFile] = {
        name: PublishedFile.of_bytes(name, public[name])
        if name in public
        else PublishedFile(name, entry["bytes"], entry["sha256"], root / name)
        for name, entry in manifest["files"].items()
    }
    last = folder.manifest.name
    return LocalBuild(folder, manifest, {**found, last: PublishedFile.of_bytes(last, public[last])})


def check_contents(build: LocalBuild) -> Iterator[tuple[str, int]]:
    """Read every shard and table of a build once, compare its sha256 with the manifest's, yield its name and size.

    The documents were compared by `open_build`, which needs what they say.

    Raises:
        VerificationError: One differs.
    """
    entries = {name: entry for name, entry in build.manifest["files"].items() if name.endswith(_LARGE)}
    changed = []
    with ThreadPoolExecutor(min(_HASHERS, os.cpu_count() or 1)) as pool:
        digests = pool.map(files.sha256, [build.folder.root / name for name in entries])
        for (name, entry), digest in zip(entries.items(), digests, strict=True):
            if digest != entry["sha256"]:
                changed.append(f"{name}: its contents have changed (sha256 differs)")
            yield name, entry["bytes"]
    _refuse(build.folder, changed)


def _cheap_faults(folder: BuildFolder, manifest: dict[str, Any]) -> Iterator[str]:
    if folder.manifest.read_text(encoding="utf-8") != manifest_text(manifest):
        yield f"{folder.manifest.name}: its contents have changed (its digest differs)"
        return
    for name, entry in manifest["files"].items():
        path = folder.root / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"{name}: leads out of the folder"
        elif not path.is_file():
            yield f"{name}: is missing"
        elif (size := path.stat().st_size) != entry["bytes"]:
            yield f"{name}: has {size} bytes, not {entry['bytes']}"
        elif not name.endswith(_LARGE) and files.sha256(path) != entry["sha256"]:
            yield f"{name}: its contents have changed (sha256 differs)"
    yield from check_extra(folder, manifest)
    yield from check_counts(folder, manifest)


def _refuse_older(folder: BuildFolder, manifest: dict[str, Any]) -> None:
    missing = [page.name for page in folder.pages if page.name not in manifest["files"]]
    if missing:
        raise VerificationError(
            f"was finished by an earlier version of synrs-data ({manifest['software']}), without {', '.join(missing)}",
            where=str(folder.root),
            fix=f"`synrs-data build {folder.recipe} --out {folder.root}` makes its pages anew and generates nothing",
        )


def _refuse(folder: BuildFolder, faults: Iterator[str] | list[str]) -> None:
    found = list(faults)
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise VerificationError(
            f"is not as its manifest says: {'; '.join(found[:_SHOWN])}{more}",
            where=str(folder.root),
            fix=f"`synrs-data verify {folder.root}` names all; `synrs-data build` on it again mends it. "
            "Nothing was sent",
        )
