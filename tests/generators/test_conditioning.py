"""The generator `diffusers` gives each UNet what it was trained with, exactly, and leaves nothing behind."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data.errors import CaptionError, RecipeError, WeightsError
from synrs_data.generators.conditioning import DIFFUSIONSAT, rows_of_batch
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.generators.metadata import diffusionsat_numbers
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.tiny_families import edit_json, metadata_tensors, write_sat_pipeline, write_text2earth_pipeline

SIZE = 16
DELHI = GeoRecord(lon=76.571, lat=28.697, gsd_m=0.929, cloud=0.07657, year=2015, month=2, day=27)
REQUESTS = [
    Request(prompt="a forest", label=0, seed=1, geo=DELHI),
    Request(prompt="a river", label=0, seed=2, geo=GeoRecord(gsd_m=4.0)),
    Request(prompt="a lake", label=0, seed=3, geo=GeoRecord()),
]


@pytest.fixture(scope="module")
def sat(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sat_pipeline(tiny_pipeline, tmp_path_factory.mktemp("sat") / "model")


@pytest.fixture(scope="module")
def earth(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text2earth_pipeline(tiny_pipeline, tmp_path_factory.mktemp("earth") / "model")


def generator(folder: Path, **options: Any) -> DiffusersGenerator:
    values = {"steps": 3, "guidance_scale": 3.0, "width": SIZE, "height": SIZE} | options
    return DiffusersGenerator(DiffusersOptions(model=str(folder), **values))


def pixels(folder: Path, requests: Sequence[Request], **options: Any) -> Any:
    """Return what the VAE decoded, before it is rounded to bytes."""
    made = generator(folder, **options)
    made.load("cpu")
    return decoded(made, requests)


def decoded(made: DiffusersGenerator, requests: Sequence[Request]) -> Any:
    processor = made._pipeline.image_processor
    found = []
    original = processor.postprocess

    def spy(image: Any, **arguments: Any) -> Any:
        found.append(image.clone())
        return original(image, **arguments)

    processor.postprocess = spy
    try:
        made.generate(requests)
    finally:
        del processor.postprocess
    return found[0]


def sampled(folder: Path, requests: Sequence[Request], guidance: float, steps: int = 3) -> Any:
    """Sample by hand: stock modules, the embedding added by its formula, a loop over the scheduler."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").eval()
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    is_sat = unet.class_embedding is None
    add: list[Any] = []
    if is_sat:
        unet.time_embedding.register_forward_hook(lambda module, args, output: output + add[-1])

    def states(prompts: list[str]) -> Any:
        tokens = tokenizer(prompts, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
        return text(tokens.input_ids)[0]

    def predict(latents: Any, step: Any, context: Any, known: bool) -> Any:
        if is_sat:
            rows = [diffusionsat_numbers(item.geo) if known else (0.0,) * 7 for item in requests]
            add.append(torch.stack([embedded(row) for row in rows]))
            return unet(latents, step, context).sample
        levels = [{None: 0, 4.0: 15, 0.929: 17}[item.geo.gsd_m] if known else 0 for item in requests]
        return unet(latents, step, context, class_labels=torch.tensor(levels)).sample

    with torch.inference_mode():
        noise = [
            torch.randn((1, 4, SIZE, SIZE), generator=torch.Generator().manual_seed(item.seed))
            for item in requests
        ]
        scheduler.set_timesteps(steps)
        latents = torch.cat(noise) * scheduler.init_noise_sigma
        context, empty = states([item.prompt for item in requests]), states([""] * len(requests))
        for step in scheduler.timesteps:
            guess = predict(latents, step, context, known=True)
            if guidance > 1:
                blank = predict(latents, step, empty, known=False)
                guess = blank + guidance * (guess - blank)
            latents = scheduler.step(guess, step, latents).prev_sample
        return vae.decode(latents / vae.config.scaling_factor).sample


def embedded(row: Sequence[float]) -> Any:
    """Return the sum over numbers of `linear_2(silu(linear_1([cos, sin])))`."""
    import torch

    total = torch.zeros(32)
    # Rounded to float32 at each step: at 1000 the next number is another angle by 6e-5.
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(4, dtype=torch.float32) / 4)
    for index, number in enumerate(row):
        angles = torch.tensor(number) * frequencies
        wave = torch.cat([torch.cos(angles), torch.sin(angles)])
        prefix = f"metadata_embedding.{index}."
        part = {
            name.removeprefix(prefix): tensor
            for name, tensor in metadata_tensors().items()
            if name.startswith(prefix)
        }
        hidden = torch.nn.functional.silu(part["linear_1.weight"] @ wave + part["linear_1.bias"])
        total = total + part["linear_2.weight"] @ hidden + part["linear_2.bias"]
    return total


