"""A build of images made larger from existing ones: sources kept, samples marked as composites, byte for byte again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synrs_data.build.plan import digests_of
from synrs_data.build.run import build
from synrs_data.errors import UserError
from synrs_data.recipe import Recipe
from synrs_data.sample import COMPOSITE_ALGORITHMIC_MEDIA
from synrs_data.shards import members
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted
from tests.real_folder import real_folder
from tests.tiny_upscale_pipeline import write_x4
from tests.tiny_upscaler import rrdb_state, write_upscaler


def recipe(generator: dict[str, Any]) -> Recipe:
    return painted(
        task="lr-hr",
        labels="scene",
        captions={"method": "none"},
        image={"format": "png"},
        degradation={"method": "area", "scale": 4},
        candidates=8,
        shard_size=4,
        filters=[],
        generator=generator,
        select={"samples_per_shard": 8},
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return real_folder(tmp_path / "low")


def spandrel(tmp_path: Path, sources: Path, **changes: Any) -> Recipe:
    pytest.importorskip("spandrel", reason="the extra `sr` is not installed")
    model = write_upscaler(tmp_path / "tiny.pth", rrdb_state())
    return recipe({"method": "spandrel-upscale", "model": str(model), "images": str(sources)} | changes)


def samples(out: Path) -> list[dict[str, bytes]]:
    return [fields for tar in sorted((out / "data").glob("*.tar")) for _, fields in members(tar)]


def check(out: Path, sources: Path, family: str) -> None:
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(sources.rglob("*.png"))}
    found = samples(out)
    assert len(found) == 8
    for fields in found:
        record = json.loads(fields["json"])
        parameters = json.loads(record["parameters"])
        source = digests[record["derived_from"]]
        kept = np.asarray(Image.open(io.BytesIO(fields["source.png"])))
        assert np.array_equal(kept, np.asarray(Image.open(source)))
        high = Image.open(io.BytesIO(fields["hr.png"]))
        assert (high.size, Image.open(io.BytesIO(fields["lr.png"])).size) == ((64, 64), (16, 16))
        assert record["digital_source_type"] == high.info["Source"] == COMPOSITE_ALGORITHMIC_MEDIA
        assert (record["synthetic"], record["pipeline"], parameters["scale"]) == (True, family, 4)
        assert parameters["source"] == source.relative_to(sources).as_posix()
    assert {json.loads(fields["json"])["derived_from"] for fields in found} == digests.keys()
    assert list(verify(BuildFolder(out))) == []


def test_a_build_by_spandrel_keeps_its_sources_and_is_a_function(tmp_path: Path, sources: Path) -> None:
    plan = spandrel(tmp_path, sources)
    for name in ("out", "again"):
        build(plan, tmp_path / name, engine="inline")
    check(tmp_path / "out", sources, "ESRGAN")
    ours, theirs = (final_hashes(tmp_path / name) for name in ("out", "again"))
    timed = ("report.html", "manifest.json")
    assert {name: value for name, value in ours.items() if name not in timed} == {
        name: value for name, value in theirs.items() if name not in timed
    }


def test_a_build_by_diffusers_keeps_its_sources(tiny_pipeline: Path, tmp_path: Path, sources: Path) -> None:
    model = write_x4(tiny_pipeline, tmp_path / "x4")
    generator = {
        "method": "diffusers-upscale",
        "model": str(model),
        "images": str(sources),
        "steps": 1,
        "scale": 4,
    }
    build(recipe(generator), tmp_path / "out", engine="inline")
    check(tmp_path / "out", sources, "StableDiffusionUpscalePipeline")


def test_a_source_of_an_evaluation_stops_the_build(tmp_path: Path, sources: Path) -> None:
    test = tmp_path / "test"
    test.mkdir()
    shutil.copyfile(sources / "Forest/1.png", test / "x.png")
    with pytest.raises(UserError, match="is the same file as"):
        digests_of(spandrel(tmp_path, sources, evaluation=str(test)))
