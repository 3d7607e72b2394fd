"""Times, peak memory and arithmetic of a device, for the benchmarks of sampling."""

from __future__ import annotations

import ctypes
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch.utils.flop_counter import FlopCounterMode

Run = Callable[[], Any]


def timed(run: Run, device: str) -> float:
    """Return the seconds of a call, the device's work included."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def in_turns(runs: dict[str, Run], device: str, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each call, alternatives in turns, so that a slow minute of the machine hits all.

    Each runs once before, untimed.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(timed(run, device))
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, base: str) -> dict[str, float]:
    """Return how many times as fast as `base` a call is: median, least and most of the repeats."""
    return spread([slow / fast for slow, fast in zip(seconds[base], seconds[name], strict=True)])


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and most."""
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def peak_mib(device: str) -> float:
    """Return the peak memory of the device, or of this process on the CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth_mib(run: Run, device: str) -> tuple[float, float]:
    """Return the memory that is held before a call, and by how much its peak is above that, in MiB.

    On the CPU it is the resident memory of this process (Linux with glibc). Measure one call a process: what the
    allocator keeps of an earlier one would be counted as held.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated() / 2**20
        run()
        return held, torch.cuda.max_memory_allocated() / 2**20 - held
    # What was freed before goes back to the system first.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    held = _resident("VmRSS")
    run()
    return held, _resident("VmHWM") - held


def _resident(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {key}")


def matrix_rate(device: str, dtype: torch.dtype, side: int) -> float:
    """Return the TFLOP/s of a square matrix product, the median of ten."""
    a = torch.randn(side, side, device=device, dtype=dtype)
    times = [timed(lambda: a @ a, device) for _ in range(12)][2:]
    return 2 * side**3 / statistics.median(times) / 1e12


def unet_flops(unet: UNet2DConditionModel, rows: int, side: int, tokens: int) -> int:
    """Return the floating-point operations of one call, two for each multiplication with addition.

    Counted on shapes alone, with attention as plain matrix products: the counter does not know every fused kernel.
    """
    with torch.device("meta"):
        shapes = UNet2DConditionModel.from_config(unet.config)
        shapes.set_attn_processor(AttnProcessor())
        latents = torch.empty(rows, shapes.config.in_channels, side, side)
        context = torch.empty(rows, tokens, shapes.config.cross_attention_dim)
        step = torch.empty(rows)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(latents, step, context)
    return int(counter.get_total_flops())
