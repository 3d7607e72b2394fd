"""What a shard's bytes depend on beside the recipe: device class and package versions."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from synrs_data import __version__

_PACKAGES = ("torch", "diffusers", "transformers", "open_clip_torch", "numpy", "pillow", "polars")


def device_class(device: str) -> str:
    """Return the class of a device, within which bytes are promised: "cpu AVX2", "NVIDIA H200"."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"


@cache
def environment(device: str) -> dict[str, str]:
    """Return device class and versions as they enter done markers and the manifest."""
    found = {"device": device_class(device), "python": platform.python_version(), "synrs-data": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def make_deterministic() -> None:
    """Fix what changes the last bits of a result: one thread (two differ by 7e-7), no autotuned kernels."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def choose_devices(device: str, workers: int | None, pending: int) -> list[str]:
    """Return the device of each worker: one worker a GPU, or `workers` on the CPU.

    Args:
        device: "auto", "cpu" or "cuda".
        workers: Wanted number of workers; None for one a GPU or one a CPU core.
        pending: Shards to make; more workers than that would idle.

    Raises:
        UserError: "cuda" is asked for and there is none.
    """
    from synrs_data.errors import UserError

    gpus = 0
    if device != "cpu":
        import torch

        gpus = torch.cuda.device_count()
    if device == "cuda" and not gpus:
        raise UserError("there is no CUDA device", fix="use `--device cpu`, or see `synrs-data doctor`")
    count = workers or gpus or len(os.sched_getaffinity(0))
    count = max(1, min(count, pending))
    return [f"cuda:{i % gpus}" if gpus else "cpu" for i in range(count)]
