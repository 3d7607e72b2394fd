"""Metrics of pyiqa by name (LPIPS, DISTS, MUSIQ, ...), each with everything that decides its values.

pyiqa is the extra `iqa`; it is licensed for non-commercial use (PolyForm Noncommercial 1.0.0), its weights CC BY-NC-SA.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.evaluate.super_resolution.fidelity import cropped
from synrs_data.resources import suggestion

SEED = 123
"""Set before every image, as some metrics look at crops that they draw; pyiqa's models have this seed, unused."""


class IqaMetric:
    """One metric of pyiqa.

    Args:
        name: pyiqa's name, such as "lpips", "dists" or "clipiqa+_vitL14_512".
        border: Pixels that are cut off at each side of both images.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        MissingExtraError: pyiqa is not installed.
        RecipeError: It has no such metric of one image, or of one and its reference.
        UserError: The metric's weights are not here and cannot be fetched.
    """

    def __init__(self, name: str, border: int, device: str) -> None:
        check_name(name)
        import pyiqa

        self._name, self._border, self._device = name, border, device
        try:
            self._metric: Any = pyiqa.create_metric(name, device=device)
        except Exception as error:
            # Each metric fetches by a library of its own, whose errors have no base in common.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise UserError(
                f"the weights of the metric {name} cannot be loaded: {reason}",
                where=f"pyiqa:{name}",
                fix="run it once with a network, set TORCH_HOME to a folder that has them in hub/pyiqa, or take the "
                "metric out",
            ) from error
        self.lower_is_better = bool(self._metric.lower_better)

    def configuration(self) -> dict[str, Any]:
        """Return everything that decides a value: options, version, crop, seed, sha256 of the weights."""
        from pyiqa.default_model_configs import DEFAULT_CONFIGS

        known = DEFAULT_CONFIGS[self._name]
        return {
            "library": f"pyiqa {version('pyiqa')}",
            "name": self._name,
            "mode": known["metric_mode"],
            "options": {key: value for key, value in known["metric_opts"].items() if _plain(value)},
            "crop": self._border,
            "seed": SEED,
            "weights_sha256": self._digest(),
        }

    def measure(self, image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
        """Return the metric's value for one image.

        Args:
            image: RGB, (height, width, 3), 0 to 255.
            reference: Of the same shape; metrics of one image leave it aside.

        Raises:
            UserError: The metric cannot score images of this size, or gives no finite number.
        """
        import torch

        tensors = [
            torch.from_numpy(np.ascontiguousarray(cropped(x, self._border).transpose(2, 0, 1)))[None].float()
            / 255
            for x in (image, reference)
        ]
        used = tensors[:1] if self._metric.metric_mode == "NR" else tensors
        height, width = image.shape[:2]
        devices = [self._device] if self._device.startswith("cuda") else []
        try:
            with torch.random.fork_rng(devices=devices), torch.inference_mode():
                torch.manual_seed(SEED)
                value = float(self._metric(*(pixels.to(self._device) for pixels in used)))
        except (AssertionError, RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"the metric {self._name} cannot score images of {width} x {height} pixels: {error}",
                where=f"pyiqa:{self._name}",
                fix="take the metric out, or use larger images",
            ) from error
        return value if math.isfinite(value) else math.nan

    def _digest(self) -> str | None:
        state = self._metric.net.state_dict()
        if not state:
            return None
        found = hashlib.sha256()
        for name, tensor in sorted(state.items()):
            found.update(f"{name} {tuple(tensor.shape)}\n".encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def check_name(name: str) -> None:
    """Raise unless pyiqa is installed and has a metric of this name.

    Raises:
        MissingExtraError: pyiqa is not installed.
        RecipeError: It has no such metric of one image, or of one and its reference.
    """
    if importlib.util.find_spec("pyiqa") is None:
        raise MissingExtraError(f"the metric pyiqa:{name}", "iqa")
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    # Distances of whole sets, such as FID, have images of no pair.
    known = [
        each
        for each, values in DEFAULT_CONFIGS.items()
        if values.get("metric_mode") in ("FR", "NR") and "fid" not in each and each != "inception_score"
    ]
    if name not in known:
        raise RecipeError(
            f"pyiqa {version('pyiqa')} has no metric '{name}' of an image",
            where="metrics",
            fix=suggestion(name, known, what="metric"),
        )


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list)
