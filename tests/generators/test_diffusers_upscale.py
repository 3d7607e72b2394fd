"""The generator `diffusers-upscale`: what the pipelines give themselves, of sources of any size, by scale and noise."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators import ConditionedGenerator
from synrs_data.generators.base import SourcedGenerator
from synrs_data.generators.diffusers_upscale import DiffusersUpscale, DiffusersUpscaleOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.real_folder import paint, real_folder
from tests.tiny_upscale_pipeline import write_latent_x2, write_ldm, write_x4


def request(index: int, prompt: str = "a river") -> Request:
    return Request(prompt=prompt, label=0, seed=100 + index, geo=GeoRecord(), index=index)


REQUESTS = [request(index) for index in range(3)]


@pytest.fixture(scope="module")
def pipelines(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    return {
        "x4": write_x4(tiny_pipeline, root / "x4"),
        "latent": write_latent_x2(tiny_pipeline, root / "latent"),
        "ldm": write_ldm(root / "ldm"),
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("low") / "low")


def made(pipeline: Path, sources: Path, **changes: Any) -> DiffusersUpscale:
    values = {"model": str(pipeline), "images": str(sources), "steps": 2, "guidance_scale": 3.0}
    if pipeline.name == "ldm":
        del values["guidance_scale"]
    return DiffusersUpscale(DiffusersUpscaleOptions.model_validate(values | changes))


def source_of(generator: DiffusersUpscale, each: Request) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(generator.inputs(each).fields["source.png"])))


def directly(pipeline: Path, images: list[NDArray[np.uint8]], **call: Any) -> list[NDArray[np.uint8]]:
    """Return what the pipeline itself gives for the three requests."""
    import torch
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(pipeline)
    loaded.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(each.seed) for each in REQUESTS]
    pictures = [Image.fromarray(image) for image in images]
    call = {"prompt": ["a river"] * 3, "image": pictures, "guidance_scale": 3.0} | call
    found = loaded(generator=generators, num_inference_steps=2, **call).images
    return [np.asarray(image) for image in found]


def test_it_keeps_both_protocols(pipelines: dict[str, Path], sources: Path) -> None:
    generator = made(pipelines["x4"], sources)
    assert isinstance(generator, ConditionedGenerator)
    assert isinstance(generator, SourcedGenerator)


@pytest.mark.parametrize(
    ("kind", "scale", "call"), [("x4", 4, {"noise_level": 50}), ("x4", 4, {}), ("latent", 2, {})]
)
def test_images_are_those_of_the_pipeline_called_directly(
    pipelines: dict[str, Path], sources: Path, kind: str, scale: int, call: dict[str, Any]
) -> None:
    generator = made(pipelines[kind], sources, **call)
    identity = generator.load("cpu")
    assert identity.parameters["scale"] == scale
    assert identity.parameters["noise_level"] == (call.get("noise_level", 20) if kind == "x4" else None)
    found = generator.generate(REQUESTS)
    expected = directly(pipelines[kind], [source_of(generator, each) for each in REQUESTS], **call)
    assert [image.shape for image in found] == [(16 * scale, 16 * scale, 3)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(found, generator.generate(REQUESTS), strict=True))


def test_ldm_super_resolution_takes_no_prompt(pipelines: dict[str, Path], sources: Path) -> None:
    import torch
    from diffusers import LDMSuperResolutionPipeline

    generator = made(pipelines["ldm"], sources)
    identity = generator.load("cpu")
    assert (identity.family, identity.parameters["scale"]) == ("LDMSuperResolutionPipeline", 2)
    low = np.stack([source_of(generator, each) for each in REQUESTS])
    loaded = LDMSuperResolutionPipeline.from_pretrained(pipelines["ldm"])
    loaded.set_progress_bar_config(disable=True)
    expected = loaded(
        image=torch.from_numpy(low).permute(0, 3, 1, 2).float() / 127.5 - 1,
        generator=[torch.Generator("cpu").manual_seed(each.seed) for each in REQUESTS],
        num_inference_steps=2,
    ).images
    found = generator.generate(REQUESTS)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", ["x4", "latent", "ldm"])
def test_sources_of_any_size_in_one_batch_keep_their_shape(
    pipelines: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    sizes = [(16, 16), (9, 21), (13, 7)]
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(paint(number, 32)[:height, :width]).save(tmp_path / f"{number}.png")
    generator = made(pipelines[kind], tmp_path, multiple_of=1)
    scale = generator.load("cpu").parameters["scale"]
    found = generator.generate(REQUESTS)
    for image, each in zip(found, REQUESTS, strict=True):
        height, width = source_of(generator, each).shape[:2]
        assert image.shape == (height * scale, width * scale, 3)
        # Alone it is made of the same noise and padding; batches may differ by rounding.
        [alone] = generator.generate([each])
        assert np.abs(alone.astype(int) - image).max() <= 1


def test_prompt_noise_level_and_negative_prompt_change_the_image(
    pipelines: dict[str, Path], sources: Path
) -> None:
    def image(prompt: str = "a river", **changes: Any) -> NDArray[np.uint8]:
        generator = made(pipelines["x4"], sources, **changes)
        generator.load("cpu")
        return generator.generate([request(0, prompt)])[0]

    plain = image()
    for other in (image("a forest"), image(noise_level=300), image(negative_prompt="blurry")):
        assert not np.array_equal(plain, other)


def test_a_noise_level_that_the_pipeline_cannot_take_is_refused(
    pipelines: dict[str, Path], sources: Path
) -> None:
    with pytest.raises(RecipeError, match="351, and this pipeline takes 350 at most"):
        made(pipelines["x4"], sources, noise_level=351).load("cpu")
    with pytest.raises(RecipeError, match="StableDiffusionLatentUpscalePipeline has no 'noise_level'"):
        made(pipelines["latent"], sources, noise_level=1).load("cpu")


@pytest.mark.parametrize(("kind", "scale"), [("x4", 2), ("latent", 4), ("ldm", 4)])
def test_a_pipeline_of_another_scale_is_refused_with_both_numbers(
    pipelines: dict[str, Path], sources: Path, kind: str, scale: int
) -> None:
    true = 4 if kind == "x4" else 2
    message = f"'{kind}' makes images {true} times as large, and the recipe says {scale}"
    with pytest.raises(RecipeError, match=message):
        made(pipelines[kind], sources, scale=scale).load("cpu")
    made(pipelines[kind], sources, scale=true).load("cpu")


def test_a_pipeline_that_makes_nothing_larger_is_refused(tiny_pipeline: Path, sources: Path) -> None:
    with pytest.raises(WeightsError, match="is a StableDiffusionPipeline, which makes no images larger"):
        made(tiny_pipeline, sources).load("cpu")


def test_another_upscaling_class_of_diffusers_is_tried_for_its_scale(
    pipelines: dict[str, Path], sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    import diffusers

    class NextUpscalePipeline(diffusers.StableDiffusionUpscalePipeline):  # type: ignore[misc]
        pass

    monkeypatch.setattr(diffusers, "NextUpscalePipeline", NextUpscalePipeline, raising=False)
    monkeypatch.setattr("synrs_data.generators.diffusers_upscale._PROBE", 16)
    folder = Path(shutil.copytree(pipelines["x4"], tmp_path / "next"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "NextUpscalePipeline"}))
    generator = made(folder, sources)
    identity = generator.load("cpu")
    assert (identity.family, identity.parameters["scale"]) == ("NextUpscalePipeline", 4)
    assert [image.shape for image in generator.generate(REQUESTS)] == [(64, 64, 3)] * 3
    with pytest.raises(RecipeError, match="4 times as large, and the recipe says 3"):
        made(folder, sources, scale=3).load("cpu")


def test_a_weight_that_is_missing_is_an_error(
    pipelines: dict[str, Path], sources: Path, tmp_path: Path
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(pipelines["x4"], tmp_path / "x4"))
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["class_embedding.weight"]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"class_embedding\.weight"):
        made(folder, sources).load("cpu")


def test_the_identity_says_model_scheduler_and_sources(pipelines: dict[str, Path], sources: Path) -> None:
    generator = made(
        pipelines["x4"], sources, scheduler="EulerDiscreteScheduler", crop=8, images_license="mit"
    )
    identity = generator.load("cpu")
    assert (identity.family, identity.scheduler) == (
        "StableDiffusionUpscalePipeline",
        "EulerDiscreteScheduler",
    )
    assert (identity.model, identity.revision, identity.steps, identity.guidance_scale) == (
        "x4",
        "local",
        2,
        3,
    )
    assert identity.synthetic
    assert {
        "images": "low",
        "images_license": "mit",
        "crop": 8,
        "scale": 4,
    }.items() <= identity.parameters.items()
    assert [image.shape for image in generator.generate(REQUESTS)] == [(32, 32, 3)] * 3
    json.dumps(identity.parameters)


def test_the_digest_counts_pipeline_and_sources(pipelines: dict[str, Path], tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real")
    before = made(pipelines["x4"], root).digest()
    assert made(pipelines["x4"], root).digest() == before
    assert made(pipelines["latent"], root).digest() != before
    Image.fromarray(paint(999)).save(root / "Forest/0.png")
    assert made(pipelines["x4"], root).digest() != before


def test_a_size_in_the_recipe_is_refused() -> None:
    with pytest.raises(ValidationError, match="size of their source times the scale"):
        DiffusersUpscaleOptions.model_validate({"model": "m", "images": "i", "width": 64})
