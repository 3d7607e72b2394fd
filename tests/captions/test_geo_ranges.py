"""The option `geo` of every caption strategy: fixed values, ranges, and what is impossible."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synrs_data.captions.class_template import ClassTemplate, ClassTemplateOptions
from synrs_data.captions.from_file import FromFile, FromFileOptions
from synrs_data.captions.geo_ranges import GeoRanges, with_geo
from synrs_data.captions.language_enhancement import LanguageEnhancement, LanguageEnhancementOptions
from synrs_data.geo import GeoRecord, geo_record
from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet

EVERYTHING: dict[str, tuple[float, float]] = {
    "lon": (5, 15),
    "lat": (45, 55),
    "gsd_m": (0.5, 2),
    "cloud": (0, 0.2),
    "year": (2015, 2021),
    "month": (1, 12),
    "day": (1, 31),
}


def ranges(**values: Any) -> GeoRanges:
    return GeoRanges.model_validate(values)


def test_what_is_drawn_lies_in_its_range_on_a_day_that_exists() -> None:
    drawn = [ranges(**EVERYTHING).fill(GeoRecord(), random.Random(seed)) for seed in range(500)]
    for record in drawn:
        values = {name: getattr(record, name) for name in EVERYTHING}
        assert all(low <= values[name] <= high for name, (low, high) in EVERYTHING.items())
        assert geo_record(dict(values), where="drawn") == record
    assert len({record.day for record in drawn}) == 31
    assert len({record.lon for record in drawn}) > 490


def test_fixed_values_are_kept_as_they_are_and_the_rest_is_unknown() -> None:
    assert ranges(gsd_m=10, year=2020).fill(GeoRecord(), random.Random(0)) == GeoRecord(gsd_m=10.0, year=2020)


def test_each_factor_of_two_of_the_gsd_gets_the_same_share() -> None:
    drawn = [
        ranges(gsd_m=[0.5, 8]).fill(GeoRecord(), random.Random(seed)).gsd_m or 0 for seed in range(2_000)
    ]
    for low in (0.5, 1, 2, 4):
        share = sum(low <= value < 2 * low for value in drawn) / len(drawn)
        # Five standard deviations of a share of a quarter among 2,000 are 0.048.
        assert abs(share - 0.25) < 0.048


def test_what_a_caption_knows_already_is_not_drawn() -> None:
    known = GeoRecord(lon=8.5, year=2019, month=2)
    filled = ranges(**EVERYTHING).fill(known, random.Random(1))
    assert (filled.lon, filled.year, filled.month) == (8.5, 2019, 2)
    assert filled.day is not None
    assert filled.day <= 28
    assert filled.lat is not None


@pytest.mark.parametrize("year, last", [(2020, 29), (2021, 28)])
def test_the_31st_of_february_is_its_last_day(year: int, last: int) -> None:
    record = ranges(day=31).fill(GeoRecord(year=year, month=2), random.Random(0))
    assert record.day == last


def test_the_seed_and_the_place_in_the_book_decide_what_is_drawn(three_labels: LabelSet) -> None:
    book = [Caption("a", 0, "x"), Caption("a", 0, "x")]
    first = with_geo(book, ranges(**EVERYTHING), seed=1)
    assert first == with_geo(book, ranges(**EVERYTHING), seed=1)
    assert first != with_geo(book, ranges(**EVERYTHING), seed=2)
    assert first[0].geo != first[1].geo


def test_without_the_option_nothing_is_known() -> None:
    book = [Caption("a", 0, "x")]
    assert with_geo(book, None, seed=0) == book


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"gsd_m": [2, 0.5]}, "gsd_m: 2.0 is above 0.5"),
        ({"lat": [0, 91]}, "lat is 91.0, outside -90 to 90"),
        ({"cloud": 5}, "cloud is 5.0, outside 0 to 1"),
        ({"gsd_m": 0}, "gsd_m is 0.0"),
        ({"month": 2, "day": 30}, "month 2 of any year has no day 30"),
        ({"year": [2020.5, 2021]}, ""),
        ({"gsd": 10}, "gsd"),
        ({"gsd_m": [1]}, ""),
        ({"gsd_m": [1, 2, 3]}, ""),
        ({"gsd_m": "ten"}, ""),
        ({"gsd_m": True}, "true is no value"),
        ({"gsd_m": float("nan")}, ""),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ranges(**values)
    assert told in str(caught.value)


def test_ranges_survive_being_written_out() -> None:
    own = ranges(**EVERYTHING)
    assert GeoRanges.model_validate(own.model_dump(mode="json")) == own


def test_class_template_gives_every_caption_its_geo_metadata(three_labels: LabelSet) -> None:
    options = ClassTemplateOptions.model_validate({"geo": {"gsd_m": 10, "month": [1, 12]}})
    book = ClassTemplate(options).write(three_labels, seed=0)
    assert {caption.geo.gsd_m for caption in book} == {10.0}
    assert len({caption.geo.month for caption in book}) > 6
    plain = ClassTemplate(ClassTemplateOptions()).write(three_labels, seed=0)
    assert [caption.text for caption in book] == [caption.text for caption in plain]
    assert {caption.geo for caption in plain} == {GeoRecord()}


def test_language_enhancement_gives_every_caption_its_geo_metadata(three_labels: LabelSet) -> None:
    options = {"sentences_per_label": 20, "geo": {"gsd_m": [0.5, 2]}}
    book = LanguageEnhancement(LanguageEnhancementOptions.model_validate(options)).write(three_labels, seed=0)
    assert len({caption.geo.gsd_m for caption in book}) == 60
    again = LanguageEnhancement(LanguageEnhancementOptions.model_validate(options)).write(
        three_labels, seed=0
    )
    assert book == again


def test_from_file_keeps_what_a_row_says_and_draws_the_rest(tmp_path: Path, three_labels: LabelSet) -> None:
    path = tmp_path / "a.csv"
    path.write_text("caption,label,gsd_m\na river,River,3\na forest,Forest,\n")
    options = FromFileOptions.model_validate({"path": str(path), "geo": {"gsd_m": 10, "cloud": 0}})
    book = FromFile(options).write(three_labels, seed=0)
    assert [caption.geo for caption in book] == [
        GeoRecord(gsd_m=3.0, cloud=0.0),
        GeoRecord(gsd_m=10.0, cloud=0.0),
    ]


def test_geo_is_set_from_the_command_line(tmp_path: Path) -> None:
    from synrs_data.recipe_file import load_recipe

    recipe = load_recipe("quickstart", ["captions.geo.gsd_m=[5, 10]"])
    assert recipe.captions.model_extra is not None
    assert recipe.captions.model_extra["geo"]["gsd_m"] == [5.0, 10.0]
