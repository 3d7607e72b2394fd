"""A tiny build folder, written with the shards' own API and checked against their schema."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image as PillowImage

from synrs_data.recipe import Recipe
from synrs_data.report import BuildFacts
from synrs_data.sample import TRAINED_ALGORITHMIC_MEDIA, sample_key, sample_seed
from synrs_data.shards import TarWriter, check_record, sample_bytes
from synrs_data.shards.folder import BuildFolder
from synrs_data.vocabulary import Label, LabelSet

COLUMNS = {
    "clip_agreement_p": "probability of the label among all labels, 0 to 1",
    "quality_entropy": "Shannon entropy of the 256 grey levels in bits, 0 to 8",
    "near_duplicate_phash": "64-bit perceptual hash, 16 hexadecimal digits",
}
GENERATOR: dict[str, Any] = {
    "model": "eurosat-tiny",
    "revision": "embedded",
    "sha256": "5" * 64,
    "family": "StableDiffusionPipeline",
    "scheduler": "DDIMScheduler",
    "steps": 25,
    "guidance_scale": 3.0,
    "negative_prompt": "",
    "license": "apache-2.0",
    "parameters": {"dtype": "float32", "size": [64, 64]},
}
ENVIRONMENT = {"device": "cpu AVX2", "python": "3.11.9", "torch": "2.11.0"}

Verdict = tuple[str, str]
"""Rule and reason of a rejection; two empty texts for an accepted candidate."""


def every_third(index: int) -> Verdict:
    """Reject each third candidate, for one of three rules in turn."""
    if index % 3:
        return "", ""
    return (
        ("clip_agreement_p", "clip_agreement_p 0.031 is below 0.1"),
        ("near_duplicate", "near-duplicate of 000000001"),
        ("per_label", "over the quota of 30 a label"),
    )[index // 3 % 3]


def tiny_image(index: int, image_format: str = "jpg", side: int = 16) -> bytes:
    """Return an encoded image of noise, another for each index."""
    pixels = np.random.default_rng(index).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    PillowImage.fromarray(pixels).save(out, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[image_format])
    return out.getvalue()


def make_build(
    root: Path,
    *,
    labels: Sequence[str] = ("Forest", "River", "Highway"),
    candidates: int = 30,
    verdict: Callable[[int], Verdict] = every_third,
    caption: Callable[[int, str], str] = lambda index, name: f"a satellite image of {name}, view {index}",
    image: Callable[[int], bytes] = tiny_image,
    scored: bool = True,
    splits: dict[str, float] | None = None,
    recipe: dict[str, Any] | None = None,
) -> tuple[BuildFolder, BuildFacts]:
    """Write candidate and packed shards and the metadata of a build; return its folder and facts."""
    folder = BuildFolder(root)
    for part in (folder.candidates, folder.data, folder.metadata):
        part.mkdir(parents=True)
    label_set = LabelSet(
        name="fake",
        title="Fake labels",
        source="made up for a test",
        labels=tuple(Label(name=name, phrase=name) for name in labels),
    )
    values = _recipe_values(splits or {"train": 1.0}, scored) | (recipe or {})
    resolved = Recipe.model_validate(values)
    rows = [_row(index, label_set, caption, verdict, scored) for index in range(candidates)]
    blocks = {row["key"]: _blocks(row, resolved, image(int(row["key"]))) for row in rows}
    rejected = _write_tar(folder, "candidates/00000.tar", [row for row in rows if row["rule"]], blocks)
    packed: list[dict[str, Any]] = []
    for split in resolved.select.splits:
        own = [row for row in rows if not row["rule"] and _split(row, list(resolved.select.splits)) == split]
        if own:
            own = [row | {"split": split} for row in own]
            packed += _write_tar(folder, f"data/{split}-00000.tar", own, blocks)
    tables = [_table(part, scored) for part in (packed, rejected)]
    tables[0] = tables[0].drop("reason", "rule")
    tables[0].write_parquet(folder.metadata / "train-00000.parquet")
    facts = BuildFacts(
        recipe=resolved,
        labels=label_set,
        packed=tables[0],
        rejected=tables[1],
        generator=GENERATOR,
        environments=[ENVIRONMENT],
        fingerprints={"generation": "a" * 64, "selection": "b" * 64},
        quarantined=[],
        columns=COLUMNS if scored else {},
    )
    return folder, facts


def shuffled(facts: BuildFacts) -> BuildFacts:
    """Return the same facts with the rows of both tables in another order."""
    tables = [table.sample(fraction=1, shuffle=True, seed=3) for table in (facts.packed, facts.rejected)]
    return replace(facts, packed=tables[0], rejected=tables[1])


def _recipe_values(splits: dict[str, float], scored: bool) -> dict[str, Any]:
    filters = [{"method": "clip-agreement"}, {"method": "quality"}, {"method": "near-duplicate"}]
    return {
        "name": "fake",
        "title": "Fake scenes",
        "license": "cc-by-4.0",
        "labels": "fake",
        "candidates": 30,
        "captions": {"method": "class-template"},
        "generator": {"method": "diffusers", "model": "eurosat-tiny"},
        "filters": filters if scored else [],
        "select": {
            "thresholds": {"clip_agreement_p": {"min": 0.1}} if scored else {},
            "near_duplicate_distance": 4,
            "per_label": {"max": 30},
            "splits": splits,
        },
    }


def _row(
    index: int,
    labels: LabelSet,
    caption: Callable[[int, str], str],
    verdict: Callable[[int], Verdict],
    scored: bool,
) -> dict[str, Any]:
    label = index % len(labels.labels)
    rule, reason = verdict(index)
    rng = np.random.default_rng(1000 + index)
    scores: dict[str, Any] = {
        "clip_agreement_p": float(rng.beta(1, 6) if rule else rng.beta(6, 2)),
        "quality_entropy": float(rng.normal(5, 0.5)),
        "near_duplicate_phash": f"{index:016x}",
    }
    return {
        "key": sample_key(index),
        "split": "",
        "label": label,
        "label_name": labels.names[label],
        "caption": caption(index, labels.names[label]),
        "caption_source": "template",
        "seed": sample_seed(0, 0, index),
        "geo": "{}",
        "width": 16,
        "height": 16,
        "rule": rule,
        "reason": reason,
        **(scores if scored else {}),
    }


def _split(row: dict[str, Any], names: list[str]) -> str:
    return names[int(row["key"]) // 7 % len(names)]


def _blocks(row: dict[str, Any], recipe: Recipe, image: bytes) -> bytes:
    numbers = {name: row[name] for name in COLUMNS if isinstance(row.get(name), float)}
    record: dict[str, Any] = {
        **{name: row[name] for name in ("key", "label", "label_name", "caption", "caption_source")},
        **{name: row[name] for name in ("seed", "geo", "width", "height")},
        "task": recipe.task,
        "prompt": row["caption"],
        "negative_prompt": "",
        "shard": 0,
        "index": int(row["key"]),
        "generator": "diffusers",
        "model": GENERATOR["model"],
        "model_revision": GENERATOR["revision"],
        "model_sha256": GENERATOR["sha256"],
        "model_license": GENERATOR["license"],
        "pipeline": GENERATOR["family"],
        "scheduler": GENERATOR["scheduler"],
        "steps": GENERATOR["steps"],
        "guidance_scale": GENERATOR["guidance_scale"],
        "parameters": "{}",
        "derived_from": "",
        "license": recipe.license,
        "synthetic": True,
        "digital_source_type": TRAINED_ALGORITHMIC_MEDIA,
        "recipe": recipe.name,
        "recipe_fingerprint": "a" * 64,
        "software": "synrs-data",
        **({"scores": numbers} if numbers else {}),
    }
    faults = check_record(record, "scene-caption", list(numbers))
    assert not faults, faults
    fields = {recipe.image.format: image, "txt": row["caption"].encode(), "cls": str(row["label"]).encode()}
    return sample_bytes(row["key"], fields | {"json": json.dumps(record).encode()})


def _write_tar(
    folder: BuildFolder, name: str, rows: list[dict[str, Any]], blocks: dict[str, bytes]
) -> list[dict[str, Any]]:
    placed = []
    with (folder.root / name).open("wb") as file:
        writer = TarWriter(file)
        for row in rows:
            span = writer.write(blocks[row["key"]])
            placed.append(row | {"file": name, "offset": span.offset, "length": span.length})
        writer.close()
    return placed


def _table(rows: list[dict[str, Any]], scored: bool) -> pl.DataFrame:
    whole = dict.fromkeys(("label", "seed", "width", "height", "offset", "length"), pl.Int64())
    own = ("key", "split", "label_name", "caption", "caption_source", "geo", "file", "reason", "rule")
    texts = dict.fromkeys(own, pl.String())
    scores = {name: pl.String() if name.endswith("phash") else pl.Float64() for name in COLUMNS}
    return pl.DataFrame(rows, schema={**texts, **whole, **(scores if scored else {})})
