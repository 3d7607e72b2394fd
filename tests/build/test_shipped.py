"""Every shipped recipe is whole, and the embedded models make what their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from synrs_data.build.pairs import redo_pairs
from synrs_data.build.run import build
from synrs_data.recipe_file import load_recipe
from synrs_data.resources import embedded_models, recipes
from synrs_data.shards.manifest import verify
from synrs_data.vocabulary import load_label_set
from tests.tiny_controlnet import write_mask, write_tiny_controlnet

REAL = ("sentinel2-like-x4", "ucmerced-realesrgan-x4")
"""Recipes that take their images from a folder of the user."""


@pytest.mark.parametrize("name", REAL)
def test_a_shipped_recipe_builds_with_other_real_images(name: str, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    random = np.random.default_rng(5)
    for number in range(4):
        blocks = random.integers(30, 220, (72, 72, 3)).repeat(4, axis=0).repeat(4, axis=1)
        pixels = blocks + random.normal(0, 6, blocks.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(images / f"{number}.png")
    recipe = load_recipe(name, [f"generator.images={images}", "candidates=6", "shard_size=3"])
    result = build(recipe, tmp_path / "out", engine="inline")
    assert list(verify(result.folder)) == []
    assert recipe.degradation is not None
    assert list(redo_pairs(result.folder, recipe.degradation, "cpu")) == []


@pytest.mark.parametrize("name", sorted(recipes().keys() - set(REAL)))
def test_a_shipped_recipe_builds_with_another_model(name: str, tiny_pipeline: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.jsonl"
    names = load_label_set(load_recipe(name).labels).names
    constant = (load_recipe(name).captions.model_extra or {}).get("label") is not None
    rows = [{"caption": f"a view of {label}"} | ({} if constant else {"label": label}) for label in names]
    captions.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    labels = len(names)
    overrides = [
        f"candidates={2 * labels}",
        f"shard_size={labels}",
        f"generator.model={tiny_pipeline}",
        # The fewest of which real guidance at strength 0.15 runs one.
        "generator.steps=7",
        "generator.width=16",
        "generator.height=16",
        "generator.dtype=float32",
        "generator.batch_size=8",
        "filters=[{method: quality}, {method: near-duplicate}]",
        *(["degradation={method: area, scale: 2}"] if load_recipe(name).degradation else []),
        "select={thresholds: {quality_entropy: null, quality_clipped: null}, near_duplicate_distance: null}",
    ]
    if load_recipe(name).captions.method == "from-file":
        overrides.append(f"captions.path={captions}")
    if load_recipe(name).generator.method == "controlnet":
        masks = [write_mask(tmp_path / f"maps/{label}/1.png", np.eye(16)) for label in names]
        assert len(masks) == labels
        overrides += [
            f"generator.controlnet={write_tiny_controlnet(tmp_path / 'net')}",
            f"generator.maps={tmp_path / 'maps'}",
        ]
    recipe = load_recipe(name, overrides)
    result = build(recipe, tmp_path / "out", engine="inline")
    assert list(verify(result.folder)) == []


def test_the_embedded_models_are_small_and_there() -> None:
    sizes = {
        name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        for name, path in embedded_models().items()
    }
    assert sizes.keys() == {"eurosat-tiny", "eurosat-tiny-clip"}
    assert sizes["eurosat-tiny"] <= 20e6
    assert sizes["eurosat-tiny-clip"] <= 10e6


@pytest.mark.timeout(600)
def test_the_embedded_encoder_sees_the_labels_that_the_embedded_generator_painted(tmp_path: Path) -> None:
    overrides = ["candidates=60", "shard_size=60", "generator.batch_size=20", "select.per_label.min=0"]
    result = build(load_recipe("quickstart", overrides), tmp_path / "out", engine="inline")
    tables = [pl.read_parquet(path) for path in result.folder.candidates.glob("*.parquet")]
    seen = pl.concat(tables)["clip_agreement_top"].mean()
    # Chance is 0.1; five standard deviations above it are 0.29 for 60 images.
    assert isinstance(seen, float)
    assert seen > 0.3
