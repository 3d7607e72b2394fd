"""Licences: what may be published under which, and the part that a refusal names."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from synrs_data.errors import UserError
from synrs_data.licenses import LICENSES, check_license, covers, licensing, strictest
from synrs_data.models.source import locate
from synrs_data.recipe import Recipe
from synrs_data.recipe_file import load_recipe

RECIPE: dict[str, Any] = {
    "name": "some",
    "license": "cc-by-4.0",
    "labels": "eurosat",
    "candidates": 4,
    "captions": {"method": "class-template"},
    "generator": {"method": "diffusers", "model": "m"},
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(RECIPE | changes)


def identity(license: str = "mit", **changes: Any) -> dict[str, Any]:
    return {"model": "eurosat-tiny", "license": license, "parameters": {}, "synthetic": True, **changes}


def refusal(found: Recipe, generator: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        check_license(found, generator, where="out/some")
    assert caught.value.where == "out/some"
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        ([], "cc0-1.0"),
        (["cc0-1.0", "mit"], "mit"),
        (["mit", "cc-by-4.0", "cc-by-4.0"], "cc-by-4.0"),
        (["mit", "creativeml-openrail-m"], "creativeml-openrail-m"),
        (["cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"], "cc-by-nc-4.0"),
        (["cc-by-4.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], None),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], None),
        (["cc-by-sa-4.0", "openrail"], None),
        (["cc-by-sa-4.0", "odbl"], None),
        (["cc-by-nc-4.0", "openrail"], None),
        (["cc-by-nd-4.0"], None),
    ],
)
def test_the_strictest_licence_holds_all_parts_in_any_order(
    licenses: list[str], expected: str | None
) -> None:
    assert {strictest(list(order)) for order in itertools.permutations(licenses)} == {expected}


def test_the_strictest_of_any_two_covers_both() -> None:
    for one, other in itertools.combinations(LICENSES, 2):
        found = strictest([one, other])
        assert found is None or (covers(found, one) and covers(found, other))


def test_every_part_is_listed_with_what_it_binds_to() -> None:
    found = licensing(
        recipe(
            license="openrail++",
            captions={"method": "from-file", "path": "/home/me/captions.jsonl"},
            generator={"method": "controlnet", "model": "m", "maps": "/home/me/maps/"},
            licenses={"captions": "cc0-1.0", "maps": "cc-by-4.0"},
        ),
        identity(
            "openrail++",
            parameters={
                "lora": "l.safetensors",
                "lora_license": "mit",
                "controlnet": "osm",
                "controlnet_license": "apache-2.0",
            },
        ),
    )
    assert [(part.key, part.name, part.license, part.binds) for part in found.parts] == [
        ("generator", "eurosat-tiny", "openrail++", ["attribution", "use restrictions"]),
        ("lora", "l.safetensors", "mit", ["attribution"]),
        ("controlnet", "osm", "apache-2.0", ["attribution"]),
        ("maps", "maps", "cc-by-4.0", ["attribution"]),
        ("captions", "captions.jsonl", "cc0-1.0", []),
    ]
    assert found.strictest == "openrail++"


def test_crops_of_real_images_have_sources_and_no_weights() -> None:
    spec = {"method": "real-images", "images": "/data/ucmerced", "license": "cc0-1.0"}
    found = check_license(
        recipe(generator=spec), identity("cc0-1.0", model="ucmerced", synthetic=False), where=""
    )
    assert [(part.key, part.name, part.license) for part in found.parts] == [
        ("sources", "ucmerced", "cc0-1.0")
    ]


def test_images_made_larger_have_a_generator_and_sources() -> None:
    spec = {"method": "spandrel-upscale", "model": "m", "images": "/data/lr"}
    found = licensing(
        recipe(generator=spec),
        identity("bsd-3-clause", parameters={"images": "lr", "images_license": "cc-by-sa-4.0"}),
    )
    assert [(part.key, part.license) for part in found.parts] == [
        ("generator", "bsd-3-clause"),
        ("sources", "cc-by-sa-4.0"),
    ]
    assert found.strictest == "cc-by-sa-4.0"


@pytest.mark.parametrize("stated", ["unknown", "", "other"])
def test_weights_without_a_licence_are_named_with_what_to_write(stated: str) -> None:
    text = refusal(recipe(), identity(stated))
    assert "the licence of the generator's weights (eurosat-tiny) is unknown" in text
    assert "`licenses: {generator: ID}`" in text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"generator": {"method": "real-guidance", "model": "m", "sources": "/d/real"}},
            "source images (real)",
        ),
        (
            {"generator": {"method": "diffusionsat-controlnet", "images": "/d/fmow"}},
            "source images (fmow)",
        ),
        ({"generator": {"method": "controlnet", "maps": "/d/osm"}}, "control maps (osm)"),
        ({"captions": {"method": "from-file", "path": "/d/c.csv"}}, "captions (c.csv)"),
        ({"captions": {"method": "language-enhancement", "model": "org/t5"}}, "captions (t5)"),
    ],
)
def test_a_part_whose_licence_nobody_said_is_named(changes: dict[str, Any], named: str) -> None:
    assert f"the licence of the {named} is unknown" in refusal(recipe(**changes), identity())


def test_the_recipe_says_the_licence_of_a_part_that_states_none() -> None:
    spec = {"method": "real-guidance", "model": "m", "sources": "/d/real"}
    found = check_license(recipe(generator=spec, licenses={"sources": "cc-by-4.0"}), identity())
    assert found.strictest in ("mit", "cc-by-4.0")


def test_the_recipe_cannot_make_a_stated_licence_laxer_but_stricter() -> None:
    assert "'cc-by-nc-4.0' of the generator" in refusal(
        recipe(licenses={"generator": "mit"}), identity("cc-by-nc-4.0")
    )
    found = licensing(recipe(licenses={"generator": "openrail++"}), identity("apache-2.0"))
    assert found.parts[0].license == "openrail++"


def test_a_laxer_licence_is_refused_with_what_it_lacks() -> None:
    text = refusal(recipe(license="cc0-1.0"), identity("creativeml-openrail-m"))
    assert "'cc0-1.0' does not hold 'creativeml-openrail-m'" in text
    assert "attribution, use restrictions" in text
    assert "share-alike" in refusal(recipe(license="cc-by-4.0"), identity("cc-by-sa-4.0"))
    assert "share-alike" in refusal(recipe(license="odbl"), identity("cc-by-sa-4.0"))
    check_license(recipe(license="cc-by-sa-4.0"), identity("cc-by-4.0"))


def test_parts_that_contradict_each_other_are_both_named() -> None:
    spec = {"method": "real-guidance", "model": "m", "sources": "/d/real"}
    text = refusal(
        recipe(license="cc-by-nc-sa-4.0", generator=spec, licenses={"sources": "cc-by-sa-4.0"}),
        identity("cc-by-nc-sa-4.0"),
    )
    assert "'cc-by-nc-sa-4.0' of the generator's weights (eurosat-tiny)" in text
    assert "'cc-by-sa-4.0' of the source images (real)" in text


def test_sources_that_forbid_derivatives_are_refused() -> None:
    spec = {"method": "real-images", "images": "/d/real", "license": "cc-by-nd-4.0"}
    text = refusal(recipe(generator=spec), identity("cc-by-nd-4.0", model="real", synthetic=False))
    assert "'cc-by-nd-4.0' of the source images (real) forbids" in text


@pytest.mark.parametrize("declared", ["unknown", "MIT License", "", "cc-by"])
def test_a_recipe_whose_own_licence_is_no_id_is_refused(declared: str) -> None:
    assert f"the recipe's licence '{declared}' is no id" in refusal(recipe(license=declared), identity())


def test_other_needs_a_name_and_a_link() -> None:
    assert "license_name" in refusal(recipe(license="other"), identity())
    named = {"license": "other", "license_name": "text2earth", "license_link": "https://example.org/t2e"}
    assert "is 'mine'" in refusal(recipe(**named), identity("mine"))
    check_license(recipe(**named), identity("text2earth"))
    # Terms of one's own may hold what no known id does; only share-alike asks for itself.
    spec = {"method": "real-guidance", "model": "m", "sources": "/d/real"}
    check_license(recipe(**named, generator=spec, licenses={"sources": "cc-by-nc-4.0"}), identity("openrail"))
    text = refusal(
        recipe(**named, generator=spec, licenses={"sources": "cc-by-sa-4.0"}), identity("text2earth")
    )
    assert "asks for itself" in text


def test_other_does_not_get_round_share_alike() -> None:
    named = {"license": "other", "license_name": "text2earth", "license_link": "https://example.org/t2e"}
    assert "share-alike" in refusal(recipe(**named), identity("cc-by-sa-4.0"))


def test_two_licences_that_no_id_holds_ask_for_terms_of_ones_own() -> None:
    spec = {"method": "real-guidance", "model": "m", "sources": "/d/real"}
    text = refusal(
        recipe(license="cc-by-nc-4.0", generator=spec, licenses={"sources": "cc-by-nc-4.0"}),
        identity("openrail"),
    )
    assert "does not hold 'openrail'" in text
    assert "`license: other`" in text


def test_an_unknown_part_key_is_refused_by_the_recipe() -> None:
    with pytest.raises(ValueError, match="licenses"):
        recipe(licenses={"weights": "mit"})


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        "eurosat-tiny-10k",
        "eurosat-study-b",
        "eurosat-study-le",
        "eurosat-real-guidance",
        "eurosat-inpaint",
        "quickstart-x4",
    ],
)
def test_shipped_recipes_of_the_embedded_model_may_be_published(name: str) -> None:
    found = load_recipe(name)
    weights = locate(str((found.generator.model_extra or {})["model"]))
    assert check_license(found, identity(weights.license)).strictest == "mit"


@pytest.mark.parametrize("name", ["aid-text2earth", "rsicd-text2earth"])
def test_a_model_whose_licence_contradicts_itself_is_not_published(name: str) -> None:
    assert "the recipe's licence is 'other', which says nothing" in refusal(
        load_recipe(name), identity("mit")
    )
