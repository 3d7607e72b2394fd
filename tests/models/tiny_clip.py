"""Architectures of open_clip that are tiny, and random weights for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def add_architectures(folder: Path) -> None:
    """Let open_clip know `tiny`, `tiny-quickgelu`, `tiny-48` of more pixels, and `tiny-siglip`."""
    import open_clip

    vision = SMALL["vision_cfg"]
    for name, changes in {
        "tiny": {},
        "tiny-quickgelu": {"quick_gelu": True},
        "tiny-48": {"vision_cfg": vision | {"image_size": 48}},
        "tiny-siglip": {"init_logit_bias": -10},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(SMALL | changes))
    open_clip.add_model_config(folder)


def random_weights(architecture: str = "tiny", seed: int = 0) -> dict[str, Any]:
    """Return the state dict of a random model; the activation leaves no trace in it."""
    import open_clip
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state: dict[str, Any] = open_clip.create_model(architecture).state_dict()
    return state
