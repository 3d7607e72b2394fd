"""The manifest of a finished build, and the check of every byte that it promises."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image as PillowImage

from synrs_data import files
from synrs_data.errors import VerificationError
from synrs_data.recipe import is_number
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.schema import HR, LR, check_record, fields_of, image_fields
from synrs_data.shards.tar import members

MANIFEST_FORMAT = 1

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
        values = json.loads(folder.manifest.read_text(encoding="utf-8"))
        if values["format"] != MANIFEST_FORMAT:
            raise VerificationError(
                f"has format {values['format']}, this synrs-data knows {MANIFEST_FORMAT}",
                where=str(folder.manifest),
                fix="install the version that made it",
            )
        if not _is_manifest(values):
            raise ValueError("a key is missing or has another type")
    except FileNotFoundError as error:
        raise VerificationError(
            "there is no manifest.json: no finished build",
            where=str(folder.root),
            fix="run `synrs-data build` on it again, or look with `synrs-data status`",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationError(
            "cannot be read as a manifest",
            where=str(folder.manifest),
            fix="run `synrs-data select` to write it again",
        ) from error
    return {key: value for key, value in values.items() if key != "digest"}


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
    keys: set[str] = set()
    for name in manifest["files"]:
        if name.endswith(".tar") and (folder.root / name).is_file():
            yield from _check_tar(folder, name, manifest, keys)
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
    place = folder.data.name
    for split, counts in manifest["splits"].items():
        own = [
            entry
            for name, entry in manifest["files"].items()
            if name.startswith(f"{place}/{split}-") and name.endswith(".tar")
        ]
        found = {"samples": sum(entry.get("samples", 0) for entry in own), "shards": len(own)}
        if counts != found:
            yield f"{folder.manifest.name}: split {split} is {counts}, its files are {found}"
    packed = sum(counts.get("samples", 0) for counts in manifest["splits"].values())
    rejected = manifest["files"].get(folder.rejects.name, {}).get("samples", 0)
    if packed + rejected != manifest["candidates"]:
        yield (
            f"{folder.manifest.name}: {packed} packed and {rejected} rejected samples are not "
            f"{manifest['candidates']} candidates"
        )
    if folder.rejects.is_file() and _height(folder.rejects) != rejected:
        yield f"{folder.rejects.name}: does not hold {rejected} samples"


def _height(table: Path) -> int | None:
    try:
        return int(pl.scan_parquet(table).select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError):
        return None


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


def _check_tar(folder: BuildFolder, name: str, manifest: dict[str, Any], keys: set[str]) -> Iterator[str]:
    scores = _number_scores(manifest)
    expected = set(fields_of(manifest["task"], manifest["image_format"], manifest.get("extra_fields", [])))
    found = []
    try:
        for key, fields in members(folder.root / name):
            where = f"{name}, sample {key}"
            if key in keys:
                yield f"{where}: the key is in another shard too"
            keys.add(key)
            found.append(key)
            if fields.keys() != expected:
                yield f"{where}: has the fields {', '.join(sorted(fields))}, not {', '.join(sorted(expected))}"
            else:
                yield from (f"{where}: {fault}" for fault in _check_sample(key, fields, manifest, scores))
    except VerificationError as error:
        yield f"{name}: {error.what}"
    count = manifest["files"][name].get("samples")
    if len(found) != count:
        yield f"{name}: has {len(found)} samples, not {count}"
    yield from _check_table(folder, name, found)


def _check_sample(
    key: str, fields: dict[str, bytes], manifest: dict[str, Any], scores: list[str]
) -> Iterator[str]:
    try:
        record = json.loads(fields["json"])
    except (ValueError, RecursionError):
        yield "its json is damaged"
        return
    yield from check_record(record, manifest["task"], scores)
    if isinstance(record, dict):
        if record.get("key") != key:
            yield f"its json says the key is {record.get('key')!r}"
        if "txt" in fields and fields["txt"].decode(errors="replace") != record.get("caption"):
            yield "its txt is not the caption of its json"
        if "cls" in fields and fields["cls"] != str(record.get("label")).encode():
            yield "its cls is not the label of its json"
        label = record.get("label")
        if not isinstance(label, int) or not 0 <= label < len(manifest["labels"]):
            yield f"its label {label!r} is none of the {len(manifest['labels'])} labels"
    sizes = {}
    for name in (
        *image_fields(manifest["task"], manifest["image_format"]),
        *manifest.get("extra_fields", []),
    ):
        try:
            with PillowImage.open(io.BytesIO(fields[name])) as image:
                image.load()
                sizes[name] = image.size
        except Exception as error:  # noqa: BLE001 - each of Pillow's decoders raises errors of its own
            yield f"its {'image' if name == manifest['image_format'] else name} cannot be read: {error}"
    if isinstance(record, dict) and {LR, HR} <= sizes.keys():
        yield from _check_pair(record, sizes[LR], sizes[HR])


def _check_pair(record: dict[str, Any], low: tuple[int, int], high: tuple[int, int]) -> Iterator[str]:
    """Yield where the images of a pair have other sizes than their JSON says."""
    if low != (record.get("lr_width"), record.get("lr_height")):
        yield f"its {LR} is {low[0]} x {low[1]} pixels, not as its json says"
    if high != (record.get("width"), record.get("height")):
        yield f"its {HR} is {high[0]} x {high[1]} pixels, not as its json says"


def _check_table(folder: BuildFolder, name: str, keys: list[str]) -> Iterator[str]:
    path = folder.metadata / f"{Path(name).stem}.parquet"
    try:
        listed = pl.read_parquet(path, columns=["key"])["key"].to_list()
    except (OSError, pl.exceptions.PolarsError):
        yield f"metadata/{path.name}: cannot be read"
        return
    if listed != keys:
        yield f"metadata/{path.name}: does not list the samples of {name} in their order"


def _check_candidates(done: Path) -> Iterator[str]:
    try:
        marker = json.loads(done.read_text(encoding="utf-8"))
        for name, entry in marker["files"].items():
            yield from _check_file(done.parent / name, f"candidates/{name}", entry)
        if marker.pop("digest", None) != marker_digest(marker):
            yield f"candidates/{done.name}: its contents have changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield f"candidates/{done.name}: cannot be read as a done marker"


def _number_scores(manifest: dict[str, Any]) -> list[str]:
    """Return the scores that records hold; texts such as perceptual hashes are in the tables alone."""
    return [name for name in manifest["scores"] if is_number(name)]