@pytest.mark.parametrize("guidance", [7.5, 1.0])
@pytest.mark.parametrize("family", ["sat", "earth"])
def test_images_are_those_of_sampling_by_hand(
    family: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(family)
    ours = pixels(folder, REQUESTS, guidance_scale=guidance)
    theirs = sampled(folder, REQUESTS, guidance)
    assert ours.shape == (3, 3, SIZE, SIZE)
    assert float((ours - theirs).abs().max()) < 1e-5 * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("family", ["sat", "earth"])
def test_geo_metadata_change_the_image(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    made = generator(folder)
    made.load("cpu")
    [known, unknown] = made.generate([REQUESTS[0], replace(REQUESTS[0], geo=GeoRecord())])
    assert np.abs(known.astype(int) - unknown.astype(int)).max() > 4


@pytest.mark.parametrize("family", ["sat", "earth"])
def test_a_call_after_one_that_raised_is_clean(
    family: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = generator(request.getfixturevalue(family))
    made.load("cpu")
    expected = made.generate(REQUESTS)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="half way"):
        patch.setattr(made._pipeline.scheduler, "step", _fail)
        made.generate(REQUESTS[:2])
    with pytest.raises(CaptionError):
        made.generate([replace(REQUESTS[0], geo=GeoRecord(gsd_m=-1.0))])
    assert not made._pipeline.unet._forward_pre_hooks
    assert all(np.array_equal(a, b) for a, b in zip(expected, made.generate(REQUESTS), strict=True))


def _fail(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("half way")


def test_a_stock_pipeline_ignores_geo_metadata(tiny_pipeline: Path) -> None:
    made = generator(tiny_pipeline)
    identity = made.load("cpu")
    assert (identity.parameters["model_family"], identity.parameters["conditioning"]) == ("stock", [])
    [known] = made.generate(REQUESTS[:1])
    [unknown] = made.generate([replace(REQUESTS[0], geo=GeoRecord())])
    assert np.array_equal(known, unknown)


def test_the_identity_names_family_and_conditioning(sat: Path, earth: Path) -> None:
    parameters = generator(sat).load("cpu").parameters
    assert parameters["model_family"] == "diffusionsat"
    assert parameters["conditioning"] == ["lon", "lat", "gsd_m", "cloud", "year", "month", "day"]
    parameters = generator(earth).load("cpu").parameters
    assert (parameters["model_family"], parameters["conditioning"]) == ("text2earth", ["level"])
    assert json.dumps(parameters)


def test_text2earth_makes_256_pixels_unless_the_recipe_says_another_size(earth: Path) -> None:
    made = generator(earth, width=None, height=None)
    made.load("cpu")
    assert (made._call["width"], made._call["height"]) == (256, 256)
    made = generator(earth)
    made.load("cpu")
    assert (made._call["width"], made._call["height"]) == (SIZE, SIZE)


@pytest.mark.parametrize("missing", [{"width": None}, {"height": None}, {"width": None, "height": None}])
def test_diffusionsat_needs_its_size_from_the_recipe(sat: Path, missing: dict[str, None]) -> None:
    with pytest.raises(RecipeError, match="do not say which size") as caught:
        generator(sat, **missing).load("cpu")
    assert "512 or 256" in caught.value.fix


def test_the_unconditional_half_is_zeros_and_comes_first() -> None:
    import torch

    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(rows_of_batch(values, 2), values)
    assert torch.equal(rows_of_batch(values, 4), torch.cat([torch.zeros(2, 2), values]))
    with pytest.raises(ValueError, match="the UNet sees 3 rows for 2 images"):
        rows_of_batch(values, 3)


@pytest.mark.parametrize(("guidance", "doubled"), [(3.0, True), (1.0, False), (0.0, False)])
def test_several_images_of_a_prompt_get_its_metadata_each(sat: Path, guidance: float, doubled: bool) -> None:
    import torch

    made = generator(sat)
    made.load("cpu")
    seen: list[Any] = []
    unet = made._pipeline.unet
    with torch.inference_mode(), DIFFUSIONSAT.applied(unet, [DELHI, GeoRecord()], images_per_prompt=2):
        unet.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(kwargs["metadata"]), with_kwargs=True
        )
        made._pipeline(
            ["a", "b"], num_images_per_prompt=2, num_inference_steps=1, guidance_scale=guidance, output_type="latent"
        )  # fmt: skip
    known = torch.tensor([diffusionsat_numbers(DELHI)] * 2 + [(0.0,) * 7] * 2)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], torch.cat([torch.zeros(4, 7), known]) if doubled else known)


