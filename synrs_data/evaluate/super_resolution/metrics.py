"""Metrics by ids that carry their configuration, measured together on one image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import RecipeError
from synrs_data.evaluate.super_resolution import opensr
from synrs_data.evaluate.super_resolution.fidelity import psnr, ssim
from synrs_data.evaluate.super_resolution.iqa import IqaMetric, check_name

Direction = Literal["higher", "lower"]

_ID = re.compile(
    r"(?:(?P<ours>psnr|ssim)-(?P<channel>y|rgb)|pyiqa:(?P<iqa>[^@\s]+))(?:@crop(?P<border>[1-9][0-9]{0,2}))?"
    r"|opensr-(?P<opensr>[a-z]+)"
)

_FIX = (
    "write psnr-y, ssim-y, psnr-rgb or ssim-rgb, or pyiqa:NAME, each with @cropN for a border of N pixels that is cut "
    f"off, or one of {', '.join(f'opensr-{name}' for name in opensr.DIRECTIONS)}"
)


@dataclass(frozen=True, slots=True)
class MetricId:
    """A metric as benchmarks name it.

    | id | what |
    |---|---|
    | `psnr-y@crop4`, `psnr-rgb` | `fidelity.psnr` on luma or RGB, 4 or no pixels cut off at each side |
    | `ssim-y@crop4`, `ssim-rgb` | `fidelity.ssim` |
    | `pyiqa:lpips@crop4` | a metric of pyiqa by its name |
    | `opensr-hallucination` | one of `opensr.DIRECTIONS` |

    Attributes:
        text: The id.
        family: "psnr", "ssim", "pyiqa" or "opensr".
        name: "y" or "rgb"; pyiqa's name; the measure of opensr.
        border: Pixels that are cut off at each side.
    """

    text: str
    family: str
    name: str
    border: int

    @classmethod
    def parse(cls, text: str) -> MetricId:
        """Return the metric of an id.

        Raises:
            RecipeError: There is none.
        """
        found = _ID.fullmatch(text)
        if found is None or (found["opensr"] or "spatial") not in opensr.DIRECTIONS:
            raise RecipeError(f"'{text}' is no metric of super-resolution", where="metrics", fix=_FIX)
        border = int(found["border"] or 0)
        if found["ours"]:
            return cls(text, found["ours"], found["channel"], border)
        if found["iqa"]:
            return cls(text, "pyiqa", found["iqa"], border)
        return cls(text, "opensr", found["opensr"], opensr.BORDER)


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """What a result says of a metric.

    Attributes:
        id: As the benchmark names it.
        direction: Which values are better.
        unit: "dB", "degrees", "LR pixels"; empty for numbers without one.
        configuration: Everything that decides a value.
    """

    id: str
    direction: Direction
    unit: str
    configuration: Mapping[str, Any]


class MetricSet:
    """Metrics that are measured on every image.

    Args:
        ids: See `MetricId`.
        device: Where those of pyiqa run.

    Attributes:
        ids: As they were given.

    Raises:
        RecipeError: An id is unknown or comes twice.
        MissingExtraError: pyiqa is not installed and asked for.
        UserError: The weights of one are not here and cannot be fetched.
    """

    def __init__(self, ids: Sequence[str], device: str = "cpu") -> None:
        self.ids = tuple(ids)
        self._parsed = tuple(MetricId.parse(text) for text in ids)
        if not ids:
            raise RecipeError("there are no metrics", where="metrics", fix=_FIX)
        if repeated := sorted({text for text in self.ids if self.ids.count(text) > 1}):
            raise RecipeError(f"the metric {repeated[0]} appears twice", where="metrics", fix="take one out")
        wanted = [metric for metric in self._parsed if metric.family == "pyiqa"]
        for metric in wanted:
            # All names before the first weights: a wrong one is told before anything is fetched.
            check_name(metric.name)
        self._iqa = {each.text: IqaMetric(each.name, each.border, device) for each in wanted}

    def records(self) -> list[MetricRecord]:
        """Return what a result says of each."""
        return [self._record(metric) for metric in self._parsed]

    def measure(
        self, low: NDArray[np.uint8], image: NDArray[np.uint8], high: NDArray[np.uint8]
    ) -> dict[str, float]:
        """Return the value of each metric by id, NaN where it is not defined for these images.

        Args:
            low: The image that was made larger, (height, width, 3), 0 to 255.
            image: What became of it, (height * scale, width * scale, 3).
            high: What it should have become, of the same shape.

        Raises:
            UserError: The images do not fit each other, or are too small.
        """
        shares: dict[str, float] = {}
        if any(metric.family == "opensr" for metric in self._parsed):
            shares = opensr.measures(low, image, high)
        found = {}
        for metric in self._parsed:
            if metric.family == "opensr":
                found[metric.text] = shares[metric.name]
            elif metric.family == "pyiqa":
                found[metric.text] = self._iqa[metric.text].measure(image, high)
            else:
                measure = psnr if metric.family == "psnr" else ssim
                found[metric.text] = measure(image, high, on_luma=metric.name == "y", border=metric.border)
        return found

    def _record(self, metric: MetricId) -> MetricRecord:
        if metric.family == "pyiqa":
            iqa = self._iqa[metric.text]
            direction: Direction = "lower" if iqa.lower_is_better else "higher"
            return MetricRecord(metric.text, direction, "", iqa.configuration())
        if metric.family == "opensr":
            return MetricRecord(
                metric.text,
                "lower" if opensr.DIRECTIONS[metric.name] == "lower" else "higher",
                {"spectral": "degrees", "spatial": "LR pixels"}.get(metric.name, ""),
                {
                    "follows": "opensr-test 1.3.3",
                    "crop": opensr.BORDER,
                    "distance": "nd",
                    "aggregation": "pixel",
                    "score": opensr.SCORE,
                    "temperature": opensr.TEMPERATURE,
                    "threshold": opensr.QUANTILE,
                    "harmonisation": "histogram, shift",
                },
            )
        color = "BT.601 luma, 16 to 235" if metric.name == "y" else "RGB"
        own: dict[str, Any] = {"color": color, "crop": metric.border, "range": 255}
        if metric.family == "psnr":
            return MetricRecord(metric.text, "higher", "dB", own | {"epsilon": 1e-8, "rounded": False})
        rounded = metric.name == "y"
        return MetricRecord(
            metric.text, "higher", "", own | {"window": 11, "sigma": 1.5, "rounded": rounded, "clipped": True}
        )
