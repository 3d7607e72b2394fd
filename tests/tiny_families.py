"""The tiny pipeline as other families are published: their configurations, tensors, file formats and folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

SAT_TENSORS = 28
"""Tensors of a SatUNet that a stock UNet does not have: 4 for each of 7 numbers."""

_TIME_IN, _TIME_OUT = 8, 32
"""Widths of the tiny UNet's timestep embedding."""


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def mlp(prefix: str, seed: int) -> dict[str, Any]:
    """Return the four random tensors of one timestep embedding, large enough to be seen."""
    import torch

    noise = torch.Generator().manual_seed(seed)
    shapes = {
        "linear_1.weight": (_TIME_OUT, _TIME_IN),
        "linear_1.bias": (_TIME_OUT,),
        "linear_2.weight": (_TIME_OUT, _TIME_OUT),
        "linear_2.bias": (_TIME_OUT,),
    }
    return {f"{prefix}.{name}": torch.randn(shape, generator=noise) * 0.5 for name, shape in shapes.items()}


def metadata_tensors() -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for number in range(7):
        tensors |= mlp(f"metadata_embedding.{number}", 100 + number)
    return tensors


def as_pickle(folder: Path, name: str, target: str, tensors: dict[str, Any] | None = None) -> None:
    """Replace a component's safetensors by the `.bin` that diffusers 0.17 wrote."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / name) | (tensors or {}), folder / target)
    (folder / name).unlink()


def write_sat_pipeline(
    stock: Path, folder: Path, *, index_entry: list[str] | None = None, checkpoint: bool = False
) -> Path:
    """Write a pipeline as DiffusionSat's scripts do: `.bin` files of diffusers 0.17, old names in the VAE.

    Args:
        stock: Folder of the tiny pipeline.
        folder: Where to write.
        index_entry: What model_index.json says of the UNet; a class of the authors' package by default.
        checkpoint: Whether the SatUNet is in `checkpoint-150000/unet` and not in `unet`.
    """
    shutil.copytree(stock, folder)
    unet = folder / "unet"
    version = {"_diffusers_version": "0.17.0.dev0"}
    edit_json(unet / "config.json", **version, _class_name="SatUNet", use_metadata=True, num_metadata=7)
    weights = "diffusion_pytorch_model"
    as_pickle(unet, f"{weights}.safetensors", f"{weights}.bin", metadata_tensors())
    as_pickle(folder / "text_encoder", "model.safetensors", "pytorch_model.bin")
    as_pickle(folder / "vae", f"{weights}.safetensors", f"{weights}.bin")
    use_old_attention_names(folder / "vae" / f"{weights}.bin")
    entry = ["diffusionsat.sat_unet", "SatUNet"] if index_entry is None else index_entry
    edit_json(folder / "model_index.json", unet=entry, **version)
    if checkpoint:
        (folder / "checkpoint-500").mkdir()
        shutil.copytree(unet, folder / "checkpoint-500" / "unet")
        (folder / "checkpoint-150000").mkdir()
        unet.rename(folder / "checkpoint-150000" / "unet")
    return folder


def use_old_attention_names(file: Path) -> None:
    """Rename the VAE's attention as before diffusers 0.18."""
    import torch

    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = torch.load(file, weights_only=True)
    renamed = {}
    for key, tensor in tensors.items():
        for new, old in names.items():
            key = key.replace(f".{new}.", f".{old}.") if "attentions" in key else key
        renamed[key] = tensor
    assert renamed.keys() != tensors.keys()
    torch.save(renamed, file)


def write_text2earth_pipeline(stock: Path, folder: Path, *, inpainting: bool = False) -> Path:
    """Write a pipeline with a timestep class embedding and the authors' pipeline class in model_index.json."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(stock, folder)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file) | mlp("class_embedding", 7)
    changes: dict[str, Any] = {"class_embed_type": "timestep"}
    name = "Text2EarthDiffusionPipeline"
    if inpainting:
        import torch

        tensors["conv_in.weight"] = torch.randn(8, 9, 3, 3) * 0.2
        changes["in_channels"] = 9
        name = "Text2EarthDiffusionInpaintPipeline"
    save_file(tensors, file, {"format": "pt"})
    edit_json(folder / "unet" / "config.json", **changes, _diffusers_version="0.29.0.dev0")
    edit_json(folder / "model_index.json", _class_name=name, _diffusers_version="0.29.0.dev0")
    return folder
