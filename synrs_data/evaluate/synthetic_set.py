"""The synthetic images of a finished build, labelled by the classes of a benchmark, with what is known of leaks."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import Classification
from synrs_data.evaluate.image_set import ImageSet, contents
from synrs_data.evaluate.parts import Part, Sha256
from synrs_data.image_sources import SourceImage
from synrs_data.image_sources.containers import tar_images
from synrs_data.image_sources.hub import fetch_build, parse_address
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import read_manifest
from synrs_data.vocabulary import NOT_YAML, parse_yaml

_TASK = "scene-caption"
_FIX = "`synrs-data verify` names all that is wrong with a build; building it again mends it"


class LeakRecord(Part):
    """What of a synthetic set touches the benchmark's images; the test is never among them, or the set is refused.

    Attributes:
        derived_from_train: Images that were made from an image to train or to validate on.
        derived_from_other: Images that were made from an image that is none of the benchmark's.
        equal_to_train: Images whose bytes are those of an image to train or to validate on.
    """

    derived_from_train: int
    derived_from_other: int
    equal_to_train: int


class RecipeRecord(Part):
    """How synthetic images were described and chosen.

    Attributes:
        captions: Name of the method.
        filters: Names of the methods.
        select: Thresholds and quotas, as the recipe resolves them.
    """

    captions: str
    filters: tuple[str, ...]
    select: dict[str, Any]


class SyntheticRecord(Part):
    """Which synthetic images.

    Attributes:
        name: Of the build.
        source: USER/NAME of the Hub, else the name of the folder.
        revision: Commit of the Hub, else "local".
        manifest_sha256: Of manifest.json, which pins every file of the build.
        recipe_fingerprints: Of what was generated and how it was selected.
        generator: Model, revision, sha256 and settings, as the manifest has them.
        recipe: How they were described and chosen.
        candidates: Images that were generated.
        images: Images that were packed, of the benchmark's classes.
        other_labels: Packed images of labels that are no class of the benchmark, left alone.
        leaks: See `LeakRecord`.
    """

    name: str
    source: str
    revision: str
    manifest_sha256: Sha256
    recipe_fingerprints: dict[str, str]
    generator: dict[str, Any]
    recipe: RecipeRecord
    candidates: int
    images: int
    other_labels: int
    leaks: LeakRecord


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """Synthetic images with their labels, and what they are."""

    images: ImageSet
    record: SyntheticRecord


def open_synthetic(
    location: str, benchmark: Classification, *, train: tuple[str, ...], test: tuple[str, ...]
) -> SyntheticSet:
    """Read a build's packed images of every split.

    Args:
        location: Folder of a finished build, or hf://datasets/USER/NAME[@REVISION][/CONFIG] of a published one.
        benchmark: Whose classes they are labelled by.
        train: The sha256 of the benchmark's images to train and to validate on.
        test: The sha256 of its test images.

    Raises:
        UserError: There is no such build, a file of it has changed, a class has no image, its images are real, or
            one is a test image or was made from one.
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
            f"is of the task {manifest['task']}, not {_TASK}", where=location, fix="give a build of scenes"
        )
    if isinstance(generator, dict) and generator.get("synthetic") is False:
        raise UserError("holds real images, no synthetic ones", where=location, fix="give a generated build")
    rows = pl.concat(list(tables(folder, manifest)), how="vertical")
    known = rows.filter(pl.col("label_name").is_in(benchmark.class_names))
    counts = set(known["label_name"].to_list())
    if missing := [name for name in benchmark.class_names if name not in counts]:
        raise UserError(
            f"has no image of {len(missing)} of the benchmark's {len(benchmark.classes)} classes: "
            f"{', '.join(missing)}; its labels are {', '.join(map(str, manifest['labels']))}",
            where=location,
            fix="build images of every class, under the names of the benchmark's classes",
        )
    images = _images(folder, manifest, known, benchmark)
    record = SyntheticRecord(
        name=manifest["name"],
        source=source,
        revision=revision,
        manifest_sha256=files.sha256(folder.manifest),
        recipe_fingerprints=manifest["fingerprints"],
        generator=generator,
        recipe=_recipe(folder, manifest),
        candidates=manifest["candidates"],
        images=len(images),
        other_labels=rows.height - known.height,
        leaks=_leaks(images, known, set(train), set(test), location),
    )
    return SyntheticSet(images, record)


