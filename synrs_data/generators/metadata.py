"""From a geo-record to the numbers that DiffusionSat and Text2Earth were trained with: arithmetic, and no torch."""

from __future__ import annotations

import math
from dataclasses import asdict

from synrs_data.errors import CaptionError
from synrs_data.geo import GeoRecord

DIFFUSIONSAT_FIELDS = ("lon", "lat", "gsd_m", "cloud", "year", "month", "day")
"""Order of the seven numbers (samar-khanna/DiffusionSat, diffusionsat/data_util.py)."""

_SCALE = 1000.0
# Field -> lowest and highest value that is taken, what is added, and what is divided by (the same file; GSD is divided
# by 1 m there, though table 1 of Khanna et al., ICLR 2024, lets it run to 10 m, which is therefore its highest here).
_DIFFUSIONSAT: dict[str, tuple[float, float, float, float]] = {
    "lon": (-180, 180, 180, 360),
    "lat": (-90, 90, 90, 180),
    "gsd_m": (0.001, 10, 0, 1),
    "cloud": (0, 1, 0, 1),
    "year": (1980, 2100, -1980, 120),
    "month": (1, 12, 0, 12),
    "day": (1, 31, 0, 31),
}

LEVELS = (10, 18)
"""Coarsest and finest level of Google's zoom that Text2Earth knows: 128 m and 0.5 m a pixel."""

UNKNOWN_LEVEL = 0


def diffusionsat_numbers(geo: GeoRecord) -> tuple[float, ...]:
    """Return DiffusionSat's seven normalised numbers, in the order of `DIFFUSIONSAT_FIELDS`.

    Each is `(value + offset) / span * 1000`; an unknown one is 0, as in training, where fields were dropped to 0.
    GSD is that of a generated pixel: the original one is scaled by (original pixels / generated pixels) before.

    Args:
        geo: Degrees, metres a pixel, a share of cloud, and a date.

    Raises:
        CaptionError: A value is outside what DiffusionSat's normalisation was made for.
    """
    values = asdict(geo)
    return tuple(_diffusionsat_number(name, values[name]) for name in DIFFUSIONSAT_FIELDS)


def _diffusionsat_number(name: str, value: float | None) -> float:
    if value is None:
        return 0.0
    low, high, offset, span = _DIFFUSIONSAT[name]
    _check("DiffusionSat", name, value, low, high)
    return (value + offset) / span * _SCALE


def text2earth_level(geo: GeoRecord) -> int:
    """Return Text2Earth's level of Google's zoom, 10 to 18; 0 if the GSD is unknown.

    A level L is `2 ** (17 - L)` metres a pixel (Chen-Yang-Liu/Text2Earth, README); the nearest one in the
    logarithm is taken, and the coarsest or finest for what lies beyond.

    Raises:
        CaptionError: The GSD is no positive number.
    """
    if geo.gsd_m is None:
        return UNKNOWN_LEVEL
    _check("Text2Earth", "gsd_m", geo.gsd_m, 0.001, 100_000)
    return min(max(round(17 - math.log2(geo.gsd_m)), LEVELS[0]), LEVELS[1])


def _check(model: str, name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise CaptionError(
            f"{name} is {value}; {model} takes {low} to {high}",
            where="geo-metadata",
            fix="correct the caption strategy's `geo` or the captions file, or leave the value out: unknown is allowed",
        )
