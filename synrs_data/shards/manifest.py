"""The manifest of a finished build, and the check of every byte that it promises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from synrs_data import files
from synrs_data.errors import VerificationError
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.samples import SampleCheck
from synrs_data.shards.tar import ForwardReader

MANIFEST_FORMAT = 1
MANIFEST, REJECTS = "manifest.json", "rejects.parquet"

_SHAPE: dict[str, type] = {
    "name": str,
    "task": str,
    "fingerprints": dict,
    "candidates": int,
    "splits": dict,
    "labels": list,
    "image_format": str,
    "scores": dict,
    "quarantined": list,
    "files": dict,
}


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return the manifest as it is written: with a digest over itself, so that no byte can change unseen."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**manifest, "digest": digest}, indent=1, ensure_ascii=False) + "\n"


def marker_digest(marker: dict[str, Any]) -> str:
    """Return the digest that a done marker carries of itself, because card and manifest quote it."""
    text = json.dumps(marker, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: BuildFolder) -> dict[str, Any]:
    """Return the manifest.

    Raises:
        VerificationError: There is none, so the build is not finished; or it cannot be read.
    """
    try:
        text = folder.manifest.read_bytes()
    except FileNotFoundError as error:
        raise VerificationError(
            "there is no manifest.json: no finished build",
            where=str(folder.root),
            fix="run `synrs-data build` on it again, or look with `synrs-data status`",
        ) from error
    except OSError as error:
        raise _no_manifest(str(folder.manifest)) from error
    return parse_manifest(text, where=str(folder.manifest))


def parse_manifest(text: bytes, *, where: str) -> dict[str, Any]:
    """Return the manifest that a file holds, without its digest.

    Args:
        text: The contents of the file.
        where: The file, for messages.

    Raises:
        VerificationError: It is no manifest, or one of another format.
    """
    try:
        values = json.loads(text.decode())
        if values["format"] != MANIFEST_FORMAT:
            raise VerificationError(
                f"has format {values['format']}, this synrs-data knows {MANIFEST_FORMAT}",
                where=where,
                fix="install the version that made it",
            )
        if not _is_manifest(values):
            raise ValueError("a key is missing or has another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_manifest(where) from error
    return {key: value for key, value in values.items() if key != "digest"}


def _no_manifest(where: str) -> VerificationError:
    return VerificationError(
        "cannot be read as a manifest", where=where, fix="run `synrs-data select` to write it again"
    )


def _is_manifest(values: dict[str, Any]) -> bool:
    entries = [*values["files"].values(), *values["splits"].values()]
    return (
        all(isinstance(values[key], kind) for key, kind in _SHAPE.items())
        and all(isinstance(entry, dict) for entry in entries)
        and isinstance(values.get("extra_fields", []), list)
        and all(isinstance(entry["bytes"], int) for entry in values["files"].values())
        and all(isinstance(entry["sha256"], str) for entry in values["files"].values())
    )


def verify(folder: BuildFolder) -> Iterator[str]:
    """Yield every fault of a finished build, one sentence each; nothing if every byte is as promised.

    Checks the manifest against its own digest and counts, each listed file's size and sha256, that none is
    missing and none is extra, each tar's samples (count, fields, records, readable images, unique keys), each
    table against its tar, and the candidates against their done markers.

    Raises:
        VerificationError: There is no manifest.
    """
    manifest = read_manifest(folder)
    yield from check_files(folder, manifest)
    yield from check_counts(folder, manifest)
    check = SampleCheck(manifest)
    for name in manifest["files"]:
        if name.endswith(".tar") and (folder.root / name).is_file():
            yield from _check_tar(folder, name, check)
    for done in sorted(folder.candidates.glob("*.done.json")):
        yield from _check_candidates(done)
    for path in sorted(folder.candidates.glob("*.tar")):
        if not path.with_suffix(".done.json").is_file():
            yield f"candidates/{path.name}: has no done marker"


def check_files(folder: BuildFolder, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the bytes of a finished build: its manifest, a missing, changed or extra file."""
    if folder.manifest.read_text(encoding="utf-8") != manifest_text(manifest):
        yield f"{folder.manifest.name}: its contents have changed (its digest differs)"
    for name, entry in manifest["files"].items():
        yield from _check_file(folder.root / name, name, entry)
    yield from check_extra(folder, manifest)


