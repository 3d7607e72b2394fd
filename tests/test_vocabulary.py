"""Label sets and template sets: what a file may hold, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.errors import RecipeError
from synrs_data.vocabulary import (
    Label,
    TemplateSet,
    label_set_path,
    load_label_set,
    load_template_set,
)


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def test_a_label_is_spoken_with_its_article_or_without() -> None:
    assert Label(name="Forest", phrase="forest").spoken == "a forest"
    assert Label(name="AnnualCrop", phrase="annual crop land", article="").spoken == "annual crop land"


def test_a_label_set_of_the_users_own_is_loaded_by_path(tmp_path: Path) -> None:
    labels = "labels: [{name: Ice, phrase: sea ice, article: ''}, {name: Ship, phrase: ship}]"
    own = load_label_set(written(tmp_path, f"name: own\ntitle: Own\nsource: me\n{labels}\n"))
    assert own.names == ["Ice", "Ship"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: own\ntitle: Own\nsource: me\nlabels: []\n", "'labels'"),
        ("name: own\ntitle: Own\nsource: me\n", "the key 'labels' is missing"),
        (
            "name: own\ntitle: Own\nsource: me\nlabels: [{name: A, phrase: a}, {name: A, phrase: b}]\n",
            "labels appear twice: A",
        ),
        (
            "name: own\ntitle: Own\nsource: me\nlabels: [{name: A, phrase: ''}]\n",
            "'labels.0.phrase'",
        ),
        ("name: own\ntitel: Own\nsource: me\nlabels: [{name: A, phrase: a}]\n", "did you mean 'title'"),
        ("name: [own\n", "cannot be read as YAML"),
        ("", "own.yaml"),
    ],
)
def test_a_broken_label_set_is_told_with_its_file(text: str, told: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_label_set(path)
    assert told in str(caught.value)
    assert path in str(caught.value)


def test_a_file_that_is_not_utf8_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes("name: Zürich".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"own\.yaml: cannot be read"):
        load_label_set(str(path))


def test_an_unknown_label_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'eurosat'"):
        label_set_path("eurosad")


def test_templates_are_filled_with_phrase_and_article() -> None:
    templates = TemplateSet(name="t", source="s", templates=("a photo of {spoken}.", "{label}"))
    assert templates.fill(Label(name="X", phrase="airport", article="an")) == [
        "a photo of an airport.",
        "airport",
    ]


@pytest.mark.parametrize("template", ["a photo.", "a photo of {class}.", "a photo of {}.", "{label", "{0}"])
def test_a_template_without_a_place_for_the_label_is_refused(template: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'name: own\nsource: me\ntemplates: ["{template}"]\n')
    with pytest.raises(RecipeError, match="place"):
        load_template_set(path)


def test_the_digest_is_of_the_templates_in_their_order_alone() -> None:
    first = TemplateSet(name="a", source="x", templates=("a {label}", "b {label}"))
    renamed = TemplateSet(name="b", source="y", templates=first.templates)
    turned = TemplateSet(name="a", source="x", templates=first.templates[::-1])
    assert first.digest == renamed.digest
    assert first.digest != turned.digest
    assert len(first.digest) == 12
