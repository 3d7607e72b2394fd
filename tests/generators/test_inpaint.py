"""The generator `inpaint`: only the mask's inside changes, and the sample says which part that is."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synrs_data.errors import UserError
from synrs_data.generators.base import SourcedGenerator
from synrs_data.generators.inpaint import Inpaint, InpaintOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.real_folder import real_folder
from tests.tiny_families import edit_json, write_text2earth_pipeline


def made(folder: Path, sources: Path, **changes: Any) -> Inpaint:
    values = {"model": str(folder), "sources": str(sources), "shots": 4, "steps": 2, "guidance_scale": 3.0}
    generator = Inpaint(InpaintOptions.model_validate(values | changes))
    generator.load("cpu")
    return generator


def request(label: str, seed: int) -> Request:
    return Request(prompt=f"a {label}", label=0, seed=seed, geo=GeoRecord(), label_name=label)


REQUESTS = [request("Forest", 1), request("River", 2), request("Forest", 2**63 - 1)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("sources") / "real")


@pytest.fixture(scope="module")
def boxes(tiny_pipeline: Path, sources: Path) -> Inpaint:
    return made(tiny_pipeline, sources)


def inside(generator: Inpaint, wanted: Request) -> NDArray[np.bool_]:
    mask = np.asarray(Image.open(io.BytesIO(generator.inputs(wanted).fields["mask.png"])))
    assert set(np.unique(mask)) == {0, 255}
    return np.asarray(mask > 0)


def source_of(generator: Inpaint, wanted: Request, sources: Path) -> NDArray[np.uint8]:
    with Image.open(sources / generator.inputs(wanted).parameters["source"]) as file:
        return np.asarray(file.convert("RGB"))


def test_pixels_outside_the_mask_are_the_sources_and_those_inside_are_not(
    boxes: Inpaint, sources: Path
) -> None:
    for wanted, image in zip(REQUESTS, boxes.generate(REQUESTS), strict=True):
        mask, source = inside(boxes, wanted), source_of(boxes, wanted, sources)
        assert np.array_equal(image[~mask], source[~mask])
        assert np.abs(image[mask].astype(int) - source[mask]).mean() > 8


def test_the_outside_may_be_what_the_vae_makes_of_it(
    tiny_pipeline: Path, sources: Path, boxes: Inpaint
) -> None:
    through = made(tiny_pipeline, sources, keep_outside=False)
    first, second = boxes.generate(REQUESTS)[0], through.generate(REQUESTS)[0]
    mask = inside(boxes, REQUESTS[0])
    assert np.array_equal(first[mask], second[mask])
    assert not np.array_equal(first[~mask], second[~mask])


def test_boxes_have_the_share_of_the_area_and_other_places(boxes: Inpaint) -> None:
    found = [inside(boxes, request("River", seed)) for seed in range(20)]
    assert {int(mask.sum()) for mask in found} == {64}
    assert len({mask.tobytes() for mask in found}) > 5
    name = boxes.inputs(request("River", 3)).parameters["mask"]
    assert name.startswith("box ")
    assert name.endswith("8x8")


def test_the_same_requests_give_the_same_bytes_again(boxes: Inpaint) -> None:
    first = boxes.generate(REQUESTS)
    assert all(np.array_equal(a, b) for a, b in zip(first, boxes.generate(REQUESTS), strict=True))
    assert boxes.inputs(REQUESTS[1]) == boxes.inputs(REQUESTS[1])
    assert isinstance(boxes, SourcedGenerator)
    assert boxes.extra_fields == ("source.jpg", "mask.png")


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    root = real_folder(tmp_path / "masks")
    for path in root.rglob("*.png"):
        mask = np.zeros((16, 16), dtype=np.uint8)
        mask[:, 8:] = 255
        Image.fromarray(mask).save(path)
    return root


def test_masks_of_files_belong_to_the_source_of_their_name(
    tiny_pipeline: Path, sources: Path, masks: Path
) -> None:
    generator = made(tiny_pipeline, sources, masks=str(masks))
    for wanted in REQUESTS:
        given = generator.inputs(wanted)
        assert given.parameters["mask"] == given.parameters["source"]
        assert not inside(generator, wanted)[:, :8].any()
        assert inside(generator, wanted)[:, 8:].all()
    before = generator.digest()
    Image.new("L", (16, 16), 255).save(masks / "Forest/0.png")
    assert made(tiny_pipeline, sources, masks=str(masks)).digest() != before


def test_a_source_without_a_mask_is_told_when_planned(
    tiny_pipeline: Path, sources: Path, masks: Path
) -> None:
    (masks / "River/3.png").unlink()
    generator = made(tiny_pipeline, sources, masks=str(masks))
    with pytest.raises(UserError, match="there is no mask of the name River/3"):
        generator.sources(["Forest", "River"])


def test_a_black_mask_is_refused(tiny_pipeline: Path, sources: Path, masks: Path) -> None:
    for path in masks.rglob("*.png"):
        Image.new("L", (16, 16)).save(path)
    with pytest.raises(UserError, match="no white pixel"):
        made(tiny_pipeline, sources, masks=str(masks)).inputs(REQUESTS[0])


def test_a_model_made_for_inpainting_gets_mask_and_masked_image(
    tiny_pipeline: Path, sources: Path, tmp_path: Path
) -> None:
    import torch
    from diffusers import UNet2DConditionModel

    folder = tmp_path / "inpainting"
    shutil.copytree(tiny_pipeline, folder)
    config = json.loads((folder / "unet/config.json").read_text()) | {"in_channels": 9}
    torch.manual_seed(1)
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionInpaintPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    generator = made(folder, sources)
    for wanted, image in zip(REQUESTS, generator.generate(REQUESTS), strict=True):
        mask, source = inside(generator, wanted), source_of(generator, wanted, sources)
        assert np.array_equal(image[~mask], source[~mask])
        assert not np.array_equal(image[mask], source[mask])


@pytest.mark.parametrize("family", ["text2earth", "stock"])
def test_grey_masks_stay_grey_for_text2earth_alone(
    tiny_pipeline: Path, sources: Path, masks: Path, tmp_path: Path, family: str
) -> None:
    for path in masks.rglob("*.png"):
        grey = np.zeros((16, 16), dtype=np.uint8)
        grey[:, 4:8], grey[:, 8:] = 102, 255
        Image.fromarray(grey).save(path)
    folder = write_text2earth_pipeline(tiny_pipeline, tmp_path / "inpainting", inpainting=True)
    if family == "stock":
        edit_json(folder / "unet/config.json", class_embed_type=None)
        edit_json(folder / "model_index.json", _class_name="StableDiffusionInpaintPipeline")
        drop_class_embedding(folder)
    generator = made(folder, sources, masks=str(masks), width=16, height=16)
    seen: list[Any] = []
    hook = generator._pipeline.unet.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args[0] if args else kwargs["sample"])[:, 4]),
        with_kwargs=True,
    )
    generator.generate(REQUESTS[:2])
    hook.remove()
    expected = 0.4 if family == "text2earth" else 0.0
    columns = seen[0][0, 0].tolist()
    assert len(set(columns)) == (3 if family == "text2earth" else 2)
    assert columns[len(columns) // 4] == pytest.approx(expected)
    kept = np.asarray(Image.open(io.BytesIO(generator.inputs(REQUESTS[0]).fields["mask.png"])))
    assert sorted(set(kept.ravel().tolist())) == ([0, 102, 255] if family == "text2earth" else [0, 255])


def drop_class_embedding(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = {
        name: value for name, value in load_file(file).items() if not name.startswith("class_embedding")
    }
    save_file(tensors, file)


@pytest.fixture(scope="module")
def six_channels(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline whose latents have six channels, for which diffusers' inpainting is not made."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("six") / "six"
    shutil.copytree(tiny_pipeline, folder)
    torch.manual_seed(2)
    for name, cls, changes in (
        ("unet", UNet2DConditionModel, {"in_channels": 6, "out_channels": 6}),
        ("vae", AutoencoderKL, {"latent_channels": 6}),
    ):
        config = json.loads((folder / name / "config.json").read_text()) | changes
        cls.from_config(config).save_pretrained(folder / name)
    return folder


def test_latents_of_other_channels_are_blended(six_channels: Path, sources: Path) -> None:
    generator = made(six_channels, sources)
    first = generator.generate(REQUESTS)
    for wanted, image in zip(REQUESTS, first, strict=True):
        mask, source = inside(generator, wanted), source_of(generator, wanted, sources)
        assert np.array_equal(image[~mask], source[~mask])
        assert not np.array_equal(image[mask], source[mask])
    assert all(np.array_equal(a, b) for a, b in zip(first, generator.generate(REQUESTS), strict=True))


def test_blending_puts_the_noised_source_outside_the_mask(six_channels: Path, sources: Path) -> None:
    import torch

    generator = made(six_channels, sources, keep_outside=False)
    pipeline: Any = generator._pipeline
    blend = generator._arguments(REQUESTS[:1])["callback_on_step_end"]
    steps = torch.tensor([900, 600, 300])
    pipeline.scheduler.timesteps = steps
    painted = torch.full((1, 6, 16, 16), 7.0)
    outside = torch.from_numpy(~inside(generator, REQUESTS[0]))
    source = generator._prepared(generator._source(REQUESTS[0]))[0]
    with torch.no_grad():
        pixels = pipeline.image_processor.preprocess([source])
        clean = pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
    last = blend(pipeline, 2, steps[2], {"latents": painted})["latents"]
    torch.testing.assert_close(last[..., outside], clean[..., outside], atol=1e-4, rtol=0)
    assert bool((last[..., ~outside] == 7).all())
    # In between it is the source at the noise of the next step: DDPM's forward process.
    kept = pipeline.scheduler.alphas_cumprod[600]
    between = blend(pipeline, 0, steps[0], {"latents": painted})["latents"]
    noise = (between - kept.sqrt() * clean)[..., outside] / (1 - kept).sqrt()
    assert abs(float(noise.mean())) < 0.1
    assert float(noise.std()) == pytest.approx(1, abs=0.1)