def test_metadata_stay_in_float32_where_the_weights_are_not(sat: Path) -> None:
    import torch

    made = generator(sat, dtype="bfloat16")
    made.load("cpu")
    # In bfloat16 both longitudes would be the same number.
    near = [replace(REQUESTS[0], geo=GeoRecord(lon=lon)) for lon in (100.0, 100.2)]
    waves: list[Any] = []
    unet = made._pipeline.unet
    unet.time_proj.register_forward_hook(lambda _, args, output: waves.append(args[0]))
    images = made.generate(near)
    assert any(wave.dtype == torch.float32 and len(set(wave.tolist())) > 2 for wave in waves)
    assert not np.array_equal(images[0], images[1])


def test_the_hook_reaches_a_compiled_unet(earth: Path) -> None:
    import torch

    made = generator(earth)
    made.load("cpu")
    expected = made.generate(REQUESTS)
    unet = made._pipeline.unet

    made._pipeline.unet = torch.compile(unet, backend="eager")
    assert all(np.array_equal(a, b) for a, b in zip(expected, made.generate(REQUESTS), strict=True))


def test_an_inpainting_model_makes_no_images_from_text(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = write_text2earth_pipeline(tiny_pipeline, tmp_path / "model", inpainting=True)
    with pytest.raises(WeightsError, match="is an inpainting model: its UNet takes 9 channels") as caught:
        generator(folder).load("cpu")
    assert "`inpaint`" in caught.value.fix


def test_another_number_of_metadata_is_refused(sat: Path, tmp_path: Path) -> None:
    import torch

    folder = Path(shutil.copytree(sat, tmp_path / "model"))
    edit_json(folder / "unet" / "config.json", num_metadata=6)
    file = folder / "unet" / "diffusion_pytorch_model.bin"
    tensors = torch.load(file, weights_only=True)
    torch.save({k: v for k, v in tensors.items() if "metadata_embedding.6" not in k}, file)
    with pytest.raises(WeightsError, match="takes 6 numbers of metadata"):
        generator(folder).load("cpu")


def test_class_labels_of_unknown_meaning_are_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    edit_json(folder / "unet" / "config.json", num_class_embeds=5)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(file) | {"class_embedding.weight": torch.zeros(5, 32)}, file, {"format": "pt"})
    with pytest.raises(WeightsError, match="needs class labels"):
        generator(folder).load("cpu")