def check_counts(folder: BuildFolder, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield where the numbers of a manifest do not add up."""
    yield from check_numbers(manifest)
    if folder.rejects.is_file():
        yield from check_rejects(folder.rejects, manifest)


def check_numbers(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield where the numbers of a manifest do not add up, as far as it says itself."""
    for split, counts in manifest["splits"].items():
        own = [
            entry
            for name, entry in manifest["files"].items()
            if name.startswith(f"data/{split}-") and name.endswith(".tar")
        ]
        found = {"samples": sum(entry.get("samples", 0) for entry in own), "shards": len(own)}
        if counts != found:
            yield f"{MANIFEST}: split {split} is {counts}, its files are {found}"
    packed = sum(counts.get("samples", 0) for counts in manifest["splits"].values())
    rejected = _rejected(manifest)
    if packed + rejected != manifest["candidates"]:
        yield (
            f"{MANIFEST}: {packed} packed and {rejected} rejected samples are not "
            f"{manifest['candidates']} candidates"
        )


def _rejected(manifest: dict[str, Any]) -> Any:
    return manifest["files"].get(REJECTS, {}).get("samples", 0)


def check_rejects(source: Path | BinaryIO, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield whether the table of rejected candidates has not as many rows as the manifest says."""
    try:
        height = int(pl.scan_parquet(source).select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError):
        height = None
    if height != _rejected(manifest):
        yield f"{REJECTS}: does not hold {_rejected(manifest)} samples"


def _check_file(path: Path, name: str, entry: dict[str, Any]) -> Iterator[str]:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        yield f"{name}: leads out of the folder"
    elif not path.is_file():
        yield f"{name}: is missing"
    elif (size := path.stat().st_size) != entry["bytes"]:
        yield f"{name}: has {size} bytes, not {entry['bytes']}"
    elif files.sha256(path) != entry["sha256"]:
        yield f"{name}: its contents have changed (sha256 differs)"


def check_extra(folder: BuildFolder, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the files beside the shards and tables that the manifest does not list."""
    for place in (folder.data, folder.metadata):
        for path in sorted(place.rglob("*")) if place.is_dir() else []:
            name = path.relative_to(folder.root).as_posix()
            if path.is_file() and name not in manifest["files"]:
                yield f"{name}: is not in the manifest"


def _check_tar(folder: BuildFolder, name: str, check: SampleCheck) -> Iterator[str]:
    found: list[str] = []
    try:
        with (folder.root / name).open("rb") as file:
            yield from check.faults(name, ForwardReader(file), found)
    except OSError as error:
        yield f"{name}: cannot be read: {error}"
    table = table_of(name)
    yield from check_table(folder.root / table, table, name, found)


def table_of(tar: str) -> str:
    """Return the path in the build of the table of a packed shard."""
    return f"metadata/{Path(tar).stem}.parquet"


def check_table(source: Path | BinaryIO, name: str, tar: str, keys: list[str]) -> Iterator[str]:
    """Yield whether a table does not list the samples of its tar in their order.

    Args:
        source: The table.
        name: Its path in the build.
        tar: Path of the tar in the build.
        keys: Keys of the tar's samples.
    """
    try:
        listed = pl.read_parquet(source, columns=["key"])["key"].to_list()
    except (OSError, pl.exceptions.PolarsError):
        yield f"{name}: cannot be read"
        return
    if listed != keys:
        yield f"{name}: does not list the samples of {tar} in their order"


def _check_candidates(done: Path) -> Iterator[str]:
    try:
        marker = json.loads(done.read_text(encoding="utf-8"))
        for name, entry in marker["files"].items():
            yield from _check_file(done.parent / name, f"candidates/{name}", entry)
        if marker.pop("digest", None) != marker_digest(marker):
            yield f"candidates/{done.name}: its contents have changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield f"candidates/{done.name}: cannot be read as a done marker"
