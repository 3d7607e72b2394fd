"""The shipped recipes for ControlNets: they load with no network, say what must be fetched, and fit their files."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data.build.plan import write_captions
from synrs_data.generators.control_maps import ControlMaps
from synrs_data.generators.controlnet import ControlNet
from synrs_data.generators.palettes import load_palette
from synrs_data.geo import GeoRecord
from synrs_data.recipe import method_options
from synrs_data.recipe_file import load_recipe
from synrs_data.resources import recipes
from synrs_data.sample import Request
from synrs_data.vocabulary import load_label_set
from tests.tiny_controlnet import write_mask, write_tiny_controlnet

NAMES = ["geosynth-osm", "earthsynth-masks"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def options(name: str, *overrides: str) -> dict[str, Any]:
    return load_recipe(name, list(overrides)).generator.model_extra or {}


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_to_download_where_it_goes_memory_settings_and_licence(name: str) -> None:
    text = recipes()[name].read_text(encoding="utf-8")
    header = text[: text.index("\nname:")]
    found = options(name)
    for word in ("Download", "Memory", "Settings", "Licence", found["maps"]):
        assert word in header
    for model in (found["model"], found["controlnet"]):
        assert f"models/{model}" in header


@pytest.mark.parametrize("name", NAMES)
def test_images_have_the_size_at_which_the_controlnet_was_trained(name: str) -> None:
    assert (options(name)["width"], options(name)["height"]) == (512, 512)


def test_earthsynth_is_sampled_as_in_its_repository() -> None:
    found = options("earthsynth-masks")
    assert (found["scheduler"], found["steps"]) == ("UniPCMultistepScheduler", 20)
    book = write_captions(load_recipe("earthsynth-masks"))
    assert len(book) == 66
    assert "A satellite image of storage tank" in {caption.text for caption in book}


def test_every_label_of_earthsynth_is_a_class_of_its_palette() -> None:
    classes = {item.name for item in load_palette("earthsynth").classes}
    assert classes - set(load_label_set("earthsynth").names) == {"background"}
    assert set(load_label_set("earthsynth").names) < classes


def test_a_caption_of_geosynth_names_its_map(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    line = {"caption": "Satellite image features a park", "image": "osm_tile_18_42048_101323.jpeg"}
    file.write_text(json.dumps(line))
    [caption] = write_captions(load_recipe("geosynth-osm", [f"captions.path={file}"]))
    assert (caption.image, caption.label) == (line["image"], 0)


def test_earthsynth_paints_from_a_mask_of_the_class_of_its_caption(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    mask = np.zeros((16, 16))
    mask[4:8] = 25
    write_mask(tmp_path / "masks/storage tank/1.png", mask)
    write_mask(tmp_path / "masks/dam/1.png", mask // 25 * 33)
    controlnet = write_tiny_controlnet(tmp_path / "net")
    recipe = load_recipe(
        "earthsynth-masks",
        [
            f"generator.model={tiny_pipeline}",
            f"generator.controlnet={controlnet}",
            f"generator.maps={tmp_path / 'masks'}",
            "generator.width=16",
            "generator.height=16",
            "generator.steps=2",
            "generator.dtype=float32",
        ],
    )
    made = ControlNet(method_options("generators", recipe.generator))
    made.load("cpu")
    request = Request("A satellite image of storage tank", 0, 7, GeoRecord(), label_name="storage tank")
    assert made.inputs(request).parameters["control"] == "storage tank/1.png"
    [image] = made.generate([request])
    assert image.shape == (16, 16, 3)
    assert len(ControlMaps(tmp_path / "masks").maps) == 2
