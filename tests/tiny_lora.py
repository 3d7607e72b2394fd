"""LoRAs of random weights for the tiny pipeline in the formats of trainers, and the same merged by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

RANK = 2
WEIGHTS = {"unet": "diffusion_pytorch_model.safetensors", "text_encoder": "model.safetensors"}
TARGETS = {
    "unet": ("attn1.to_q", "attn2.to_k", "attn2.to_out.0", "ff.net.2", "conv1", "conv_shortcut", "linear_1"),
    "text_encoder": ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1"),
}
"""Ends of the names of the layers that are changed: linear ones, and convolutions of sizes 3 and 1."""

OLD = {"unet": ("lora.down", "lora.up"), "text_encoder": ("lora_linear_layer.down", "lora_linear_layer.up")}
"""What diffusers' training scripts call A and B, by component."""

Format = Literal["diffusers", "old", "kohya"]
Pairs = dict[str, tuple[Any, Any]]
"""Matrices A and B of each layer, by component and name."""


def tiny_pairs(model: Path, *, parts: tuple[str, ...] = ("unet", "text_encoder"), seed: int = 5) -> Pairs:
    """Return random matrices for some layers of a pipeline, large enough to be seen."""
    import torch
    from safetensors.torch import load_file

    noise = torch.Generator().manual_seed(seed)
    pairs: Pairs = {}
    for part in parts:
        for name, weight in sorted(load_file(model / part / WEIGHTS[part]).items()):
            layer = name.removesuffix(".weight").removeprefix("text_model.")
            if name.endswith(".weight") and layer.endswith(TARGETS[part]):
                # Of a convolution A has its kernel, and B one of size 1.
                inner, ones = tuple(weight.shape[1:]), (1,) * (weight.ndim - 2)
                down = torch.randn((RANK, *inner), generator=noise) * 0.5
                pairs[f"{part}.{layer}"] = (
                    down,
                    torch.randn((weight.shape[0], RANK, *ones), generator=noise) * 0.5,
                )
    assert pairs
    return pairs


def tensors_of(
    pairs: Pairs, form: Format = "diffusers", alphas: dict[str, float] | None = None
) -> dict[str, Any]:
    """Return the tensors of a LoRA's file as a trainer names them; alphas are kohya-ss's alone."""
    import torch

    tensors: dict[str, Any] = {}
    for layer, (down, up) in pairs.items():
        part, _, name = layer.partition(".")
        inside = f"text_model.{name}" if part == "text_encoder" else name
        if form == "kohya":
            prefix = ("lora_unet_" if part == "unet" else "lora_te_") + inside.replace(".", "_")
            tensors |= {f"{prefix}.lora_down.weight": down, f"{prefix}.lora_up.weight": up}
            if alphas:
                tensors[f"{prefix}.alpha"] = torch.tensor(alphas[layer])
        else:
            ends = ("lora_A", "lora_B") if form == "diffusers" else OLD[part]
            tensors |= {
                f"{part}.{inside}.{end}.weight": own for end, own in zip(ends, (down, up), strict=True)
            }
    return tensors


def write_lora(folder: Path, tensors: dict[str, Any], metadata: dict[str, Any] | None = None) -> Path:
    """Write a LoRA's file and return it; `metadata` is what diffusers reads of peft's configuration."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pytorch_lora_weights.safetensors"
    header = {"format": "pt"} | ({"lora_adapter_metadata": json.dumps(metadata)} if metadata else {})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, header)
    return file


def merge_by_hand(model: Path, folder: Path, pairs: Pairs, strengths: dict[str, float]) -> Path:
    """Write a pipeline whose weights are W + strength * B A."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    for part, file in WEIGHTS.items():
        weights = load_file(folder / part / file)
        for layer, (down, up) in pairs.items():
            if layer.startswith(f"{part}."):
                inside = layer.removeprefix(f"{part}.")
                name = next(key for key in weights if key.removeprefix("text_model.") == f"{inside}.weight")
                change = torch.einsum("or,r...->o...", up.flatten(1), down)
                weights[name] = weights[name] + strengths[layer] * change
        save_file(weights, folder / part / file, {"format": "pt"})
    return folder
