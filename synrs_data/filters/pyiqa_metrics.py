"""Metrics of pyiqa by name, for filters that have an option `metrics`.

pyiqa is the extra `iqa`; it is licensed for non-commercial use (PolyForm Noncommercial 1.0.0).
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.resources import suggestion

Mode = Literal["NR", "FR"]

_KIND: dict[Mode, str] = {"NR": "no-reference", "FR": "full-reference"}
_NEED_NOTHING: dict[Mode, str] = {"NR": "`piqe` or `entropy`", "FR": "`ssim`, `gmsd` or `fsim`"}


class Metrics:
    """Metrics of one mode, loaded when they are first used.

    Args:
        names: pyiqa's names.
        mode: "NR" for metrics of one image, "FR" for those of an image and its reference.
        filter_name: The filter whose option `metrics` they are.
        prefix: What the names of their columns begin with.

    Raises:
        MissingExtraError: pyiqa is not installed.
        RecipeError: One is no metric of this mode.
    """

    def __init__(self, names: Sequence[str], mode: Mode, filter_name: str, prefix: str) -> None:
        self._names = tuple(names)
        self._mode = mode
        self._where = f"filters, {filter_name}.metrics"
        self._prefix = prefix
        self._loaded: dict[str, Any] | None = None
        if names:
            self._check()

    def columns(self) -> dict[str, str]:
        """Return name and meaning of each column."""
        return {self._column(name): f"{name} of pyiqa" for name in self._names}

    def score(
        self, images: Sequence[NDArray[np.uint8]], references: Sequence[NDArray[np.uint8]], device: str
    ) -> dict[str, list[float]]:
        """Return every column.

        Args:
            images: RGB images of 0 to 255.
            references: One each for "FR", none for "NR".
            device: Where the metrics run.

        Raises:
            UserError: A metric's weights cannot be fetched, or it cannot score images of this size.
        """
        pairs = [(image,) for image in images] if self._mode == "NR" else zip(images, references, strict=True)
        inputs = list(pairs)
        return {
            self._column(name): [self._measure(name, metric, pair, device) for pair in inputs]
            for name, metric in self._load(device).items()
        }

    def _column(self, name: str) -> str:
        return f"{self._prefix}_{name.replace('-', '_')}"

    def _check(self) -> None:
        if importlib.util.find_spec("pyiqa") is None:
            raise MissingExtraError(f"the metric {self._names[0]}", "iqa")
        import pyiqa

        known = list(pyiqa.list_models(metric_mode=self._mode))
        for name in self._names:
            if name not in known:
                raise RecipeError(
                    f"'{name}' is no {_KIND[self._mode]} metric of pyiqa",
                    where=self._where,
                    fix=suggestion(name, known, what="metric"),
                )

    def _load(self, device: str) -> dict[str, Any]:
        if self._loaded is None:
            if not self._names:
                self._loaded = {}
                return self._loaded
            import pyiqa

            loaded = {}
            for name in self._names:
                try:
                    loaded[name] = pyiqa.create_metric(name, device=device)
                except OSError as error:
                    raise UserError(
                        f"the weights of the metric {name} cannot be fetched: {error}",
                        where=self._where,
                        fix=f"choose {_NEED_NOTHING[self._mode]}, which need none, or run once with a network",
                    ) from error
            self._loaded = loaded
        return self._loaded

    def _measure(self, name: str, metric: Any, pair: Sequence[NDArray[np.uint8]], device: str) -> float:
        import torch

        tensors = [
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255
            for image in pair
        ]
        try:
            with torch.inference_mode():
                value = float(metric(*(pixels.to(device) for pixels in tensors)))
        except (AssertionError, RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            height, width = pair[0].shape[:2]
            raise UserError(
                f"the metric {name} cannot score images of {width} x {height} pixels: {error}",
                where=self._where,
                fix="take the metric out, or make larger images",
            ) from error
        return (
            value
            if math.isfinite(value)
            else _end(metric, best=self._mode == "FR" and _is_best(metric, value))
        )


def _is_best(metric: Any, value: float) -> bool:
    """Return whether an infinite value is at the good end, as the PSNR of two equal images is."""
    return not math.isnan(value) and (value < 0) == bool(metric.lower_better)


def _end(metric: Any, *, best: bool) -> float:
    """Return an end of a metric's range, which pyiqa gives as text, such as "0, 100" or "~0, ~10".

    A metric such as PIQE divides by the number of active blocks; a flat image has none, and is the worst.
    """
    ends = [float(end) for end in re.findall(r"-?[0-9]+(?:\.[0-9]+)?", str(metric.score_range))]
    if bool(metric.lower_better) != best:
        return max(ends, default=100.0)
    return min(ends, default=0.0)
