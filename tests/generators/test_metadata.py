"""The numbers that DiffusionSat and Text2Earth get are those that their authors trained with."""

from __future__ import annotations

import math
from typing import Any

import pytest

from synrs_data.errors import CaptionError
from synrs_data.generators.metadata import DIFFUSIONSAT_FIELDS, diffusionsat_numbers, text2earth_level
from synrs_data.geo import GeoRecord

# The vector of the first example in the authors' notebook, with the place and day that it decodes to: the Gold Coast.
GOLD_COAST = GeoRecord(lon=153.316728, lat=-27.862002, gsd_m=0.4114541, cloud=0.0, year=2017, month=2, day=11)
GOLD_COAST_NUMBERS = [925.8798, 345.2111, 411.4541, 0.0, 308.3333, 166.6667, 354.8387]

# The second example, with its offsets, which the notebook forgets: the year would be 16791.67.
DELHI = GeoRecord(lon=76.571, lat=28.697, gsd_m=0.92942, cloud=0.07657, year=2015, month=2, day=27)
DELHI_NUMBERS = [712.70, 659.43, 929.42, 76.57, 291.67, 166.67, 870.97]


@pytest.mark.parametrize(
    ("geo", "numbers", "tolerance"), [(GOLD_COAST, GOLD_COAST_NUMBERS, 1e-3), (DELHI, DELHI_NUMBERS, 6e-3)]
)
def test_diffusionsat_gets_the_published_vectors(
    geo: GeoRecord, numbers: list[float], tolerance: float
) -> None:
    assert diffusionsat_numbers(geo) == pytest.approx(numbers, abs=tolerance)


def test_nothing_known_is_seven_zeros() -> None:
    assert diffusionsat_numbers(GeoRecord()) == (0.0,) * 7


@pytest.mark.parametrize("position", range(7))
def test_one_unknown_value_is_zero_and_leaves_the_others(position: int) -> None:
    from dataclasses import replace

    found = diffusionsat_numbers(replace(DELHI, **{DIFFUSIONSAT_FIELDS[position]: None}))
    whole = diffusionsat_numbers(DELHI)
    assert found[position] == 0.0
    assert found[:position] + found[position + 1 :] == whole[:position] + whole[position + 1 :]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (
            {"lon": -180, "lat": -90, "cloud": 0, "year": 1980},
            {"lon": 180, "lat": 90, "cloud": 1, "year": 2100, "month": 12, "day": 31, "gsd_m": 1},
        )
    ],
)
def test_the_ends_of_every_range_are_0_and_1000(low: dict[str, Any], high: dict[str, Any]) -> None:
    assert diffusionsat_numbers(GeoRecord(**low)) == (0.0,) * 7
    assert diffusionsat_numbers(GeoRecord(**high)) == pytest.approx([1000.0] * 7)


@pytest.mark.parametrize(
    "values",
    [
        {"lon": 180.1},
        {"lon": -181.0},
        {"lat": 90.5},
        {"lat": -91.0},
        {"gsd_m": 0.0},
        {"gsd_m": -1.0},
        {"gsd_m": 30.0},
        {"cloud": 7.6},
        {"year": 1979},
        {"year": 2101},
        {"month": 0},
        {"month": 13},
        {"day": 0},
        {"day": 32},
        {"lon": math.nan},
        {"lat": math.inf},
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_it(values: dict[str, Any]) -> None:
    with pytest.raises(CaptionError, match=f"{next(iter(values))} is .*DiffusionSat takes"):
        diffusionsat_numbers(GeoRecord(**values))


@pytest.mark.parametrize(
    ("gsd", "level"),
    [(128, 10), (64, 11), (32, 12), (16, 13), (8, 14), (4, 15), (2, 16), (1, 17), (0.5, 18)],
)
def test_text2earth_gets_the_level_of_its_table(gsd: float, level: int) -> None:
    assert text2earth_level(GeoRecord(gsd_m=gsd)) == level


@pytest.mark.parametrize(
    ("gsd", "level"),
    [(None, 0), (500.0, 10), (0.3, 18), (0.1, 18), (0.6, 18), (1.4, 17), (1.5, 16), (10, 14)],
)
def test_between_levels_the_nearest_is_taken_and_beyond_them_the_last(gsd: float | None, level: int) -> None:
    assert text2earth_level(GeoRecord(gsd_m=gsd)) == level


@pytest.mark.parametrize("gsd", [0.0, -2.0, math.nan, math.inf])
def test_a_gsd_that_is_none_is_an_error(gsd: float) -> None:
    with pytest.raises(CaptionError, match=r"gsd_m is .*Text2Earth takes"):
        text2earth_level(GeoRecord(gsd_m=gsd))
