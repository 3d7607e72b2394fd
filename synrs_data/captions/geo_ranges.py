"""Geo-metadata of captions that have none: fixed values, or values drawn from ranges.

Every caption strategy has the option `geo` of this type, and gives its book to `with_geo` at the end.
"""

from __future__ import annotations

import calendar
import math
import random
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from pydantic import Field, model_validator

from synrs_data.errors import CaptionError
from synrs_data.geo import GeoRecord, geo_record
from synrs_data.recipe import Model
from synrs_data.sample import Caption

FIELDS = tuple(field.name for field in fields(GeoRecord))
WHOLE = ("year", "month", "day")


class GeoRanges(Model):
    """A number, [low, high] with both ends included, or null for unknown, for each part of a `GeoRecord`."""

    lon: float | tuple[float, float] | None = Field(None, description="Degrees, -180 to 180.")
    lat: float | tuple[float, float] | None = Field(None, description="Degrees, -90 to 90.")
    gsd_m: float | tuple[float, float] | None = Field(
        None, description="Metres a pixel at the size that is generated; drawn evenly in the logarithm."
    )
    cloud: float | tuple[float, float] | None = Field(None, description="Share, 0 to 1.")
    year: int | tuple[int, int] | None = Field(None, description="Year.")
    month: int | tuple[int, int] | None = Field(None, description="1 to 12.")
    day: int | tuple[int, int] | None = Field(
        None, description="1 to 31; the last day of a month that is shorter."
    )

    @model_validator(mode="after")
    def _possible(self) -> GeoRanges:
        fixed = {name: value for name in FIELDS if isinstance(value := getattr(self, name), int | float)}
        try:
            geo_record(dict(fixed), where="geo")
            for name in FIELDS:
                low, high = _ends(getattr(self, name))
                if low is not None and low > high:
                    raise ValueError(f"{name}: {low} is above {high}")
                for end in (low, high):
                    geo_record({name: end}, where="geo")
        except CaptionError as error:
            raise ValueError(error.what) from error
        return self

    def fill(self, known: GeoRecord, rng: random.Random) -> GeoRecord:
        """Return a record that has what is known, and of the rest what these ranges give.

        Args:
            known: A record, possibly with unknown parts.
            rng: The only source of chance.
        """
        values: dict[str, Any] = {name: getattr(known, name) for name in FIELDS}
        for name in FIELDS:
            low, high = _ends(getattr(self, name))
            if values[name] is None and low is not None:
                if name == "day" and values["month"] is not None:
                    last = calendar.monthrange(values["year"] or 2000, values["month"])[1]
                    low, high = min(low, last), min(high, last)
                values[name] = _draw(name, low, high, rng)
        return GeoRecord(**values)


def with_geo(book: Sequence[Caption], ranges: GeoRanges | None, *, seed: int) -> list[Caption]:
    """Return a caption book whose unknown geo-metadata is drawn, each caption's from its place in the book.

    Args:
        book: Captions.
        ranges: What to draw; None leaves the book as it is.
        seed: The recipe's seed.
    """
    if ranges is None:
        return list(book)
    return [
        replace(caption, geo=ranges.fill(caption.geo, random.Random(f"{seed}/geo/{place}")))
        for place, caption in enumerate(book)
    ]


def _ends(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


def _draw(name: str, low: float, high: float, rng: random.Random) -> float | int:
    if name in WHOLE:
        return rng.randint(int(low), int(high))
    if low == high:
        return float(low)
    # GSDs of sensors and levels of web maps step by factors, so each factor of two gets the same share.
    drawn = (
        math.exp(rng.uniform(math.log(low), math.log(high))) if name == "gsd_m" else rng.uniform(low, high)
    )
    return min(max(float(f"{drawn:.6g}"), low), high)
