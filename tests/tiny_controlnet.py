"""A ControlNet of random weights for the tiny pipeline, and control maps, written to folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.real_folder import paint

TINY: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": 8,
    "attention_head_dim": 4,
    # One width is no stride: the VAE of the tiny pipeline makes nothing smaller either.
    "conditioning_embedding_out_channels": (8,),
}


def randomise(module: Any, seed: int = 1) -> None:
    """Give every weight a random value: a new ControlNet ends in zeros, and would change nothing."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)


def write_tiny_controlnet(folder: Path, **changes: Any) -> Path:
    """Write a stock ControlNet whose every weight is random."""
    from diffusers import ControlNetModel

    controlnet = ControlNetModel(**TINY | changes)
    randomise(controlnet)
    controlnet.save_pretrained(folder)
    return folder


def write_maps(folder: Path, count: int = 3, side: int = 16) -> Path:
    """Write `count` maps, `N.png`, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(paint(number, side)).save(folder / f"{number}.png")
    return folder


def write_mask(path: Path, indices: Any) -> Path:
    """Write a mask of class indices as a PNG of one channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(indices, dtype=np.uint8)).save(path)
    return path
