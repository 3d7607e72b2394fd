"""The generator `controlnet` on random weights: what decides an image, what is kept, what is refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from synrs_data.errors import RecipeError, UserError, WeightsError
from synrs_data.generators import ConditionedGenerator
from synrs_data.generators.controlnet import ControlNet, ControlNetOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.real_folder import paint
from tests.tiny_controlnet import write_maps, write_mask, write_tiny_controlnet
from tests.tiny_families import write_sat_pipeline, write_text2earth_pipeline

STEPS = 3


def request(prompt: str, seed: int, image: str = "") -> Request:
    return Request(prompt=prompt, label=0, seed=seed, geo=GeoRecord(), image=image)


REQUESTS = [request("a forest", 1, "0.png"), request("a river", 2, "1.png"), request("a lake", 3, "2.png")]


@pytest.fixture(scope="module")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_controlnet(tmp_path_factory.mktemp("controlnet") / "tiny")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_maps(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def folders(tiny_pipeline: Path, controlnet: Path, maps: Path) -> dict[str, str]:
    return {"model": str(tiny_pipeline), "controlnet": str(controlnet), "maps": str(maps)}


def generator(folders: dict[str, str], **options: Any) -> ControlNet:
    return ControlNet(ControlNetOptions(**folders | {"steps": STEPS, "guidance_scale": 3.0} | options))


def loaded(folders: dict[str, str], **options: Any) -> ControlNet:
    made = generator(folders, **options)
    made.load("cpu")
    return made


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return int(np.abs(one.astype(int) - other.astype(int)).max()) > 4


def by_hand(
    folders: dict[str, str],
    requests: Sequence[Request],
    *,
    guidance: float,
    scale: float = 1.0,
    ends: float = 1.0,
) -> NDArray[np.float32]:
    """Denoise with the bare modules, one step after another, and return images of 0 to 1."""
    import torch
    from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    model = Path(folders["model"])
    vae = AutoencoderKL.from_pretrained(model / "vae")
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    text = CLIPTextModel.from_pretrained(model / "text_encoder")
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(model / "scheduler")
    net = ControlNetModel.from_pretrained(folders["controlnet"])

    def encode(prompts: list[str]) -> Any:
        tokens = tokenizer(prompts, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
        return text(tokens.input_ids)[0]

    guided = guidance > 1
    with torch.no_grad():
        context = encode([item.prompt for item in requests])
        control = torch.stack(
            [torch.tensor(paint(int(item.image[0]))).permute(2, 0, 1) / 255 for item in requests]
        )
        if guided:
            context = torch.cat([encode([""] * len(requests)), context])
            control = torch.cat([control, control])
        noise = [
            torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(item.seed))
            for item in requests
        ]
        latents = torch.cat(noise)
        scheduler.set_timesteps(STEPS)
        for number, step in enumerate(scheduler.timesteps):
            given = torch.cat([latents, latents]) if guided else latents
            on = (number + 1) / STEPS <= ends
            down, middle = net(
                given, step, encoder_hidden_states=context, controlnet_cond=control, return_dict=False
            )
            predicted = unet(
                given,
                step,
                encoder_hidden_states=context,
                down_block_additional_residuals=[item * scale * on for item in down],
                mid_block_additional_residual=middle * scale * on,
            ).sample
            if guided:
                free, bound = predicted.chunk(2)
                predicted = free + guidance * (bound - free)
            latents = scheduler.step(predicted, step, latents).prev_sample
        images = vae.decode(latents / vae.config.scaling_factor).sample
    return np.asarray((images / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy())


def as_floats(made: ControlNet, requests: Sequence[Request]) -> NDArray[np.float32]:
    """Return what the generator's pipeline gives before images are rounded to bytes."""
    import torch

    with torch.inference_mode():
        output = made._pipeline(
            prompt=[item.prompt for item in requests],
            generator=[torch.Generator("cpu").manual_seed(item.seed) for item in requests],
            output_type="np",
            **made._arguments(requests),
        )
    return np.asarray(output.images)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize(("scale", "ends"), [(1.0, 1.0), (0.5, 0.7)])
def test_images_are_those_of_a_loop_over_the_bare_modules(
    folders: dict[str, str], guidance: float, scale: float, ends: float
) -> None:
    made = loaded(
        folders,
        guidance_scale=guidance,
        controlnet_conditioning_scale=scale,
        control_guidance_end=ends,
    )
    expected = by_hand(folders, REQUESTS, guidance=guidance, scale=scale, ends=ends)
    assert expected.std() > 0.05
    assert np.abs(as_floats(made, REQUESTS) - expected).max() < 1e-5
    images = made.generate(REQUESTS)
    assert np.abs(np.stack(images) / 255 - expected).max() <= 1 / 255


