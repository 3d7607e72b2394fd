"""`diffusionsat`: the sentences that DiffusionSat was trained with, each with geo-metadata."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synrs_data.captions.diffusionsat import DEFAULTS, DiffusionSat, DiffusionSatOptions
from synrs_data.captions.places import load_places, places_path
from synrs_data.errors import CaptionError, RecipeError
from synrs_data.geo import GeoRecord
from synrs_data.registry import lookup
from synrs_data.sample import Caption
from synrs_data.vocabulary import Label, LabelSet, load_label_set

LABELS = {
    "fmow": "fmow",
    "spacenet": "spacenet",
    "satlas": "satlas-points",
    "texas": "texas-housing",
    "xbd": "xbd-disasters",
}
NUMBER = r"\d+(\.\d+)?"
FORMS = {
    "fmow": r"a( fmow)? satellite image of a [a-z -]+( in [^,]+(, [^,]+)*)?",
    "spacenet": rf"a( spacenet)? satellite image of (\d+ buildings covering an area of {NUMBER} squared meters"
    rf"|roads of length {NUMBER} meters|no roads)( in [A-Z][a-z]+)?",
    "satlas": r"a( satlas)? satellite image of \d+ [a-z ]+(in the (top|bottom) (left|right)"
    r"(, \d+ [a-z ]+ in the (top|bottom) (left|right)){0,3})?",
    "texas": rf"a( satlas)? satellite image of houses( built in \d{{4}})?( covering {NUMBER} acres)?",
    "xbd": r"a( fmow)? satellite image (before|after) being affected by a [a-z]+ natural disaster",
}


def book(labels: LabelSet, seed: int = 0, **options: Any) -> list[Caption]:
    return DiffusionSat(DiffusionSatOptions.model_validate(options)).write(labels, seed=seed)


def label_set(*names: str) -> LabelSet:
    labels = tuple(Label(name=name, phrase=name.replace("_", " ")) for name in names)
    return LabelSet(name="own", title="Own", source="this test", labels=labels)


@pytest.mark.parametrize("dataset", LABELS)
def test_captions_have_the_form_that_was_published(dataset: str) -> None:
    captions = book(load_label_set(LABELS[dataset]), dataset=dataset, captions_per_label=50)
    strange = [caption.text for caption in captions if not re.fullmatch(FORMS[dataset], caption.text)]
    assert not strange


def test_without_dropping_the_captions_are_the_published_ones_word_for_word() -> None:
    airport = label_set("airport_hangar")
    [caption] = book(airport, drop=0, only=["AUS"], captions_per_label=1)
    assert caption.text == "a fmow satellite image of a airport hangar in Australia"
    [caption] = book(label_set("no_roads"), dataset="spacenet", drop=0, only=["Rio"], captions_per_label=1)
    assert caption.text == "a spacenet satellite image of no roads in Rio"
    [caption] = book(
        label_set("houses"), dataset="texas", drop=0, built=[1999, 1999], acres=[0.25, 0.25],
        captions_per_label=1,
    )  # fmt: skip
    assert caption.text == "a satlas satellite image of houses built in 1999 covering 0.25 acres"
    [caption] = book(label_set("fire"), dataset="xbd", drop=0, moments=["after"], captions_per_label=1)
    assert caption.text == "a fmow satellite image after being affected by a fire natural disaster"


def test_satlas_counts_one_object_without_an_s_and_two_thirds_of_the_captions_say_where() -> None:
    captions = book(label_set("wind_turbine"), dataset="satlas", count=[1, 3], drop=0, captions_per_label=20)
    texts = {caption.text for caption in captions}
    assert "a satlas satellite image of 1 wind turbine in the top left" in texts
    assert "a satlas satellite image of 3 wind turbines" in texts
    assert not [text for text in texts if re.search(r"\b1 wind turbines|[23] wind turbine\b", text)]
    total = [sum(int(n) for n in re.findall(r"\d+", text)) for text in texts]
    assert set(total) == {1, 2, 3}


@pytest.mark.parametrize("drop", [0.1, 0.5])
def test_parts_are_dropped_as_often_as_asked_and_the_label_never(drop: float) -> None:
    captions = book(label_set("airport", "zoo"), captions_per_label=1_000, drop=drop)
    for part in (" fmow ", " in "):
        share = sum(part not in caption.text for caption in captions) / len(captions)
        # Five standard deviations of a share of a half among 2,000 are 0.056.
        assert abs(share - drop) < 0.056
    assert all(("airport", "zoo")[caption.label] in caption.text for caption in captions)


def test_the_label_is_dropped_too_as_in_training_if_asked() -> None:
    captions = book(label_set("airport"), captions_per_label=1_000, keep_label=False)
    share = sum("airport" not in caption.text for caption in captions) / 1_000
    assert 0.05 < share < 0.15


def test_labels_are_interleaved_and_captions_of_a_label_differ() -> None:
    labels = load_label_set("fmow")
    captions = book(labels, captions_per_label=100)
    assert [caption.label for caption in captions[:63]] == [*range(62), 0]
    assert Counter(caption.label for caption in captions) == dict.fromkeys(range(62), 100)
    assert len({(caption.label, caption.text, caption.geo) for caption in captions}) == 6_200


def test_every_caption_of_fmow_carries_a_place_in_its_country_gsd_cloud_and_date() -> None:
    captions = book(load_label_set("fmow"), only=["Norway", "JPN"], captions_per_label=5)
    for caption in captions:
        geo = caption.geo
        assert None not in (geo.lon, geo.lat, geo.gsd_m, geo.cloud, geo.year, geo.month, geo.day)
        assert geo.lon is not None and geo.lat is not None and geo.gsd_m is not None
        if "Norway" in caption.text:
            assert abs(geo.lon - 10.75) <= 0.1 and abs(geo.lat - 59.92) <= 0.1
        if "Japan" in caption.text:
            assert abs(geo.lon - 139.74) <= 0.11 and abs(geo.lat - 35.65) <= 0.11
        assert 0.3 <= geo.gsd_m <= 1
    assert {caption.text.split(" in ")[1] for caption in captions if " in " in caption.text} == {
        "Norway",
        "Japan",
    }


def test_a_city_of_spacenet_brings_its_own_date() -> None:
    captions = book(label_set("roads"), dataset="spacenet", only=["Paris"], place_radius=0)
    dates = {(caption.geo.year, caption.geo.month, caption.geo.day) for caption in captions}
    assert dates == {(2016, 2, 29)}
    assert {(caption.geo.lon, caption.geo.lat) for caption in captions} == {(2.349, 48.8647)}


def test_own_ranges_go_over_the_defaults_one_by_one_and_null_is_unknown() -> None:
    captions = book(label_set("zoo"), geo={"gsd_m": 1.25, "cloud": None}, captions_per_label=5)
    assert {caption.geo.gsd_m for caption in captions} == {1.25}
    assert {caption.geo.cloud for caption in captions} == {None}
    assert all(caption.geo.year is not None for caption in captions)
    bare = book(label_set("zoo"), geo=None, places=None, captions_per_label=2)
    assert {caption.geo for caption in bare} == {GeoRecord()}


def test_phrases_have_their_article_and_names_the_one_of_training() -> None:
    labels = load_label_set("eurosat")
    kept: dict[str, Any] = {"drop": 0, "places": None, "captions_per_label": 1}
    assert book(labels, words="phrase", **kept)[0].text == "a fmow satellite image of annual crop land"
    assert book(labels, words="phrase", **kept)[1].text == "a fmow satellite image of a forest"
    assert book(labels, **kept)[1].text == "a fmow satellite image of a Forest"


def test_the_seed_and_nothing_else_decides_the_book() -> None:
    labels = label_set("zoo", "dam")
    assert book(labels, seed=1) == book(labels, seed=1)
    assert book(labels, seed=1) != book(labels, seed=2)


def test_another_label_beside_it_changes_no_caption_of_a_label() -> None:
    beside = [caption.text for caption in book(label_set("zoo", "dam")) if caption.label == 1]
    assert [caption.text for caption in book(label_set("dam"))] == beside


def test_too_few_different_captions_are_one_message_after_bounded_draws() -> None:
    with pytest.raises(CaptionError) as caught:
        book(label_set("zoo"), geo=None, places=None, captions_per_label=3)
    message = str(caught.value)
    assert "label 'zoo' has 2 different captions after 60 draws, 3 are asked for" in message
    assert "lower 'captions.captions_per_label'" in message


def test_a_label_without_a_sentence_of_spacenet_is_refused_with_the_nearest() -> None:
    with pytest.raises(CaptionError, match="did you mean 'buildings'"):
        book(label_set("building"), dataset="spacenet")


def test_an_unknown_country_is_refused_with_the_nearest() -> None:
    with pytest.raises(CaptionError, match=r"no 'Frence'\n.*did you mean 'France'"):
        book(label_set("zoo"), only=["Frence"])


def test_a_list_of_places_of_ones_own_is_used_and_is_the_only_input(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\nsource: me\nplaces: [{name: Atlantis}]\n")
    options = DiffusionSatOptions(places=str(path), drop=0, captions_per_label=3)
    strategy = DiffusionSat(options)
    captions = strategy.write(label_set("zoo"), seed=0)
    assert {caption.text for caption in captions} == {"a fmow satellite image of a zoo in Atlantis"}
    assert {caption.geo.lon for caption in captions} == {None}
    assert re.fullmatch(r"diffusionsat:fmow:own@[0-9a-f]{12}#0", captions[0].source)
    assert strategy.inputs() == [path]
    assert DiffusionSat(DiffusionSatOptions()).inputs() == [places_path("countries")]
    assert DiffusionSat(DiffusionSatOptions(places=None)).inputs() == []


def test_a_missing_list_and_an_impossible_point_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'countries'"):
        DiffusionSat(DiffusionSatOptions(places="countrys")).inputs()
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nsource: me\nplaces: [{name: X, points: [[0, 91]]}]\n")
    with pytest.raises(RecipeError, match="lat is 91"):
        load_places(str(path))


@pytest.mark.parametrize(
    "options",
    [
        {"dataset": "laion"},
        {"dataset": ["fmow"]},
        {"drop": 1},
        {"drop": -0.1},
        {"drop": None},
        {"captions_per_label": 0},
        {"acres": [0.1, 1]},
        {"dataset": "texas", "acres": None},
        {"dataset": "texas", "acres": [1, 0.1]},
        {"dataset": "xbd", "moments": []},
        {"dataset": "xbd", "moments": ["during"]},
        {"dataset": "satlas", "count": [0, 5]},
        {"dataset": "satlas", "only": ["FRA"]},
        {"geo": {"gsd": 1}},
        {"geo": 10},
        {"country": "FRA"},
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiffusionSatOptions.model_validate(options)


@pytest.mark.parametrize("dataset", LABELS)
def test_defaults_that_are_written_out_mean_the_same_again(dataset: str) -> None:
    options = DiffusionSatOptions.model_validate({"dataset": dataset})
    again = DiffusionSatOptions.model_validate(options.model_dump(mode="json"))
    assert again == options
    assert options.drop == DEFAULTS[options.dataset]["drop"]


def test_shipped_places_have_a_point_and_names_and_codes_once() -> None:
    for name, size in (("countries", 246), ("spacenet-cities", 8)):
        places = load_places(name)
        assert places.name == name
        assert places.source
        assert len(places.places) == len({place.name for place in places.places}) == size
        assert all(place.points for place in places.places)
    codes = {place.code for place in load_places("countries").places}
    assert len(codes) == 246
    assert all(re.fullmatch("[A-Z]{3}", code) for code in codes)


def test_every_option_says_what_it_is() -> None:
    schema = DiffusionSatOptions.model_json_schema()
    assert all("description" in option for option in schema["properties"].values())


def test_the_method_is_registered_by_its_name() -> None:
    assert lookup("captions", "diffusionsat") is DiffusionSat
