"""The shipped recipes for models of others: they load with no network and say what must be fetched."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from synrs_data.build.plan import write_captions
from synrs_data.recipe import Recipe
from synrs_data.recipe_file import load_recipe
from synrs_data.resources import recipes

DIFFUSIONSAT = ["fmow-diffusionsat-512", "eurosat-diffusionsat"]
TEXT2EARTH = ["rsicd-text2earth", "aid-text2earth"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def generator(recipe: Recipe) -> dict[str, Any]:
    return recipe.generator.model_extra or {}


@pytest.mark.parametrize("name", DIFFUSIONSAT + TEXT2EARTH)
def test_the_header_says_what_to_download_where_it_goes_memory_settings_and_licence(name: str) -> None:
    text = recipes()[name].read_text(encoding="utf-8")
    header = text[: text.index("\nname:")]
    base = {"eurosat-diffusionsat": DIFFUSIONSAT[0], "aid-text2earth": TEXT2EARTH[0]}.get(name)
    if base is not None:
        assert f"{base}.yaml" in header
        header += recipes()[base].read_text(encoding="utf-8").partition("\nname:")[0]
    for word in (
        "Download",
        f"models/{generator(load_recipe(name))['model']}",
        "Memory",
        "Settings",
        "Licence",
    ):
        assert word.lower() in header.lower()


def test_diffusionsat_is_sampled_as_in_its_paper_and_its_notebook() -> None:
    paper, notebook = (generator(load_recipe(name)) for name in DIFFUSIONSAT)
    assert (paper["scheduler"], paper["steps"], paper["guidance_scale"]) == ("DDIMScheduler", 100, 1.0)
    assert (notebook["scheduler"], notebook["steps"], notebook["guidance_scale"]) == (None, 20, 7.5)
    for options in (paper, notebook):
        # The UNet's own size is that of its base, 768 px, at which it was not trained.
        assert (options["width"], options["height"]) == (512, 512)


@pytest.mark.parametrize("name", TEXT2EARTH)
def test_text2earth_is_sampled_as_in_its_readme(name: str) -> None:
    options = generator(load_recipe(name))
    assert (options["steps"], options["guidance_scale"]) == (50, 4.0)
    # Without sizes the pipeline would paint 512 px, at which it was not trained.
    assert (options["width"], options["height"]) == (256, 256)


def test_every_caption_for_diffusionsat_has_all_its_numbers_but_those_that_the_recipe_fixes() -> None:
    for name in DIFFUSIONSAT:
        for caption in write_captions(load_recipe(name)):
            geo = caption.geo
            known = (geo.lon, geo.lat, geo.gsd_m, geo.cloud, geo.year, geo.month, geo.day)
            assert None not in known, caption


def test_eurosat_images_show_the_640_m_of_a_eurosat_patch() -> None:
    recipe = load_recipe("eurosat-diffusionsat")
    [gsd] = {caption.geo.gsd_m for caption in write_captions(recipe)}
    assert gsd is not None
    assert gsd * generator(recipe)["width"] == 640


def test_the_gsds_of_aid_are_three_levels_of_text2earth() -> None:
    import math

    book = write_captions(load_recipe("aid-text2earth"))
    levels = {round(17 - math.log2(caption.geo.gsd_m or 0)) for caption in book}
    assert levels == {16, 17, 18}


def test_one_override_gives_the_captions_of_rsicd_a_resolution() -> None:
    recipe = load_recipe("rsicd-text2earth", ["captions.geo.gsd_m=1"])
    assert (recipe.captions.model_extra or {})["geo"]["gsd_m"] == 1.0