def test_a_request_gets_its_own_map_wherever_it_stands_in_a_batch(folders: dict[str, str]) -> None:
    made = loaded(folders)
    forward = made.generate(REQUESTS)
    backward = made.generate(REQUESTS[::-1])[::-1]
    [alone] = made.generate(REQUESTS[1:2])
    assert not any(differ(*pair) for pair in zip(forward, backward, strict=True))
    assert not differ(alone, forward[1])


def test_another_map_is_another_image_unless_control_is_off(folders: dict[str, str]) -> None:
    pair = [request("a forest", 1, "0.png"), request("a forest", 1, "1.png")]
    assert differ(*loaded(folders).generate(pair))
    assert not differ(*loaded(folders, controlnet_conditioning_scale=0).generate(pair))


def test_the_map_of_a_sample_is_kept_and_named(folders: dict[str, str], maps: Path) -> None:
    made = loaded(folders)
    assert isinstance(made, ConditionedGenerator)
    assert made.extra_fields == ("control.png",)
    inputs = made.inputs(REQUESTS[1])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(inputs.fields["control.png"]))), paint(1))
    sha256 = hashlib.sha256((maps / "1.png").read_bytes()).hexdigest()
    assert inputs.parameters == {"control": "1.png", "control_sha256": sha256}
    assert inputs.derived_from == ""


def test_the_identity_says_what_controlled(folders: dict[str, str], controlnet: Path) -> None:
    made = generator(folders, controlnet_conditioning_scale=0.8)
    identity = made.load("cpu")
    assert identity.family == "StableDiffusionControlNetPipeline"
    assert identity.parameters["controlnet"] == controlnet.name
    assert len(identity.parameters["controlnet_sha256"]) == 64
    assert identity.parameters["controlnet_conditioning_scale"] == 0.8
    assert identity.parameters["resample"] == "bicubic"


def test_a_text2earth_base_has_its_training_size_and_a_diffusionsat_base_needs_one(
    folders: dict[str, str], tmp_path: Path
) -> None:
    base = write_text2earth_pipeline(Path(folders["model"]), tmp_path / "earth")
    made = loaded(folders | {"model": str(base)})
    kept = Image.open(io.BytesIO(made.inputs(REQUESTS[0]).fields["control.png"]))
    assert kept.size == (256, 256)
    base = write_sat_pipeline(Path(folders["model"]), tmp_path / "sat")
    with pytest.raises(RecipeError, match="do not say which size"):
        loaded(folders | {"model": str(base)})
    made = loaded(folders | {"model": str(base)}, width=24, height=16)
    assert made.generate(REQUESTS[:1])[0].shape == (16, 24, 3)


def test_maps_get_the_size_of_the_image(folders: dict[str, str], tmp_path: Path) -> None:
    large = write_maps(tmp_path / "large", side=64)
    made = loaded(folders | {"maps": str(large)}, width=24)
    [image] = made.generate([request("a forest", 1, "0")])
    assert image.shape == (16, 24, 3)
    kept = Image.open(io.BytesIO(made.inputs(request("a forest", 1, "0")).fields["control.png"]))
    assert kept.size == (24, 16)


def test_masks_of_indices_are_painted_by_the_palette(folders: dict[str, str], tmp_path: Path) -> None:
    palette = tmp_path / "two.yaml"
    palette.write_text(
        "name: two\nsource: test\nclasses:\n- {name: a, rgb: [9, 0, 0]}\n- {name: b, rgb: [0, 200, 0]}\n"
    )
    write_mask(tmp_path / "masks/m.png", np.eye(16))
    made = loaded(folders | {"maps": str(tmp_path / "masks")}, palette=str(palette))
    kept = np.asarray(Image.open(io.BytesIO(made.inputs(request("x", 1)).fields["control.png"])))
    assert (kept[0, 0].tolist(), kept[0, 1].tolist()) == ([0, 200, 0], [9, 0, 0])
    [image] = made.generate([request("x", 1)])
    assert image.shape == (16, 16, 3)


def test_everything_that_decides_an_image_counts_in_the_digest(
    folders: dict[str, str], tmp_path: Path
) -> None:
    maps = write_maps(tmp_path / "maps")
    same = generator(folders | {"maps": str(maps)}).digest()
    assert same == generator(folders).digest()
    palette = tmp_path / "p.yaml"
    palette.write_text("name: one\nsource: test\nclasses:\n- {name: a, rgb: [9, 0, 0]}\n")
    found = {same, generator(folders | {"maps": str(maps)}, palette=str(palette)).digest()}
    palette.write_text("name: one\nsource: test\nclasses:\n- {name: a, rgb: [8, 0, 0]}\n")
    found.add(generator(folders | {"maps": str(maps)}, palette=str(palette)).digest())
    Image.fromarray(paint(9)).save(maps / "1.png")
    found.add(generator(folders | {"maps": str(maps)}).digest())
    other = write_tiny_controlnet(tmp_path / "other", layers_per_block=2)
    found.add(generator(folders | {"controlnet": str(other)}).digest())
    assert len(found) == 5


