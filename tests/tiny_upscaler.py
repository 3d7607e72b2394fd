"""Super-resolution networks of a few thousand random weights, as files that spandrel loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GROWTH = 32
"""Channels that a dense convolution adds: spandrel knows RRDBNets of 32 alone."""


def rrdb_state(features: int = 4, blocks: int = 1) -> dict[str, Any]:
    """Return the tensors of an RRDBNet of scale 4, by Real-ESRGAN's names."""
    shapes = {"conv_first": (features, 3)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for number in range(1, 6):
                shapes[f"body.{block}.rdb{dense}.conv{number}"] = (
                    features if number == 5 else GROWTH,
                    features + (number - 1) * GROWTH,
                )
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (features, features))
    shapes["conv_last"] = (3, features)
    return _state({name: (*shape, 3, 3) for name, shape in shapes.items()})


def compact_state(features: int = 8, convolutions: int = 1, scale: int = 4) -> dict[str, Any]:
    """Return the tensors of an SRVGGNetCompact, by Real-ESRGAN's names."""
    shapes: dict[str, tuple[int, ...]] = {"body.0": (features, 3, 3, 3), "body.1": (features,)}
    for number in range(convolutions):
        shapes[f"body.{2 * number + 2}"] = (features, features, 3, 3)
        shapes[f"body.{2 * number + 3}"] = (features,)
    shapes[f"body.{2 * convolutions + 2}"] = (3 * scale**2, features, 3, 3)
    return _state(shapes)


def _state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        fan = 1.0 if len(shape) == 1 else float(shape[1] * 9)
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / fan**0.5
        if len(shape) > 1:
            state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return state


def write_upscaler(path: Path, state: dict[str, Any]) -> Path:
    """Write a state as Real-ESRGAN does (`.pth`), or as safetensors."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"params_ema": state}, path)
    return path
