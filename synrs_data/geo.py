"""One neutral geo-metadata record, from which each generator makes the numbers it was trained with."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from typing import Any

from synrs_data.errors import CaptionError

_RANGES: dict[str, tuple[float, float]] = {
    "lon": (-180, 180),
    "lat": (-90, 90),
    "gsd_m": (0.001, 100_000),
    "cloud": (0, 1),
    "year": (1900, 2200),
    "month": (1, 12),
    "day": (1, 31),
}


@dataclass(frozen=True, slots=True)
class GeoRecord:
    """Where, when and how a scene was (or is imagined to be) seen; None is unknown.

    Attributes:
        lon: Longitude in degrees, -180 to 180.
        lat: Latitude in degrees, -90 to 90.
        gsd_m: Ground sample distance in metres a pixel, at the size that is generated.
        cloud: Cloud cover as a share, 0 to 1.
        year: Year of the Gregorian calendar.
        month: 1 to 12.
        day: 1 to 31.
    """

    lon: float | None = None
    lat: float | None = None
    gsd_m: float | None = None
    cloud: float | None = None
    year: int | None = None
    month: int | None = None
    day: int | None = None

    def to_json(self) -> str:
        """Return compact JSON of the known values, "{}" if none is known.

        A text keeps one fixed type in every sample; readers of WebDataset shards infer types from the
        first five samples, so a number that is sometimes unknown would be dropped or cast.
        """
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, separators=(",", ":"))


def geo_record(values: dict[str, Any], *, where: str) -> GeoRecord:
    """Return the checked record of a row of a captions file.

    Args:
        values: Any of the record's fields; empty texts and None are unknown; a `date` (YYYY-MM-DD) stands
            for year, month and day.
        where: File and line, for the message.

    Raises:
        CaptionError: A value is no number or outside its range, or the month has no such day.
    """
    values = {name: value for name, value in values.items() if value not in (None, "")}
    date = values.pop("date", None)
    try:
        if date is not None:
            year, month, day = (int(part) for part in str(date)[:10].split("-"))
            values = {"year": year, "month": month, "day": day, **values}
        whole = ("year", "month", "day")
        numbers = {name: _whole(value) if name in whole else float(value) for name, value in values.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise CaptionError(
            f"geo-metadata {values | ({'date': date} if date else {})} are no numbers",
            where=where,
            fix="give degrees, metres, a share and a date as YYYY-MM-DD, or leave the field empty",
        ) from error
    for name, value in numbers.items():
        low, high = _RANGES[name]
        if not low <= value <= high:
            raise CaptionError(
                f"{name} is {value}, outside {low} to {high}", where=where, fix="correct it or leave it empty"
            )
    record = GeoRecord(**numbers)  # type: ignore[arg-type]
    _check_day(record, where)
    return record


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError(f"{value} is no whole number")
    return number


def _check_day(record: GeoRecord, where: str) -> None:
    """Raise if the month has no such day; in an unknown year February has 29."""
    if record.month is None or record.day is None:
        return
    try:
        datetime.date(record.year or 2000, record.month, record.day)
    except ValueError as error:
        raise CaptionError(
            f"the month {record.month} of {record.year or 'any year'} has no day {record.day}",
            where=where,
            fix="correct it or leave it empty",
        ) from error


GEO_FIELDS = (*_RANGES, "date")
"""Names of the columns of a captions file that are geo-metadata."""