def test_a_controlnet_of_another_base_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    other = write_tiny_controlnet(tmp_path / "other", cross_attention_dim=12)
    with pytest.raises(WeightsError, match=r"cross_attention_dim is 12, that of `model` 8"):
        loaded(folders | {"controlnet": str(other)})


def test_a_controlnet_that_would_be_loaded_in_part_is_refused(
    folders: dict[str, str], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_tiny_controlnet(tmp_path / "part")
    weights = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"metadata_embedding.0.weight": tensors["conv_in.bias"].clone()}, weights)
    with pytest.raises(WeightsError, match=r"would be dropped: metadata_embedding\.0\.weight"):
        loaded(folders | {"controlnet": str(folder)})
    del tensors["controlnet_mid_block.weight"]
    save_file(tensors, weights)
    with pytest.raises(WeightsError, match=r"missing and would be random: controlnet_mid_block\.weight"):
        loaded(folders | {"controlnet": str(folder)})


def test_a_controlnet_of_diffusionsat_is_not_taken_for_a_stock_one(
    folders: dict[str, str], tmp_path: Path
) -> None:
    folder = write_tiny_controlnet(tmp_path / "sat")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_metadata": 7, "use_metadata": False}))
    with pytest.raises(WeightsError, match="ControlNet of DiffusionSat"):
        loaded(folders | {"controlnet": str(folder)})


def test_what_is_no_controlnet_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no config\.json"):
        loaded(folders | {"controlnet": folders["model"]})
    with pytest.raises(WeightsError, match="UNet2DConditionModel, not a ControlNetModel"):
        loaded(folders | {"controlnet": str(Path(folders["model"]) / "unet")})
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match="no configuration"):
        loaded(folders | {"controlnet": str(broken)})


def test_an_unknown_map_stops_before_anything_is_painted(folders: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"has no map 'nowhere\.png'"):
        loaded(folders).inputs(request("a forest", 1, "nowhere.png"))


def test_labels_without_maps_stop_a_build_before_it_starts(folders: dict[str, str], tmp_path: Path) -> None:
    from synrs_data.build.sources import check_sources

    write_maps(tmp_path / "maps/dam", count=1)
    own = folders | {"maps": str(tmp_path / "maps")}
    check_sources(generator(own, pairing="label"), ["dam"])
    check_sources(generator(own), ["dam", "road"])
    with pytest.raises(UserError, match="for the label 'road', 'ship', 'tree' and 1 more"):
        check_sources(generator(own, pairing="label"), ["dam", "road", "ship", "tree", "van"])


def test_control_that_ends_before_it_starts_is_refused(folders: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="not before it ends"):
        generator(folders, control_guidance_start=0.6, control_guidance_end=0.5)


def test_a_base_that_is_no_stable_diffusion_is_refused(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from synrs_data.generators.diffusion import DiffusersGenerator

    monkeypatch.setattr(DiffusersGenerator, "_load_pipeline", lambda self: object())
    with pytest.raises(RecipeError, match="not a StableDiffusionPipeline"):
        loaded(folders)


def test_a_build_pairs_captions_with_maps_and_keeps_them(folders: dict[str, str], tmp_path: Path) -> None:
    from synrs_data.build.run import build
    from synrs_data.recipe_file import complete
    from synrs_data.shards import members

    lines = [{"caption": f"a forest {n}", "label": "Forest", "image": f"{n % 3}.png"} for n in range(4)]
    captions = tmp_path / "captions.jsonl"
    captions.write_text("\n".join(map(json.dumps, lines)))
    values = {
        "name": "controlled",
        "license": "mit",
        "labels": "eurosat",
        "candidates": 4,
        "captions": {"method": "from-file", "path": str(captions)},
        "generator": {"method": "controlnet", "steps": 1, "batch_size": 3, **folders},
    }
    result = build(complete(values, folder=tmp_path, where="test"), tmp_path / "out", engine="inline")
    samples = [sample for tar in result.folder.data.glob("*.tar") for sample in members(tar)]
    assert len(samples) == 4
    for _, fields in samples:
        number = json.loads(fields["json"])["caption"][-1]
        parameters = json.loads(json.loads(fields["json"])["parameters"])
        assert parameters["control"] == f"{int(number) % 3}.png"
        kept = np.asarray(Image.open(io.BytesIO(fields["control.png"])))
        assert np.array_equal(kept, paint(int(number) % 3))
