"""`quality`: is the image flat, clipped or empty? And any no-reference metric of pyiqa by name."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.filters.base import Batch, Scores
from synrs_data.recipe import Threshold
from synrs_data.resources import suggestion
from synrs_data.vocabulary import LabelSet


class QualityOptions(BaseModel):
    """Options of `quality`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = Field(
        (),
        description="No-reference metrics of pyiqa (extra `iqa`, licensed for non-commercial use); `piqe` and "
        "`entropy` need no download.",
    )


class Quality:
    """Entropy, clipping and flatness of an image, and pyiqa metrics."""

    Options: ClassVar[type[BaseModel]] = QualityOptions
    columns: Mapping[str, str] = {
        "quality_entropy": "Shannon entropy of the 256 grey levels in bits, 0 to 8",
        "quality_clipped": "share of pixels at 0 or 255 in every channel, 0 to 1",
        "quality_contrast": "standard deviation of grey levels, 0 to 127.5",
    }

    def __init__(self, options: QualityOptions, labels: LabelSet) -> None:
        self._options = options
        self._metrics: dict[str, Any] | None = None
        if options.metrics:
            _check_metrics(options.metrics)
        self.columns = dict(type(self).columns) | {
            f"quality_{name.replace('-', '_')}": f"{name} of pyiqa" for name in options.metrics
        }

    def thresholds(self) -> dict[str, Threshold]:
        """Reject what no satellite sees: one flat colour, or a fifth of the image burnt out."""
        return {"quality_entropy": Threshold(min=1.5), "quality_clipped": Threshold(max=0.2)}

    def digest(self) -> str:
        """Return nothing: no file of ours decides these scores."""
        return ""

    def score(self, batch: Batch) -> Scores:
        """Return the measures of each image."""
        greys = [_grey(image) for image in batch.images]
        scores: Scores = {
            "quality_entropy": [_entropy(grey) for grey in greys],
            "quality_clipped": [_clipped(image) for image in batch.images],
            "quality_contrast": [float(grey.std()) for grey in greys],
        }
        for name, metric in self._load(batch.device).items():
            scores[f"quality_{name.replace('-', '_')}"] = _measure(metric, batch)
        return scores

    def _load(self, device: str) -> dict[str, Any]:
        if self._metrics is None:
            import pyiqa

            self._metrics = {}
            for name in self._options.metrics:
                try:
                    self._metrics[name] = pyiqa.create_metric(name, device=device)
                except OSError as error:
                    raise UserError(
                        f"the weights of the metric {name} cannot be fetched: {error}",
                        where="filters, quality.metrics",
                        fix="choose `piqe` or `entropy`, which need none, or run once with a network",
                    ) from error
        return self._metrics


def _check_metrics(names: tuple[str, ...]) -> None:
    if importlib.util.find_spec("pyiqa") is None:
        raise MissingExtraError(f"the metric {names[0]}", "iqa")
    import pyiqa

    known = list(pyiqa.list_models(metric_mode="NR"))
    for name in names:
        if name not in known:
            raise RecipeError(
                f"'{name}' is no no-reference metric of pyiqa",
                where="filters, quality.metrics",
                fix=suggestion(name, known, what="metric"),
            )


def _measure(metric: Any, batch: Batch) -> list[float]:
    import torch

    values = []
    with torch.inference_mode():
        for image in batch.images:
            pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255
            value = float(metric(pixels.to(batch.device)))
            # A metric such as PIQE divides by the number of active blocks; a flat image has none, and is the worst.
            values.append(value if np.isfinite(value) else _worst(metric))
    return values


def _worst(metric: Any) -> float:
    """Return the worst end of a metric's range, which pyiqa gives as text, such as "0, 100" or "~0, ~10"."""
    ends = [float(end) for end in re.findall(r"-?[0-9]+(?:\.[0-9]+)?", str(metric.score_range))]
    if metric.lower_better:
        return max(ends, default=100.0)
    return min(ends, default=0.0)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    # Luma weights of ITU-R BT.601.
    grey: NDArray[np.float64] = np.rint(image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
    return grey


def _entropy(grey: NDArray[np.float64]) -> float:
    shares = np.bincount(grey.astype(np.int64).ravel(), minlength=256) / grey.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _clipped(image: NDArray[np.uint8]) -> float:
    return float(((image == 0).all(axis=2) | (image == 255).all(axis=2)).mean())
