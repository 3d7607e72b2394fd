"""The pairs of a report: low resolution enlarged beside high resolution, their difference and their spectra."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.report.sheet import spread
from synrs_data.report.view import BuildFacts, number
from synrs_data.shards import Span, read_sample
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.schema import HR, LR

SHOWN = 12
"""At most so many pairs are shown, evenly spaced by key."""

GAIN = 4
"""The difference is shown so many times larger, around mid-grey."""

_SIDE = 256
_WIDTH, _HEIGHT, _FOOT = 200.0, 150.0, 18.0
_BINS = 32


@dataclass(frozen=True, slots=True)
class PairView:
    """One pair, as it is shown.

    Attributes:
        key: The sample's key.
        images: Word and data address of: LR by nearest neighbour, LR by bicubic, HR, difference.
        spectrum: Plot of the power spectra.
        details: Sizes and scores in one line.
        drawn: Name and value of all that was drawn for it.
    """

    key: str
    images: list[tuple[str, str]]
    spectrum: Markup
    details: str
    drawn: list[tuple[str, str]]


def pair_views(folder: BuildFolder, facts: BuildFacts) -> list[PairView]:
    """Return some packed pairs; none for a task without pairs.

    Raises:
        VerificationError: A packed sample cannot be read.
    """
    if facts.recipe.task != "lr-hr":
        return []
    return [_view(folder, facts, row) for row in spread(facts.packed.sort("key"), SHOWN)]


def radial_spectrum(grey: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the radially averaged power spectrum of an image, mean removed and a Hann window applied.

    Args:
        grey: (height, width), 0 to 255.

    Returns:
        Frequencies in cycles a pixel, 0 to 0.5, the middles of equal rings; and log10 of the mean power in each ring,
        linearly interpolated where a small image has no sample in it.
    """
    height, width = grey.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    mean = (grey * window).sum() / window.sum()
    power = np.abs(np.fft.fft2((grey - mean) * window)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    ring = np.minimum((radius / 0.5 * _BINS).astype(int), _BINS).ravel()
    sums = np.bincount(ring, power.ravel(), minlength=_BINS + 1)[:_BINS]
    counts = np.bincount(ring, minlength=_BINS + 1)[:_BINS]
    middles = (np.arange(_BINS) + 0.5) / _BINS * 0.5
    known = counts > 0
    return middles, np.interp(middles, middles[known], np.log10(sums[known] / counts[known] + 1e-3))


def _view(folder: BuildFolder, facts: BuildFacts, row: dict[str, Any]) -> PairView:
    fields = read_sample(folder.root / row["file"], Span(row["offset"], row["length"]))
    high, low = (PillowImage.open(io.BytesIO(fields[name])).convert("RGB") for name in (HR, LR))
    scale = high.width // low.width
    high, low = _cut(high, low, scale)
    nearest = low.resize(high.size, PillowImage.Resampling.NEAREST)
    bicubic = low.resize(high.size, PillowImage.Resampling.BICUBIC)
    difference = (np.asarray(high, dtype=np.float64) - np.asarray(bicubic)) * GAIN + 127.5
    images = [
        ("LR, nearest", nearest),
        ("LR, bicubic", bicubic),
        ("HR", high),
        (f"HR − bicubic, × {GAIN}", PillowImage.fromarray(difference.clip(0, 255).astype(np.uint8))),
    ]
    record = json.loads(fields["json"])
    drawn = json.loads(record["degradation_parameters"])
    scores = [f"{name} {number(row[name])}" for name in facts.scores]
    sizes = f"{record['lr_width']} × {record['lr_height']} from {record['width']} × {record['height']}"
    return PairView(
        key=row["key"],
        images=[(word, _address(image)) for word, image in images],
        spectrum=_spectra(high, bicubic, scale),
        details=" · ".join([sizes, *scores]),
        drawn=[
            (name, number(value) if type(value) is float else str(value)) for name, value in drawn.items()
        ],
    )


def _cut(
    high: PillowImage.Image, low: PillowImage.Image, scale: int
) -> tuple[PillowImage.Image, PillowImage.Image]:
    """Return the middle of large images, the same part of both."""
    sides = [min(side, max(1, _SIDE // scale)) for side in low.size]
    left, top = ((whole - side) // 2 for whole, side in zip(low.size, sides, strict=True))
    box = (left, top, left + sides[0], top + sides[1])
    return high.crop((scale * box[0], scale * box[1], scale * box[2], scale * box[3])), low.crop(box)


def _address(image: PillowImage.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def _spectra(high: PillowImage.Image, bicubic: PillowImage.Image, scale: int) -> Markup:
    curves = [radial_spectrum(np.asarray(image.convert("L"), dtype=np.float64)) for image in (high, bicubic)]
    low = min(values.min() for _, values in curves)
    top = max(max(values.max() for _, values in curves), low + 1e-9)
    lines = "".join(
        f'<polyline class="{kind}" points="'
        + " ".join(
            f"{_WIDTH * place / 0.5:.1f},{_HEIGHT * (top - value) / (top - low):.1f}"
            for place, value in zip(*curve, strict=True)
        )
        + '"/>'
        for kind, curve in zip(("ok", "no"), curves, strict=True)
    )
    nyquist = _WIDTH / scale
    words = escape(
        f"Power of HR and of LR enlarged by frequency; HR has {number(float(curves[0][1][-1] - curves[1][1][-1]))} "
        "decades more at the highest."
    )
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT + _FOOT:.0f}" role="img" aria-label="{words}">'
        f'<line class="axis" x1="0" x2="{_WIDTH:.0f}" y1="{_HEIGHT:.0f}" y2="{_HEIGHT:.0f}"/>'
        f'<line class="limit" x1="{nyquist:.1f}" x2="{nyquist:.1f}" y1="0" y2="{_HEIGHT:.0f}"/>{lines}'
        f'<text x="0" y="{_HEIGHT + 14:.0f}">0</text>'
        f'<text x="{_WIDTH:.0f}" y="{_HEIGHT + 14:.0f}" text-anchor="end">0.5 cycles a pixel</text></svg>'
    )
