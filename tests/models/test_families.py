"""What a folder holds is told from its files, and DiffusionSat's UNet is loaded whole from every layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import WeightsError
from synrs_data.models import locate
from synrs_data.models.families import Family, detect, tensor_names
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_families import (
    SAT_TENSORS,
    edit_json,
    metadata_tensors,
    write_sat_pipeline,
    write_text2earth_pipeline,
)


def load(folder: Path) -> Any:
    import torch

    from synrs_data.models.diffusers_folder import load_pipeline

    return load_pipeline(locate(str(folder)), dtype=torch.float32)


def refused(folder: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load(folder)
    return caught.value


def write_lora(stock: Path, folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({"unet.to_q.lora_A.weight": torch.ones(2, 2)}, folder / "pytorch_lora_weights.safetensors")
    return folder


def write_one_file(stock: Path, folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({"model.diffusion_model.out.0.weight": torch.ones(2)}, folder / "last.safetensors")
    return folder


def write_ckpt(stock: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"anything")
    return folder


def write_inpainting(stock: Path, folder: Path) -> Path:
    shutil.copytree(stock, folder)
    edit_json(folder / "unet" / "config.json", in_channels=9)
    return folder


def write_controlnet(stock: Path, folder: Path) -> Path:
    return write_tiny_controlnet(folder)


FAMILIES: dict[Family, Callable[[Path, Path], Path]] = {
    Family.STOCK: lambda stock, folder: stock,
    Family.DIFFUSIONSAT: write_sat_pipeline,
    Family.TEXT2EARTH: write_text2earth_pipeline,
    Family.INPAINTING: write_inpainting,
    Family.CONTROLNET: write_controlnet,
    Family.LORA: write_lora,
    Family.SINGLE_FILE: write_one_file,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_files_tell_the_family_whatever_the_folder_is_called(
    family: Family, tiny_pipeline: Path, tmp_path: Path
) -> None:
    folder = FAMILIES[family](tiny_pipeline, tmp_path / "DiffusionSat-Text2Earth-controlnet-lora")
    assert detect(folder).family is family


def test_an_empty_folder_is_of_no_family(tmp_path: Path) -> None:
    assert detect(tmp_path).family is Family.UNKNOWN


@pytest.mark.parametrize(("inpainting", "channels"), [(False, 4), (True, 9)])
def test_text2earth_is_told_with_and_without_inpainting(
    tiny_pipeline: Path, tmp_path: Path, inpainting: bool, channels: int
) -> None:
    folder = write_text2earth_pipeline(tiny_pipeline, tmp_path / "model", inpainting=inpainting)
    found = detect(folder)
    assert (found.family, found.inpainting) == (Family.TEXT2EARTH, inpainting)
    pipeline = load(folder)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    assert pipeline.unet.config.in_channels == channels


@pytest.mark.parametrize(
    ("write", "sentence", "fix"),
    [
        (write_controlnet, "is a ControlNet", "`controlnet`"),
        (write_lora, "is a LoRA", "by `lora`"),
        (write_one_file, "last.safetensors", "from_single_file"),
        (write_ckpt, "last.ckpt", "from_single_file"),
    ],
)
def test_a_folder_that_is_no_pipeline_says_what_to_do(
    write: Callable[[Path, Path], Path], sentence: str, fix: str, tiny_pipeline: Path, tmp_path: Path
) -> None:
    error = refused(write(tiny_pipeline, tmp_path / "model"))
    assert sentence in error.what
    assert fix in error.fix


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_tensors_alone_tell_a_sat_unet(tiny_pipeline: Path, tmp_path: Path, suffix: str) -> None:
    import torch
    from safetensors.torch import save_file

    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    config = folder / "unet" / "config.json"
    values = json.loads(config.read_text())
    del values["use_metadata"], values["num_metadata"]
    config.write_text(json.dumps(values | {"_class_name": "UNet2DConditionModel"}))
    weights = folder / "unet" / "diffusion_pytorch_model.bin"
    if suffix == "safetensors":
        save_file(
            torch.load(weights, weights_only=True), weights.with_suffix(".safetensors"), {"format": "pt"}
        )
        weights.unlink()
    assert detect(folder).family is Family.DIFFUSIONSAT
    assert load(folder).unet.config.num_metadata == 7


def test_names_of_damaged_files_are_none(tmp_path: Path) -> None:
    for name in ("a.bin", "b.safetensors"):
        (tmp_path / name).write_bytes(b"\xff" * 40)
        assert tensor_names(tmp_path) == frozenset()


ENTRIES = {
    "the authors' class": ["diffusionsat.sat_unet", "SatUNet"],
    "an unknown class of diffusers": ["diffusers", "SatUNet"],
    "the stock class": ["diffusers", "UNet2DConditionModel"],
}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_sat_unet_is_loaded_with_every_tensor_whatever_the_index_says(
    tiny_pipeline: Path, tmp_path: Path, entry: str, checkpoint: bool
) -> None:
    import torch

    folder = write_sat_pipeline(
        tiny_pipeline, tmp_path / "model", index_entry=ENTRIES[entry], checkpoint=checkpoint
    )
    pipeline = load(folder)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    own = pipeline.unet.state_dict()
    for name, tensor in metadata_tensors().items():
        assert torch.equal(own[name], tensor)
    stock = load(tiny_pipeline)
    assert len(own) == len(stock.unet.state_dict()) + SAT_TENSORS
    for name, tensor in stock.vae.state_dict().items():
        assert torch.equal(pipeline.vae.state_dict()[name], tensor)
    assert type(pipeline.scheduler) is type(stock.scheduler)


def test_the_last_checkpoint_is_used_where_the_pipelines_own_unet_is_stock(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model", checkpoint=True)
    shutil.copytree(tiny_pipeline / "unet", folder / "unet")
    assert detect(folder).unet == folder / "checkpoint-150000" / "unet"


def test_the_pipelines_own_sat_unet_goes_before_its_checkpoints(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model", checkpoint=True)
    shutil.copytree(folder / "checkpoint-500" / "unet", folder / "unet")
    assert detect(folder).unet == folder / "unet"


def test_stock_diffusers_drops_the_28_tensors_that_ours_uses(tiny_pipeline: Path, tmp_path: Path) -> None:
    import torch
    from diffusers import UNet2DConditionModel

    from synrs_data.models.diffusers_folder import quiet_libraries

    quiet_libraries()
    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    stock, report = UNet2DConditionModel.from_pretrained(folder / "unet", output_loading_info=True)
    assert len(report["unexpected_keys"]) == SAT_TENSORS
    assert set(report["unexpected_keys"]) == metadata_tensors().keys()
    ours = load(folder).unet
    latents, context = torch.randn(1, 4, 16, 16), torch.randn(1, 3, 8)
    with torch.inference_mode():
        outputs = [
            ours(latents, 5, context, metadata=torch.full((1, 7), value)).sample for value in (0.0, 500.0)
        ]
        plain = stock(latents, 5, context).sample
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-3)
    assert not torch.allclose(outputs[0], plain, atol=1e-3)


def test_a_sat_unet_keeps_its_configuration_and_weights_when_it_is_saved(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    import torch

    from synrs_data.models.sat_unet import SatUNet

    unet = load(write_sat_pipeline(tiny_pipeline, tmp_path / "model")).unet
    unet.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert (config["_class_name"], config["num_metadata"], config["use_metadata"]) == ("SatUNet", 7, True)
    assert config["block_out_channels"] == [8, 8]
    again, report = SatUNet.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(report.values())
    for name, tensor in unet.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("rows", [None, (1, 6), (2, 7), (7,)])
def test_a_sat_unet_without_the_right_metadata_is_an_error(
    tiny_pipeline: Path, tmp_path: Path, rows: tuple[int, ...] | None
) -> None:
    import torch

    unet = load(write_sat_pipeline(tiny_pipeline, tmp_path / "model")).unet
    metadata = None if rows is None else torch.zeros(rows)
    with pytest.raises(ValueError, match=r"metadata of shape \(1, 7\) are needed"):
        unet(torch.zeros(1, 4, 16, 16), 5, torch.zeros(1, 3, 8), metadata=metadata)


def test_a_sat_unet_without_metadata_is_the_stock_one(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    edit_json(folder / "unet" / "config.json", _class_name="SatUNet", use_metadata=False, num_metadata=0)
    edit_json(folder / "model_index.json", unet=["diffusionsat", "SatUNet"])
    assert load(folder).unet.metadata_embedding is None


@pytest.mark.parametrize(("change", "sentence"), [("drop", "are missing"), ("add", "would be dropped")])
def test_no_tensor_of_a_sat_unet_is_lost_in_silence(
    tiny_pipeline: Path, tmp_path: Path, change: str, sentence: str
) -> None:
    import torch

    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    file = folder / "unet" / "diffusion_pytorch_model.bin"
    tensors = torch.load(file, weights_only=True)
    if change == "drop":
        del tensors["metadata_embedding.3.linear_2.bias"]
    else:
        tensors["metadata_embedding.7.linear_2.bias"] = torch.ones(2)
    torch.save(tensors, file)
    assert sentence in refused(folder).what


@pytest.mark.parametrize("component", ["vae", "text_encoder", "tokenizer", "scheduler", "unet"])
def test_a_component_that_is_not_there_is_an_error(
    tiny_pipeline: Path, tmp_path: Path, component: str
) -> None:
    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    shutil.rmtree(folder / component)
    assert str(folder) in str(refused(folder))


def test_an_old_name_of_the_image_processor_is_understood(tiny_pipeline: Path, tmp_path: Path) -> None:
    from transformers import CLIPImageProcessor

    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "model")
    CLIPImageProcessor().save_pretrained(folder / "feature_extractor")
    edit_json(folder / "model_index.json", feature_extractor=["transformers", "CLIPFeatureExtractor"])
    assert "CLIPImageProcessor" in type(load(folder).feature_extractor).__name__


def test_the_authors_own_code_is_not_run(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = write_text2earth_pipeline(tiny_pipeline, tmp_path / "model")
    trace = tmp_path / "trace"
    for place in ("pipeline_text2earth_diffusion.py", "unet/pipeline_text2earth_diffusion.py"):
        (folder / place).write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")
    edit_json(
        folder / "model_index.json",
        _class_name=["pipeline_text2earth_diffusion", "Text2EarthDiffusionPipeline"],
        unet=["pipeline_text2earth_diffusion", "UNet2DConditionModel"],
    )
    assert type(load(folder)).__name__ == "StableDiffusionPipeline"
    assert not trace.exists()