def build_folder(location: str) -> tuple[BuildFolder, str, str]:
    """Return a build's folder, its name and its revision; what is on the Hub is fetched."""
    address = parse_address(location)
    if address is not None:
        root, build = fetch_build(
            address, ["data/*.tar", "metadata/*.parquet", "recipe.yaml", "manifest.json"]
        )
        return BuildFolder(root / build), address.name, root.name
    path = Path(location).expanduser()
    return BuildFolder(path), path.resolve().name, "local"


def _recipe(folder: BuildFolder, manifest: dict[str, Any]) -> RecipeRecord:
    name = folder.recipe.name
    content = promised(folder, name, manifest["files"].get(name, {"sha256": ""}))
    try:
        values = parse_yaml(content.decode())
        return RecipeRecord(
            captions=values["captions"]["method"],
            filters=tuple(each["method"] for each in values["filters"]),
            select=values["select"],
        )
    except (*NOT_YAML, TypeError) as error:
        raise UserError("cannot be read as a recipe", where=str(folder.recipe), fix=_FIX) from error


def tables(folder: BuildFolder, manifest: dict[str, Any]) -> Iterator[pl.DataFrame]:
    """Yield key, label, shard and origin of the packed images of each table.

    Raises:
        UserError: There is none, or one is missing, changed or no table of packed images.
    """
    start = f"{folder.metadata.name}/"
    names = [name for name in manifest["files"] if name.startswith(start) and name.endswith(".parquet")]
    if not names:
        raise UserError("lists no table of packed images", where=str(folder.manifest), fix=_FIX)
    for name in names:
        content = promised(folder, name, manifest["files"][name])
        try:
            table = pl.read_parquet(io.BytesIO(content))
            origin = pl.col("derived_from") if "derived_from" in table.columns else pl.lit("")
            found = table.select(
                pl.col("key", "label_name", "file").cast(pl.String),
                origin.fill_null("").cast(pl.String).alias("derived_from"),
            )
        # A manifest may be made for any bytes; what is no parquet file makes polars panic, too.
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise UserError(
                "is no table of packed images", where=str(folder.root / name), fix=_FIX
            ) from error
        yield found


def promised(folder: BuildFolder, name: str, entry: dict[str, Any]) -> bytes:
    """Return the contents of a build's file after checking them."""
    path = folder.root / name
    if not path.is_file():
        raise UserError("is missing", where=str(path), fix=_FIX)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise UserError("has other contents than the manifest of its build says", where=str(path), fix=_FIX)
    return content


def _images(
    folder: BuildFolder, manifest: dict[str, Any], rows: pl.DataFrame, benchmark: Classification
) -> ImageSet:
    found: dict[str, SourceImage] = {}
    for name in rows["file"].unique(maintain_order=True):
        promised(folder, name, manifest["files"].get(name, {"sha256": ""}))
        path = folder.root / name
        for member, offset, size in tar_images(path, manifest["image_format"], ""):
            found[member.partition(".")[0]] = SourceImage(f"{name}:{member}", path, member, offset, size)
    keys = rows["key"].to_list()
    if lost := next((key for key in keys if key not in found), None):
        raise UserError(f"has no image '{lost}', which its tables list", where=str(folder.root), fix=_FIX)
    index = {name: number for number, name in enumerate(benchmark.class_names)}
    images = tuple(found[key] for key in keys)
    return ImageSet(
        tuple(keys),
        np.array([index[name] for name in rows["label_name"]], dtype=np.int64),
        tuple(hashlib.sha256(content).hexdigest() for content in contents(images)),
        images,
        _FIX,
    )


def _leaks(
    images: ImageSet, rows: pl.DataFrame, train: set[str], test: set[str], location: str
) -> LeakRecord:
    origins = [origin for origin in rows["derived_from"] if origin]
    fix = "leave these images out of the build: a classifier may not be trained on what it is tested on"
    if equal := [key for key, digest in zip(images.keys, images.digests, strict=True) if digest in test]:
        raise UserError(
            f"holds {len(equal)} images of the benchmark's test, such as '{equal[0]}'",
            where=location,
            fix=fix,
        )
    if made := sum(origin in test for origin in origins):
        raise UserError(
            f"holds {made} images that were made from images of the benchmark's test", where=location, fix=fix
        )
    known = sum(origin in train for origin in origins)
    return LeakRecord(
        derived_from_train=known,
        derived_from_other=len(origins) - known,
        equal_to_train=sum(digest in train for digest in images.digests),
    )
