"""One description of a repository with several configs, which mlcroissant reads where the repository lies."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from synrs_data.build.run import build
from synrs_data.errors import VerificationError
from synrs_data.hub.croissant import combine_croissants
from synrs_data.shards import members
from tests.build.painted import painted
from tests.croissant_reader import needs_mlcroissant, pixels, read_croissant, validate
from tests.report.test_croissant import PAIRS

REPO = "alice/tiles"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two configs in the published layout and the description that joins theirs."""
    root = tmp_path_factory.mktemp("published")
    for config, changes in (("scene-caption", {}), ("lr-hr", PAIRS)):
        out = build(
            painted(**({"candidates": 12} | changes)), root / f"build-{config}", engine="inline"
        ).folder.root
        shutil.copytree(
            out, root / "repo" / config, ignore=shutil.ignore_patterns("candidates", "events.jsonl")
        )
    (root / "repo/croissant.json").write_text(
        combine_croissants(texts(root / "repo"), REPO), encoding="utf-8"
    )
    return root / "repo"


def texts(root: Path) -> dict[str, str]:
    """Return the descriptions of all configs."""
    return {
        path.parent.name: path.read_text(encoding="utf-8") for path in sorted(root.glob("*/croissant.json"))
    }


def document(root: Path) -> dict[str, Any]:
    """Return the joined description."""
    found: dict[str, Any] = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    return found


@needs_mlcroissant
def test_the_joined_description_validates(published: Path, tmp_path: Path) -> None:
    done = validate(published / "croissant.json", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Found the following 1 warning(s)" in done.stderr and "datePublished" in done.stderr


@needs_mlcroissant
def test_mlcroissant_reads_the_samples_of_each_config(published: Path, tmp_path: Path) -> None:
    names = [f"{config}/samples" for config in ("scene-caption", "lr-hr")]
    found = read_croissant(published / "croissant.json", *names, cache=tmp_path)["records"]

    for name, image in zip(names, ("jpg", "lr.png"), strict=True):
        folder = published / name.partition("/")[0] / "data"
        samples = {key: fields for tar in sorted(folder.glob("*.tar")) for key, fields in members(tar)}
        assert sorted(row["key"] for row in found[name]) == sorted(samples)
        for row in found[name]:
            fields = samples[row["key"]]
            assert json.loads(row["json"]) == json.loads(fields["json"])
            assert row["seed"] == json.loads(fields["json"])["seed"]
            assert row[image] == pixels(Image.open(io.BytesIO(fields[image])))


def test_ids_and_paths_begin_with_their_config_and_paths_exist(published: Path) -> None:
    found = document(published)
    nodes = [*found["distribution"], *found["recordSet"]]

    assert {node["@id"].partition("/")[0] for node in nodes} == {"scene-caption", "lr-hr"}
    assert len({node["@id"] for node in nodes}) == len(nodes)
    addresses = [node["contentUrl"] for node in found["distribution"] if "contentUrl" in node]
    assert sorted(addresses) == sorted(
        path.relative_to(published).as_posix() for path in published.glob("*/data/*.tar")
    )
    for node in found["distribution"]:
        if "containedIn" not in node and "includes" in node:
            assert list(published.glob(node["includes"]))


def test_name_address_and_terms_of_both_configs_are_told(published: Path) -> None:
    found = document(published)

    assert (found["name"], found["url"]) == (REPO, "https://huggingface.co/datasets/alice/tiles")
    assert found["license"] == "https://opensource.org/license/mit"
    assert found["rai:hasSyntheticData"] is True
    lines = found["rai:dataCollection"].splitlines()
    assert [line.partition(":")[0] for line in lines] == ["lr-hr", "scene-caption"]
    made = [activity["prov:label"].partition(":")[0] for activity in found["prov:wasGeneratedBy"]]
    assert made == ["lr-hr", "lr-hr", "scene-caption", "scene-caption"]
    assert len(found["rai:dataLimitations"]) == len(set(found["rai:dataLimitations"]))
    assert any(text.startswith("lr-hr: A program degraded") for text in found["rai:dataLimitations"])


def test_the_order_of_configs_changes_no_byte_and_a_changed_config_changes_the_version(
    published: Path,
) -> None:
    own = texts(published)
    text = combine_croissants(own, REPO)

    assert combine_croissants(dict(reversed(own.items())), REPO) == text
    other = own | {"lr-hr": own["lr-hr"].replace("shrink", "shrunk")}
    assert json.loads(combine_croissants(other, REPO))["version"] != json.loads(text)["version"]


def test_one_config_keeps_its_own_words(published: Path) -> None:
    own = json.loads(texts(published)["lr-hr"])
    found = json.loads(combine_croissants({"lr-hr": json.dumps(own)}, REPO))

    for name in ("description", "rai:dataCollection", "rai:dataLimitations", "citeAs", "license"):
        assert found[name] == own[name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "[" * 100_000,
        lambda text: text.replace("croissant/1.1", "croissant/0.8"),
        lambda text: text.replace('"description"', '"descriptor"'),
        lambda text: text.replace('"@id"', '"@ids"'),
        lambda text: text.replace('"@type": "cr:FileSet"', '"@type": 3'),
        lambda text: text.replace('"includes"', '"excludes"'),
        lambda text: json.dumps(json.loads(text) | {"recordSet": [3]}),
        lambda text: json.dumps(json.loads(text) | {"distribution": None}),
        lambda text: json.dumps(json.loads(text) | {"rai:dataBiases": [{}]}),
        lambda text: json.dumps(json.loads(text) | {"prov:wasGeneratedBy": ["by hand"]}),
    ],
)
def test_a_damaged_or_foreign_description_is_named(published: Path, damage: Any) -> None:
    own = texts(published)

    with pytest.raises(VerificationError) as caught:
        combine_croissants(own | {"lr-hr": damage(own["lr-hr"])}, REPO)

    assert caught.value.where == "lr-hr/croissant.json"
    assert "lr-hr" in caught.value.fix
