"""A build from real images does not start if one of them is needed to test what it is for."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from synrs_data.build.plan import digests_of
from synrs_data.build.run import build
from synrs_data.build.sources import check_clash
from synrs_data.errors import UserError
from synrs_data.fingerprint import generation_fingerprint
from synrs_data.recipe import Recipe
from synrs_data.resources import shipped
from synrs_data.shards import members
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted
from tests.real_folder import real_folder

EUROSAT = shipped("builders", "sources", "eurosat")


def guided(pipeline: Path, sources: Path, **options: Any) -> Recipe:
    labels = sources.parent / "labels.yaml"
    labels.write_text(
        "name: two\ntitle: Two\nsource: test\n"
        "labels:\n- {name: Forest, phrase: forest}\n- {name: River, phrase: river}\n"
    )
    spec = {
        "method": "real-guidance",
        "model": str(pipeline),
        "sources": str(sources),
        "shots": 4,
        "steps": 4,
        "batch_size": 4,
    }
    return painted(
        labels=str(labels),
        generator=spec | options,
        candidates=16,
        filters=[],
        select={"samples_per_shard": 8},
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return real_folder(tmp_path / "real", side=64)


def _sources(root: Path) -> list[Path]:
    return sorted(root.rglob("*.png"))


def test_other_images_are_no_clash(tmp_path: Path) -> None:
    real = sorted(EUROSAT.rglob("*.jpg"))
    assert len(real) == 160
    for path in real[::2]:
        shutil.copyfile(path, tmp_path / path.name)
    check_clash(real[1::2], tmp_path)


@pytest.mark.parametrize("change", ["copy", "jpeg", "smaller", "tar"])
def test_a_source_of_the_evaluation_is_named_with_its_twin(tmp_path: Path, change: str) -> None:
    real = sorted(EUROSAT.rglob("*.jpg"))
    original = real[101]
    shutil.copyfile(real[7], tmp_path / "a.jpg")
    with Image.open(original) as file:
        image = file.convert("RGB")
    if change == "copy":
        shutil.copyfile(original, tmp_path / "b.jpg")
    elif change == "jpeg":
        image.save(tmp_path / "b.jpg", quality=75)
    elif change == "smaller":
        image.resize((48, 48)).save(tmp_path / "b.png")
    else:
        content = original.read_bytes()
        with tarfile.open(tmp_path / "b.tar", "w") as tar:
            info = tarfile.TarInfo("000000001.jpg")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(UserError, match="belongs to the evaluation") as caught:
        check_clash([path for path in real if path != real[7]], tmp_path)
    assert caught.value.where == str(original)
    assert str(tmp_path / "b") in caught.value.what


def test_a_clash_stops_the_build_before_anything_is_made(
    tiny_pipeline: Path, sources: Path, tmp_path: Path
) -> None:
    test = tmp_path / "test"
    test.mkdir()
    shutil.copyfile(sources / "Forest/1.png", test / "x.png")
    with pytest.raises(UserError, match="is the same file as"):
        build(guided(tiny_pipeline, sources, evaluation=str(test)), tmp_path / "out", engine="inline")
    assert list((tmp_path / "out/candidates").iterdir()) == []


def test_only_images_that_are_used_are_compared(tiny_pipeline: Path, sources: Path, tmp_path: Path) -> None:
    recipe = guided(tiny_pipeline, sources, shots=1)
    build(recipe, tmp_path / "out", engine="inline")
    tar = next((tmp_path / "out/data").iterdir())
    records = [json.loads(fields["json"]) for _, fields in members(tar)]
    used = {json.loads(record["parameters"])["source"] for record in records}
    test = tmp_path / "test"
    test.mkdir()
    idle = next(path for path in _sources(sources) if path.relative_to(sources).as_posix() not in used)
    shutil.copyfile(idle, test / "x.png")
    digests_of(guided(tiny_pipeline, sources, shots=1, evaluation=str(test)))


def test_a_label_without_enough_sources_is_told_when_planned(tiny_pipeline: Path, sources: Path) -> None:
    (sources / "River/0.png").unlink()
    with pytest.raises(UserError, match="3 different images of the label 'River', fewer than the 4 shots"):
        digests_of(guided(tiny_pipeline, sources))


def test_the_evaluation_decides_no_candidate(tiny_pipeline: Path, sources: Path, tmp_path: Path) -> None:
    test = real_folder(tmp_path / "test", labels=("Lake", "Road", "Crop"), side=64) / "Crop"
    prints = [
        generation_fingerprint(recipe, digests_of(recipe))
        for recipe in (
            guided(tiny_pipeline, sources),
            guided(tiny_pipeline, sources, evaluation=str(test)),
        )
    ]
    assert prints[0] == prints[1]


def test_a_guided_build_names_sources_and_is_a_function(
    tiny_pipeline: Path, sources: Path, tmp_path: Path
) -> None:
    recipe = guided(tiny_pipeline, sources)
    first = build(recipe, tmp_path / "a", engine="inline")
    assert list(verify(first.folder)) == []
    for tar in first.folder.data.iterdir():
        for _, fields in members(tar):
            record = json.loads(fields["json"])
            parameters = json.loads(record["parameters"])
            assert parameters["source"].startswith(f"{record['label_name']}/")
            assert parameters["strength"] == 0.35
            assert record["derived_from"]
            assert "source.jpg" in fields
    build(recipe, tmp_path / "b", engine="inline", shards=(1, 2))
    build(recipe, tmp_path / "b", engine="inline")
    assert final_hashes(tmp_path / "b") == final_hashes(tmp_path / "a")
