"""A LoRA in a recipe: the images are those of weights merged by hand, and every sample says which LoRA it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.errors import WeightsError
from synrs_data.generators.controlnet import ControlNet, ControlNetOptions
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.generators.real_guidance import RealGuidance, RealGuidanceOptions
from synrs_data.geo import GeoRecord
from synrs_data.recipe_file import complete
from synrs_data.sample import Request
from tests.real_folder import real_folder
from tests.tiny_controlnet import write_maps, write_tiny_controlnet
from tests.tiny_families import write_sat_pipeline, write_text2earth_pipeline
from tests.tiny_lora import Pairs, merge_by_hand, tensors_of, tiny_pairs, write_lora

pytest.importorskip("peft", reason="the extra `lora` is not installed")

SCALE = 0.7
GEO = GeoRecord(lon=12.25, lat=41.8, gsd_m=0.5, cloud=0.1, year=2016, month=6, day=21)
REQUESTS = [
    Request(prompt=prompt, label=0, seed=seed, geo=GEO, image="0.png", label_name="Forest")
    for seed, prompt in enumerate(["a forest", "a river", "a lake"])
]
Family = Callable[[Path, Path], Path]


@pytest.fixture(scope="module")
def pairs(tiny_pipeline: Path) -> Pairs:
    return tiny_pairs(tiny_pipeline)


@pytest.fixture(scope="module")
def lora(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora") / "tiny-lora"
    write_lora(folder, tensors_of(pairs))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    return folder


@pytest.fixture(scope="module")
def by_hand(tiny_pipeline: Path, pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by-hand") / "model"
    return merge_by_hand(tiny_pipeline, folder, pairs, dict.fromkeys(pairs, SCALE))


def generator(folder: Path, **options: Any) -> DiffusersGenerator:
    return DiffusersGenerator(
        DiffusersOptions(
            model=str(folder), **{"steps": 2, "guidance_scale": 3.0, "width": 16, "height": 16} | options
        )
    )


def floats(made: DiffusersGenerator) -> NDArray[np.float32]:
    """Return the images of a generator before they are rounded to bytes."""
    import torch

    made.load("cpu")
    records = [request.geo for request in REQUESTS]
    with torch.inference_mode(), made._conditioning.applied(made._pipeline.unet, records):
        output = made._pipeline(
            prompt=[request.prompt for request in REQUESTS],
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in REQUESTS],
            output_type="np",
            **made._arguments(REQUESTS),
        )
    return np.asarray(output.images)


def assert_that_merging_is_seen(
    merged: DiffusersGenerator, expected: DiffusersGenerator, plain: DiffusersGenerator
) -> None:
    images = floats(merged)
    assert np.abs(images - floats(expected)).max() < 1e-5
    assert np.abs(images - floats(plain)).max() > 0.05


FAMILIES: dict[str, Family] = {
    "stock": lambda stock, folder: stock,
    "diffusionsat": write_sat_pipeline,
    "text2earth": write_text2earth_pipeline,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_those_of_weights_that_were_merged_by_hand(
    tiny_pipeline: Path, by_hand: Path, lora: Path, tmp_path: Path, family: str
) -> None:
    model, merged = (
        FAMILIES[family](stock, tmp_path / name)
        for name, stock in (("model", tiny_pipeline), ("merged", by_hand))
    )
    assert_that_merging_is_seen(
        generator(model, lora=str(lora), lora_scale=SCALE), generator(merged), generator(model)
    )


def test_geo_metadata_still_reach_a_sat_unet(tiny_pipeline: Path, lora: Path, tmp_path: Path) -> None:
    made = generator(write_sat_pipeline(tiny_pipeline, tmp_path / "sat"), lora=str(lora))
    made.load("cpu")
    elsewhere = Request(prompt="a forest", label=0, seed=0, geo=GeoRecord(lon=-120.0, gsd_m=5.0))
    here, there = made.generate([REQUESTS[0], elsewhere])
    assert not np.array_equal(here, there)


def test_maps_and_real_images_work_with_a_lora(
    tiny_pipeline: Path, by_hand: Path, lora: Path, tmp_path: Path
) -> None:
    maps = write_maps(tmp_path / "maps")
    net = write_tiny_controlnet(tmp_path / "net")
    real = real_folder(tmp_path / "real", ["Forest"], 2)
    common: dict[str, Any] = {"steps": 4, "guidance_scale": 3.0}

    def controlled(model: Path, **options: Any) -> ControlNet:
        return ControlNet(
            ControlNetOptions(model=str(model), controlnet=str(net), maps=str(maps), **common | options)
        )

    def guided(model: Path, **options: Any) -> RealGuidance:
        return RealGuidance(
            RealGuidanceOptions(
                model=str(model), sources=str(real), shots=2, strength=0.9, **common | options
            )
        )

    own = {"lora": str(lora), "lora_scale": SCALE}
    for make in (controlled, guided):
        assert_that_merging_is_seen(make(tiny_pipeline, **own), make(by_hand), make(tiny_pipeline))


def test_a_scale_of_zero_is_the_plain_pipeline(tiny_pipeline: Path, lora: Path) -> None:
    images = floats(generator(tiny_pipeline, lora=str(lora), lora_scale=0))
    assert np.abs(images - floats(generator(tiny_pipeline))).max() < 1e-6


def test_the_identity_says_which_lora_it_was(tiny_pipeline: Path, lora: Path) -> None:
    made = generator(tiny_pipeline, lora=str(lora), lora_scale=SCALE)
    identity = made.load("cpu")
    plain = generator(tiny_pipeline).load("cpu")
    added = {key: value for key, value in identity.parameters.items() if key not in plain.parameters}
    sha256 = added.pop("lora_sha256")
    assert len(sha256) == 64
    assert added == {
        "lora": "tiny-lora",
        "lora_revision": "local",
        "lora_scale": SCALE,
        "lora_license": "cc-by-nc-4.0",
    }
    assert (identity.model, identity.sha256) == (plain.model, plain.sha256)


def test_the_digest_changes_with_the_loras_numbers_and_scale_and_not_with_its_place(
    tiny_pipeline: Path, pairs: Pairs, lora: Path, tmp_path: Path
) -> None:
    plain = generator(tiny_pipeline).digest()
    assert plain == generator(tiny_pipeline).load("cpu").sha256
    same = generator(tiny_pipeline, lora=str(lora)).digest()
    moved = shutil.copytree(lora, tmp_path / "elsewhere")
    assert generator(tiny_pipeline, lora=str(moved)).digest() == same
    scaled = generator(tiny_pipeline, lora=str(lora), lora_scale=0.5).digest()
    tensors = tensors_of(pairs)
    name = next(iter(tensors))
    write_lora(tmp_path / "other", tensors | {name: tensors[name] * 1.001})
    other = generator(tiny_pipeline, lora=str(tmp_path / "other")).digest()
    assert len({plain, same, scaled, other}) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"lora_scale": 0.5},
        {"lora": "x", "lora_scale": float("inf")},
        {"lora": 5},
        {"lora": "x", "lora_scale": None},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiffusersOptions(model="x", **options)


def test_a_scale_needs_a_lora() -> None:
    with pytest.raises(ValidationError, match="`lora_scale` needs `lora`"):
        DiffusersOptions(model="x", lora_scale=0.5)


def test_a_lora_that_is_missing_stops_before_anything_is_painted(tiny_pipeline: Path, tmp_path: Path) -> None:
    made = generator(tiny_pipeline, lora=str(tmp_path / "gone.safetensors"))
    with pytest.raises(WeightsError, match="there is no LoRA"):
        made.digest()


def test_a_lora_named_as_the_model_is_answered_with_where_it_belongs(lora: Path) -> None:
    with pytest.raises(WeightsError, match="is a LoRA") as caught:
        generator(lora).load("cpu")
    assert "`lora`" in caught.value.fix
    assert "`model`" in caught.value.fix


def test_a_build_finds_the_lora_beside_the_recipe_and_every_sample_names_it(
    tiny_pipeline: Path, lora: Path, tmp_path: Path
) -> None:
    from synrs_data.build.run import build
    from synrs_data.shards import members

    recipe = tmp_path / "recipe"
    shutil.copytree(lora, recipe / "my-lora")
    values = {
        "name": "tuned",
        "license": "mit",
        "labels": "eurosat",
        "candidates": 3,
        "captions": {"method": "class-template"},
        "generator": {
            "method": "diffusers",
            "model": str(tiny_pipeline),
            "steps": 1,
            "lora": "my-lora",
            "lora_scale": 0.5,
        },
    }
    completed = complete(values, folder=recipe, where="test")
    assert (completed.generator.model_extra or {})["lora"] == str(recipe / "my-lora")
    result = build(completed, tmp_path / "out", engine="inline")
    samples = [fields for tar in result.folder.data.glob("*.tar") for _, fields in members(tar)]
    assert len(samples) == 3
    for fields in samples:
        parameters = json.loads(json.loads(fields["json"])["parameters"])
        assert (parameters["lora"], parameters["lora_scale"]) == ("my-lora", 0.5)
        assert parameters["lora_license"] == "cc-by-nc-4.0"
