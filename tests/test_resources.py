"""What ships with the package is found by name, and a wrong name is answered with the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data import resources
from synrs_data.errors import RecipeError


def test_shipped_folders_are_found() -> None:
    for name in ("builders", "cards"):
        assert resources.shipped(name).is_dir()


def test_a_wheel_carries_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "synrs_data"
    (package / "_shipped").mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.shipped("cards") == package / "_shipped" / "cards"
    (package / "_shipped").rmdir()
    assert resources.shipped("cards") == tmp_path / "cards"


def test_a_recipe_is_no_vocabulary() -> None:
    assert "eurosat" not in resources.recipes()
    assert "eurosat" in resources.named_files("builders/vocab/labels")


def test_a_name_of_a_shipped_file_or_a_path_is_found(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("")
    known = {"shipped": Path("/shipped.yaml")}
    assert resources.find("shipped", known, what="recipe") == Path("/shipped.yaml")
    assert resources.find(str(own), known, what="recipe") == own


@pytest.mark.parametrize("name", ["", ".", "nothing", "~nobody-of-this-name/x.yaml", "a\0b", "x" * 5000])
def test_a_name_that_is_nothing_is_one_message(name: str) -> None:
    with pytest.raises(RecipeError, match="there is no recipe") as caught:
        resources.find(name, {"quickstart": Path("/q.yaml")}, what="recipe")
    assert "known: quickstart" in caught.value.fix


def test_the_nearest_name_is_suggested_and_all_are_listed() -> None:
    text = resources.suggestion("quikstart", ["quickstart", "other"], what="recipe")
    assert text == "did you mean 'quickstart'? known: other, quickstart"
    assert "did you mean" not in resources.suggestion("zzz", ["quickstart"], what="recipe")
    assert resources.suggestion("zzz", [], what="recipe") == "no recipe is known"


def test_no_embedded_models_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    assert resources.embedded_models() == {}
    (tmp_path / "models" / "embedded" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "embedded" / "README.md").write_text("")
    assert resources.embedded_models() == {"tiny": tmp_path / "models" / "embedded" / "tiny"}
