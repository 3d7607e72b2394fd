"""Geo-metadata of a row: ranges, dates, and the text that a sample carries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synrs_data.errors import CaptionError
from synrs_data.geo import GEO_FIELDS, GeoRecord, geo_record


def test_texts_of_a_csv_row_become_numbers() -> None:
    row = {
        "lon": "-71.1",
        "lat": "42",
        "gsd_m": "10",
        "cloud": "0.25",
        "year": "2020",
        "month": "6",
        "day": "1",
    }
    assert geo_record(row, where="x:2") == GeoRecord(-71.1, 42.0, 10.0, 0.25, 2020, 6, 1)


def test_empty_values_are_unknown_and_nothing_is_an_empty_record() -> None:
    assert geo_record({"lon": "", "lat": None}, where="x:2") == GeoRecord()
    assert geo_record({}, where="x:2") == GeoRecord()


def test_zero_is_a_value_and_not_unknown() -> None:
    assert geo_record({"lon": 0, "cloud": "0"}, where="x:2") == GeoRecord(lon=0.0, cloud=0.0)


@pytest.mark.parametrize("date", ["2019-03-07", "2019-3-7", "2019-03-07T10:11:12Z"])
def test_a_date_stands_for_year_month_and_day(date: str) -> None:
    assert geo_record({"date": date}, where="x:2") == GeoRecord(year=2019, month=3, day=7)


def test_a_year_of_its_own_goes_before_the_one_of_a_date() -> None:
    assert geo_record({"date": "2019-03-07", "year": 2021}, where="x:2").year == 2021


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("lon", -180, 180),
        ("lat", -90, 90),
        ("cloud", 0, 1),
        ("year", 1900, 2200),
        ("month", 1, 12),
        ("day", 1, 31),
    ],
)
def test_the_ends_of_a_range_are_inside_and_one_beyond_is_refused(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(geo_record({name: value}, where="x:2"), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(CaptionError, match=f"{name} is .*outside") as caught:
            geo_record({name: value}, where="captions.csv:2")
        assert caught.value.where == "captions.csv:2"


@pytest.mark.parametrize(
    "values",
    [
        {"lon": "east"},
        {"lat": [1]},
        {"year": "nan"},
        {"year": float("inf")},
        {"lon": float("nan")},
        {"gsd_m": 0},
        {"date": "2019"},
        {"date": "07.03.2019"},
        {"date": "2019-02-30"},
        {"date": "2019-13-01"},
        {"year": 2019, "month": 4, "day": 31},
        {"month": 5.5},
        {"day": "3.9"},
    ],
    ids=str,
)
def test_what_is_no_place_or_day_is_refused_with_its_line(values: dict[str, Any]) -> None:
    with pytest.raises(CaptionError) as caught:
        geo_record(values, where="captions.csv:9")
    assert str(caught.value).startswith("captions.csv:9: ")


def test_the_29th_of_february_depends_on_the_year() -> None:
    assert geo_record({"date": "2020-02-29"}, where="x").day == 29
    assert geo_record({"month": 2, "day": 29}, where="x").day == 29
    with pytest.raises(CaptionError):
        geo_record({"date": "2021-02-29"}, where="x")


def test_the_json_of_a_record_holds_known_values_alone() -> None:
    assert GeoRecord().to_json() == "{}"
    text = GeoRecord(lon=8.5, cloud=0.0, year=2020).to_json()
    assert text == '{"lon":8.5,"cloud":0.0,"year":2020}'
    assert GeoRecord(**json.loads(text)) == GeoRecord(lon=8.5, cloud=0.0, year=2020)


def test_the_columns_of_a_captions_file_are_the_fields_and_a_date() -> None:
    assert GEO_FIELDS == ("lon", "lat", "gsd_m", "cloud", "year", "month", "day", "date")
