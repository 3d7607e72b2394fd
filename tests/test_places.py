"""What of a recipe is a place of a machine, and what is only a text that begins with a slash."""

from __future__ import annotations

from typing import Any

import pytest

from synrs_data.places import public_values, without_folders
from tests.build.painted import painted

PATH = "/srv/My data/images"


def values(**changes: Any) -> dict[str, Any]:
    return painted(name="places", **changes).model_dump(mode="json")


@pytest.mark.parametrize(
    "text", ["/", "/ a slash", "/towns and/or villages", "/srv/data/x", "//", f"{PATH}\n"]
)
def test_title_and_description_are_kept_whatever_they_begin_with(text: str) -> None:
    recipe = values(title=text, description=text)
    assert public_values(recipe) == (recipe, [])


@pytest.mark.parametrize("path", [PATH, "/data", "/srv/data/", "/srv/Wüste/ä.yaml"])
def test_an_option_that_names_a_file_keeps_the_last_name_whether_the_file_is_there_or_not(path: str) -> None:
    recipe = values()
    recipe["labels"] = recipe["captions"]["templates"] = path
    recipe["filters"] = [*recipe["filters"], {"method": "leak", "real": path, "model": "eurosat-tiny-clip"}]
    public, places = public_values(recipe)
    last = path.rstrip("/").rpartition("/")[2]
    assert public["labels"] == public["captions"]["templates"] == public["filters"][-1]["real"] == last
    assert public["filters"][-1]["model"] == "eurosat-tiny-clip"
    assert places == [path] * 3


@pytest.mark.parametrize("method", ["paint", "a-method-that-nobody-installed"])
@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/srv/data/stop", "stop"),
        ("/srv/data/", "data"),
        ("/a town and/or a village", "/a town and/or a village"),
        ("/imagine", "/imagine"),
        ("/", "/"),
        ("a/b", "a/b"),
    ],
)
def test_another_option_is_a_place_only_if_it_is_nothing_but_a_path(
    method: str, text: str, public: str
) -> None:
    recipe = values()
    recipe["generator"] = {"method": method, "fail_file": text, "deep": [{"x": text}]}
    found, places = public_values(recipe)
    assert found["generator"] == {"method": method, "fail_file": public, "deep": [{"x": public}]}
    assert places == ([] if text == public else [text, text])


def test_a_manifest_loses_the_folders_of_what_its_recipe_names() -> None:
    manifest = {
        "generator": {"model": PATH, "negative_prompt": "/no fog", "other": "/x y/z"},
        "files": [1, None],
    }
    found = without_folders(manifest, [PATH])
    assert found["generator"] == {"model": "images", "negative_prompt": "/no fog", "other": "/x y/z"}
    assert found["files"] == [1, None]
