"""mlcroissant validates the description of a build and reads from its tars what was built."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from synrs_data import files
from synrs_data.build.finalise import facts_of_folder
from synrs_data.build.run import build, reselect
from synrs_data.recipe import Recipe
from synrs_data.report import BuildFacts, render_croissant
from synrs_data.report.croissant import license_address
from synrs_data.report.croissant_terms import source_types
from synrs_data.shards import members
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import read_manifest
from tests.build.painted import painted
from tests.croissant_reader import needs_mlcroissant, pixels, read_croissant, validate
from tests.report.fake_build import make_build, shuffled

PAIRS: dict[str, Any] = {
    "task": "lr-hr",
    "labels": "scene",
    "captions": {"method": "none"},
    "image": {"format": "png"},
    "degradation": {"method": "shrink"},
}
RECIPES: dict[str, dict[str, Any]] = {
    "scene-caption": {},
    "lr-hr": PAIRS,
    "extra fields": {"generator": {"method": "paint-over"}, "image": {"format": "png"}},
    "webp without scores": {"filters": [], "image": {"format": "webp"}, "select": {"samples_per_shard": 7}},
}
UNTYPED = {"index", "parameters", "software", "derived_from", "scale", "lr_width", "lr_height", "scores"}
"""Keys of the JSON record that no column of the tables has and that may differ between samples."""

SHARDS = {"data/train-00000.tar": {"sha256": "0" * 64, "bytes": 10}}


def document(folder: BuildFolder) -> dict[str, Any]:
    """Return the description of a build."""
    found: dict[str, Any] = json.loads(folder.croissant.read_text(encoding="utf-8"))
    return found


def rendered(facts: BuildFacts, shards: dict[str, Any] = SHARDS) -> dict[str, Any]:
    """Return the description of facts."""
    found: dict[str, Any] = json.loads(render_croissant(facts, shards, "metadata/*.parquet"))
    return found


@pytest.fixture(scope="module", params=RECIPES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    recipe = painted(**({"candidates": 16} | RECIPES[request.param]))
    return build(recipe, tmp_path_factory.mktemp("croissant") / "out", engine="inline").folder


@pytest.fixture(scope="module")
def read(built: BuildFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what mlcroissant reads of a build: warnings, and the records of all sets."""
    names = [item["@id"] for item in document(built)["recordSet"]]
    return read_croissant(built.croissant, *names, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> BuildFacts:
    return make_build(tmp_path_factory.mktemp("facts") / "build")[1]


@needs_mlcroissant
def test_mlcroissant_warns_of_nothing_but_that_builds_have_no_date(read: dict[str, Any]) -> None:
    assert len(read["warnings"]) == 1 and "datePublished" in read["warnings"][0]


@needs_mlcroissant
def test_the_command_of_mlcroissant_validates(tmp_path: Path) -> None:
    folder = build(painted(candidates=8), tmp_path / "out", engine="inline").folder
    done = validate(folder.croissant, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Done." in done.stderr


@needs_mlcroissant
def test_the_command_of_mlcroissant_finds_what_does_not_fit(facts: BuildFacts, tmp_path: Path) -> None:
    broken = rendered(facts)
    broken["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(broken))

    done = validate(tmp_path / "croissant.json", tmp_path)

    assert done.returncode == 1
    assert "nowhere" in done.stderr


@needs_mlcroissant
def test_mlcroissant_reads_every_field_of_every_sample_as_it_was_built(
    built: BuildFolder, read: dict[str, Any]
) -> None:
    samples = {key: fields for tar in sorted(built.data.glob("*.tar")) for key, fields in members(tar)}
    records = read["records"]["samples"]

    assert sorted(record["key"] for record in records) == sorted(samples)
    for record in records:
        fields = samples[record["key"]]
        values = json.loads(fields["json"])
        assert json.loads(record["json"]) == values
        typed = {name: value for name, value in (values | values.get("scores", {})).items() if name in record}
        assert {name: record[name] for name in typed} == typed
        assert {type(record[name]) for name in typed} <= {str, int, float, bool}
        assert values.keys() - typed.keys() <= UNTYPED
        assert set(values.get("scores", {})) <= typed.keys()
        for name, content in fields.items():
            if name.endswith(("jpg", "png", "webp")):
                assert record[name] == pixels(Image.open(io.BytesIO(content)))
            elif name == "txt":
                assert record[name] == content.decode()
            elif name == "cls":
                assert record[name] == int(content)


@needs_mlcroissant
def test_mlcroissant_reads_each_field_splits_and_labels_on_their_own(
    built: BuildFolder, read: dict[str, Any]
) -> None:
    manifest = read_manifest(built)
    total = sum(split["samples"] for split in manifest["splits"].values())
    found = read["records"]

    assert [row["name"] for row in found["splits"]] == list(manifest["splits"])
    assert [row["name"] for row in found["labels"]] == manifest["labels"]
    assert {len(found[name]) for name in found if name not in ("splits", "labels")} == {total}
    assert {row["split"] for row in found["metadata"]} == set(manifest["splits"])


@needs_mlcroissant
def test_mlcroissant_refuses_a_tar_with_other_bytes(tmp_path: Path) -> None:
    folder = build(painted(candidates=8), tmp_path / "out", engine="inline").folder
    tar = folder.data / "train-00000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)

    with pytest.raises(AssertionError, match="not identical"):
        read_croissant(folder.croissant, "samples", cache=tmp_path / "cache")


def test_every_tar_is_listed_with_the_digest_of_the_manifest(built: BuildFolder) -> None:
    listed = read_manifest(built)["files"]
    objects = [node for node in document(built)["distribution"] if node["@type"] == "cr:FileObject"]

    assert {node["contentUrl"] for node in objects} == {name for name in listed if name.endswith(".tar")}
    for node in objects:
        entry = listed[node["contentUrl"]]
        assert (node["sha256"], node["contentSize"]) == (entry["sha256"], f"{entry['bytes']} B")
    assert listed["croissant.json"]["sha256"] == files.sha256(built.croissant)


def test_another_selection_is_another_version_with_its_own_tars(tmp_path: Path) -> None:
    folder = build(painted(candidates=16), tmp_path / "out", engine="inline").folder
    before = document(folder)

    reselect(folder.root, ["select.top_k=4"])

    after = document(folder)
    assert before["version"] != after["version"]
    assert before["version"].split(".")[:3] == after["version"].split(".")[:3]
    assert "among the best 4" in after["rai:dataManipulationProtocol"]


def test_the_same_build_gives_the_same_text_in_any_order_of_rows(facts: BuildFacts) -> None:
    texts = {render_croissant(found, SHARDS, "metadata/*.parquet") for found in (facts, shuffled(facts))}
    assert len(texts) == 1


def test_the_text_grows_by_one_line_and_few_bytes_a_tar(facts: BuildFacts) -> None:
    sizes, lines = [], []
    for count in (1_000, 2_000, 3_000):
        shards = {f"data/train-{i:05d}.tar": {"sha256": f"{i:064x}", "bytes": 10**9} for i in range(count)}
        text = render_croissant(facts, shards, "metadata/*.parquet")
        sizes.append(len(text))
        lines.append(text.count("\n"))

    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] < 1_000 * 500
    assert lines[2] - lines[1] == lines[1] - lines[0] == 1_000


def test_it_says_that_the_images_are_synthetic_and_what_made_them(built: BuildFolder) -> None:
    found, manifest = document(built), read_manifest(built)

    records = [json.loads(fields["json"]) for _, fields in members(built.data / "train-00000.tar")]
    assert found["digitalSourceType"] == [records[0]["digital_source_type"]]
    assert found["digitalSourceType"][0].lower().endswith("trainedalgorithmicmedia")
    assert found["rai:hasSyntheticData"] is True
    assert "synthetic" in found["description"] and "synthetic" in found["rai:dataCollection"]
    used, recipe = found["prov:wasGeneratedBy"][0]["prov:used"]
    assert (used["version"], used["sha256"]) == (
        manifest["generator"]["revision"],
        manifest["generator"]["sha256"],
    )
    assert recipe["identifier"] == manifest["fingerprints"]["generation"]
    assert found["prov:wasGeneratedBy"][1]["identifier"] == manifest["fingerprints"]["selection"]
    assert found["prov:wasAttributedTo"]["prov:label"] == manifest["software"]
    assert "http://mlcommons.org/croissant/RAI/1.0" in found["conformsTo"]


def test_images_made_from_real_ones_are_called_composites_and_their_sources_are_told(
    facts: BuildFacts,
) -> None:
    column = pl.Series("derived_from", ["a" * 64, "b" * 64] * (facts.packed.height // 2))
    found = rendered(replace(facts, packed=facts.packed.with_columns(column)))

    assert [term.rpartition("/")[2] for term in found["digitalSourceType"]] == [
        "compositeWithTrainedAlgorithmicMedia"
    ]
    assert "2 real images" in found["prov:wasDerivedFrom"][1]["prov:label"]
    assert "2 real images" in found["rai:dataCollection"]
    assert any("one real image" in text for text in found["rai:dataLimitations"])


def test_a_composite_and_an_image_of_noise_alone_are_two_source_types(facts: BuildFacts) -> None:
    column = pl.Series("derived_from", ["a" * 64, ""] * (facts.packed.height // 2))
    mixed = replace(facts, packed=facts.packed.with_columns(column))

    assert len(source_types(mixed)) == 2
    samples = next(item for item in rendered(mixed)["recordSet"] if item["@id"] == "samples")
    names = {field["name"] for field in samples["field"]}
    assert "digital_source_type" not in names and "derived_from" in names


def test_crops_of_real_images_are_not_called_synthetic(facts: BuildFacts) -> None:
    column = pl.Series("derived_from", ["a" * 64] * facts.packed.height)
    generator = facts.generator | {"synthetic": False}
    found = rendered(replace(facts, packed=facts.packed.with_columns(column), generator=generator))

    assert found["rai:hasSyntheticData"] is False
    assert "synthetic" not in found["keywords"]
    assert [term.rpartition("/")[2] for term in found["digitalSourceType"]] == ["digitalCapture"]
    assert "parts of 1 real images" in found["description"]


@needs_mlcroissant
def test_hostile_texts_and_a_split_without_a_usual_name_validate(tmp_path: Path) -> None:
    hostile = 'a "b" \\ {c} </script> \n é 𝒳'
    folder, facts = make_build(
        tmp_path / "build",
        labels=[hostile, "River"],
        splits={"train": 0.5, "holdout": 0.5},
        recipe={"title": hostile, "description": hostile},
    )
    shards = {
        path.relative_to(folder.root).as_posix(): {"sha256": files.sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.data.glob("*.tar"))
    }
    folder.croissant.write_text(render_croissant(facts, shards, "metadata/*.parquet"), encoding="utf-8")

    found = read_croissant(folder.croissant, "splits", "labels", cache=tmp_path / "cache")

    assert [row["name"] for row in found["records"]["splits"]] == ["train", "holdout"]
    assert found["records"]["labels"][0]["name"] == hostile
    assert len(found["warnings"]) == 1


def test_a_build_without_samples_has_no_files_and_no_records(facts: BuildFacts) -> None:
    found = rendered(replace(facts, packed=facts.packed.clear()), {})
    assert found["distribution"] == found["recordSet"] == []


@pytest.mark.parametrize(
    ("license", "address"),
    [
        ("cc-by-nc-sa-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
        ("cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("mit", "https://opensource.org/license/mit"),
        ("openrail", "openrail"),
    ],
)
def test_a_licence_is_told_by_the_address_of_its_text(license: str, address: str) -> None:
    assert license_address(painted(license=license)) == address


def test_a_licence_of_ones_own_is_told_by_its_link() -> None:
    recipe: Recipe = painted(license="other", license_name="Ours", license_link="https://example.org/ours")
    assert license_address(recipe) == "https://example.org/ours"


def test_facts_of_a_folder_do_not_need_the_description(tmp_path: Path) -> None:
    folder = build(painted(candidates=8), tmp_path / "out", engine="inline").folder
    text = folder.croissant.read_text()
    folder.croissant.unlink()

    tars = {
        name: {"sha256": entry["sha256"], "bytes": entry["bytes"]}
        for name, entry in read_manifest(folder)["files"].items()
        if re.fullmatch(r"data/.*[.]tar", name)
    }
    assert render_croissant(facts_of_folder(folder), tars, "metadata/*.parquet") == text
