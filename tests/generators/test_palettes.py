"""Palettes: the shipped ones, and which files are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.errors import RecipeError
from synrs_data.generators.palettes import load_palette
from synrs_data.resources import named_files


def test_the_masks_of_earthsynth_are_their_indices_in_grey() -> None:
    palette = load_palette("earthsynth")
    assert [item.name for item in palette.classes[:2]] == ["background", "bare land"]
    assert palette.classes[25].name == "storage tank"
    assert [item.rgb for item in palette.classes] == [(i, i, i) for i in range(len(palette.classes))]
    assert len(palette.classes) == 67


@pytest.mark.parametrize("name", named_files("builders/vocab/palettes"))
def test_a_shipped_palette_has_its_files_name_and_a_source(name: str) -> None:
    palette = load_palette(name)
    assert palette.name == name
    assert palette.source


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[{name: a, rgb: [0, 0, 0]}, {name: a, rgb: [1, 0, 0]}]", "two classes have the name a"),
        ("[{name: a, rgb: [0, 0, 0]}, {name: b, rgb: [0, 0, 0]}]", "two classes have the colour"),
        ("[{name: a, rgb: [0, 0, 0], index: 1}, {name: b, rgb: [1, 0, 0]}]", "two classes have the index 1"),
        ("[{name: a, rgb: [0, 0, 256]}]", "less than or equal to 255"),
        ("[{name: a, rgb: [0, 0]}]", "rgb"),
        ("[]", "at least 1 item"),
    ],
)
def test_a_palette_whose_classes_cannot_be_told_apart_is_refused(
    tmp_path: Path, classes: str, message: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"name: p\nsource: test\nclasses: {classes}\n")
    with pytest.raises(RecipeError, match=message):
        load_palette(str(path))


def test_an_unknown_palette_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match=r"there is no palette 'earthsinth'\n.*did you mean 'earthsynth'"):
        load_palette("earthsinth")
