"""The synthetic pairs of a finished lr-hr build, and what is known of leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.parts import Part, Sha256
from synrs_data.evaluate.super_resolution.degraded_pairs import pixels_digest
from synrs_data.evaluate.super_resolution.pairs import PackedPairs, PairSource
from synrs_data.evaluate.synthetic_set import build_folder, promised, tables
from synrs_data.shards.manifest import read_manifest

_TASK = "lr-hr"


class PairsRecord(Part):
    """Which synthetic pairs.

    Attributes:
        name: Of the build.
        source: USER/NAME of the Hub, else the name of the folder.
        revision: Commit of the Hub, else "local".
        manifest_sha256: Of manifest.json, which pins every file of the build.
        recipe_fingerprints: Of what was generated and how it was selected.
        generator: Model, revision, sha256 and settings, as the manifest has them.
        candidates: Pairs that were generated.
        pairs: Pairs that were packed, whatever their split.
        derived: Pairs that were made from a real image, none of them of the test.
    """

    name: str
    source: str
    revision: str
    manifest_sha256: Sha256
    recipe_fingerprints: dict[str, str]
    generator: dict[str, Any]
    candidates: int
    pairs: int
    derived: int


@dataclass(frozen=True, slots=True)
class SyntheticPairs:
    """Synthetic pairs, and what they are.

    Attributes:
        pairs: All that were packed.
        sizes: Height and width of each high-resolution image by key.
        record: Which they are.
    """

    pairs: PairSource
    sizes: dict[str, tuple[int, int]]
    record: PairsRecord


def open_pairs(location: str, scale: int, test: PairSource) -> SyntheticPairs:
    """Read a build's packed pairs of every split.

    Args:
        location: Folder of a finished build, or hf://datasets/USER/NAME[@REVISION][/CONFIG] of a published one.
        scale: Of the benchmark.
        test: The benchmark's test.

    Raises:
        UserError: There is no such build, a file of it has changed, its pairs are real or of another scale, or one is
            a test image or was made from one.
    """
    folder, source, revision = build_folder(location)
    if not folder.manifest.is_file():
        raise UserError(
            "is no finished build: it has no manifest.json",
            where=location,
            fix="give the folder of a finished `synrs-data build`, or of a published one hf://datasets/USER/NAME, with "
            "/CONFIG behind it if it has configs",
        )
    manifest = read_manifest(folder)
    generator = manifest.get("generator", {})
    if manifest["task"] != _TASK:
        raise UserError(
            f"is of the task {manifest['task']}, not {_TASK}", where=location, fix="give a build of pairs"
        )
    if isinstance(generator, dict) and generator.get("synthetic") is False:
        raise UserError("holds real images, no synthetic ones", where=location, fix="give a generated build")
    for name, entry in manifest["files"].items():
        if name.startswith(f"{folder.data.name}/"):
            promised(folder, name, entry)
    rows = pl.concat(list(tables(folder, manifest)), how="vertical")
    origins = [origin for origin in rows["derived_from"] if origin]
    fix = "leave these pairs out of the build: a network may not be trained on what it is tested on"
    if made := len({*origins} & {*test.file_digests()}) if origins else 0:
        raise UserError(f"was made from {made} images of the benchmark's test", where=location, fix=fix)
    pairs = PackedPairs(str(folder.root), scale)
    tests = {pixels_digest(pair.hr) for pair in test.read()}
    sizes = {}
    for pair in pairs.read():
        if pixels_digest(pair.hr) in tests:
            raise UserError(f"holds an image of the benchmark's test, '{pair.key}'", where=location, fix=fix)
        sizes[pair.key] = (pair.hr.shape[0], pair.hr.shape[1])
    record = PairsRecord(
        name=manifest["name"],
        source=source,
        revision=revision,
        manifest_sha256=files.sha256(folder.manifest),
        recipe_fingerprints=manifest["fingerprints"],
        generator=generator,
        candidates=manifest["candidates"],
        pairs=len(sizes),
        derived=len(origins),
    )
    return SyntheticPairs(pairs, sizes, record)
