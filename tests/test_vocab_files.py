"""The label sets and template sets that ship with the package."""

from __future__ import annotations

import pytest

from synrs_data.resources import named_files
from synrs_data.vocabulary import load_label_set, load_template_set

SIZES = {
    "aid": 30,
    "earthsynth": 66,
    "eurosat": 10,
    "fmow": 62,
    "resisc45": 45,
    "satlas-points": 15,
    "scene": 1,
    "spacenet": 3,
    "texas-housing": 1,
    "ucmerced": 21,
    "xbd-disasters": 6,
}
"""Numbers of classes as the papers and the code of the data sets state them."""

TEMPLATES = {"clip-eurosat": 3, "clip-resisc45": 18, "earthsynth": 1, "he2023-eurosat": 1, "rs-basic": 12}


def test_every_shipped_label_set_and_template_set_is_listed_here() -> None:
    assert set(named_files("builders/vocab/labels")) == set(SIZES)
    assert set(named_files("builders/vocab/templates")) == set(TEMPLATES)


@pytest.mark.parametrize("name", SIZES)
def test_a_label_set_is_whole_and_in_the_order_of_its_folders(name: str) -> None:
    labels = load_label_set(name)
    assert labels.name == name
    assert len(labels.labels) == SIZES[name]
    assert labels.names == sorted(labels.names)
    assert labels.source


@pytest.mark.parametrize("name", SIZES)
def test_phrases_are_plain_words_with_the_article_that_they_need(name: str) -> None:
    for label in load_label_set(name).labels:
        assert label.phrase == label.phrase.lower().strip()
        assert "_" not in label.phrase
        assert "  " not in label.phrase
        vowel = label.phrase[0] in "aeiou"
        assert label.article in ("", "an" if vowel else "a"), label


def test_eurosat_has_the_names_phrases_and_order_that_its_classes_are_known_by() -> None:
    assert [(label.name, label.spoken) for label in load_label_set("eurosat").labels] == [
        ("AnnualCrop", "annual crop land"),
        ("Forest", "a forest"),
        ("HerbaceousVegetation", "herbaceous vegetation"),
        ("Highway", "a highway"),
        ("Industrial", "industrial buildings"),
        ("Pasture", "a pasture"),
        ("PermanentCrop", "permanent crop land"),
        ("Residential", "residential buildings"),
        ("River", "a river"),
        ("SeaLake", "a sea or lake"),
    ]


@pytest.mark.parametrize(
    ("name", "index", "label"),
    [
        ("ucmerced", 20, "tenniscourt"),
        ("ucmerced", 13, "mobilehomepark"),
        ("resisc45", 44, "wetland"),
        ("resisc45", 25, "mountain"),
        ("aid", 29, "Viaduct"),
        ("aid", 12, "Industrial"),
        ("fmow", 61, "zoo"),
        ("fmow", 30, "multi-unit_residential"),
    ],
)
def test_classes_have_the_index_that_published_models_use(name: str, index: int, label: str) -> None:
    assert load_label_set(name).names[index] == label


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_set_is_whole_without_repetition_and_names_its_source(name: str) -> None:
    templates = load_template_set(name)
    assert templates.name == name
    assert len(set(templates.templates)) == len(templates.templates) == TEMPLATES[name]
    assert templates.source


def test_the_prompts_of_clip_for_eurosat_are_those_published() -> None:
    assert load_template_set("clip-eurosat").templates == (
        "a centered satellite photo of {label}.",
        "a centered satellite photo of a {label}.",
        "a centered satellite photo of the {label}.",
    )
