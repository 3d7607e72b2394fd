"""A packed build is read by the readers that people use, with equal bytes, and says that it is synthetic."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from synrs_data.build.run import BuildResult, build, reselect
from synrs_data.errors import RecipeError, SelectionError, VerificationError
from synrs_data.shards import members
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted

# webdataset and datasets leave the files they stream from to the garbage collector.
readers = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(painted(), tmp_path_factory.mktemp("packed") / "out", engine="inline")


def _direct(result: BuildResult) -> dict[str, str]:
    tars = sorted(result.folder.data.glob("*.tar"))
    samples = [sample for tar in tars for sample in members(tar)]
    return {key: hashlib.sha256(fields["jpg"]).hexdigest() for key, fields in samples}


def test_every_candidate_is_packed_or_rejected_once(built: BuildResult) -> None:
    packed = list(_direct(built))
    rejected = pl.read_parquet(built.folder.rejects)["key"].to_list()
    assert sorted(packed + rejected) == [f"{index:09d}" for index in range(40)]
    assert len(packed) > 30
    assert list(verify(built.folder)) == []


@readers
def test_webdataset_reads_equal_bytes(built: BuildResult) -> None:
    import webdataset

    urls = [str(path) for path in sorted(built.folder.data.glob("*.tar"))]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert {row["__key__"]: hashlib.sha256(row["jpg"]).hexdigest() for row in rows} == _direct(built)
    assert {frozenset(name for name in row if not name.startswith("__")) for row in rows} == {
        frozenset({"jpg", "txt", "cls", "json"})
    }


@readers
@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_reads_the_folder_with_its_splits(
    built: BuildResult, tmp_path: Path, streaming: bool
) -> None:
    import datasets

    loaded = datasets.load_dataset(str(built.folder.root), streaming=streaming, cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "test"}
    hashes: dict[str, str] = {}
    for split in loaded.values():
        raw = split.cast_column("jpg", datasets.Image(decode=False))
        for row in raw:
            hashes[row["__key__"]] = hashlib.sha256(row["jpg"]["bytes"]).hexdigest()
            assert row["json"]["synthetic"] is True
            assert isinstance(row["json"]["scores"]["ruler_mean"], float)
    assert hashes == _direct(built)
    assert loaded["train"].features["cls"].names[1] == "Forest"


@readers
@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_reads_the_tars_alone(built: BuildResult, tmp_path: Path, streaming: bool) -> None:
    import datasets

    files = [str(path) for path in sorted(built.folder.data.glob("*.tar"))]
    loaded = datasets.load_dataset(
        "webdataset", data_files={"train": files}, split="train", streaming=streaming, cache_dir=str(tmp_path)
    ).cast_column("jpg", datasets.Image(decode=False))
    assert {row["__key__"]: hashlib.sha256(row["jpg"]["bytes"]).hexdigest() for row in loaded} == _direct(
        built
    )


@pytest.mark.parametrize("image_format", ["jpg", "png", "webp"])
def test_each_image_says_it_is_synthetic_and_from_which_prompt(tmp_path: Path, image_format: str) -> None:
    recipe = painted(candidates=4, image={"format": image_format, "quality": 100}, filters=[], select={})
    result = build(recipe, tmp_path / "out", engine="inline")
    _, fields = next(members(next(result.folder.data.glob("*.tar"))))
    image: Any = Image.open(io.BytesIO(fields[image_format]))
    record = json.loads(fields["json"])
    xmp = fields[image_format].decode("latin-1")
    assert "digitalsourcetype/trainedAlgorithmicMedia" in xmp
    if image_format == "png":
        described, tool = image.text["Description"], image.text["Software"]
    else:
        described, tool = image.getexif()[0x010E], image.getexif()[0x0131]
    assert record["prompt"] in described
    assert "Synthetic" in described
    assert tool.startswith("synrs-data")
    assert image.size == (16, 16)


def test_tables_find_each_sample_in_its_tar(built: BuildResult) -> None:
    from synrs_data.shards import Span, read_sample

    for path in built.folder.metadata.glob("*.parquet"):
        for row in pl.read_parquet(path).iter_rows(named=True):
            fields = read_sample(built.folder.root / row["file"], Span(row["offset"], row["length"]))
            assert json.loads(fields["json"])["key"] == row["key"]


def test_selecting_again_generates_nothing_and_can_be_undone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    before = final_hashes(out)
    reselect(out, ["select.per_label.max=1", "select.splits={train: 1.0}"])
    assert len(pl.read_parquet(out / "metadata/*.parquet")) == 10
    assert sorted(path.name for path in (out / "data").iterdir()) == ["train-00000.tar"]
    assert list(verify(build(painted(), out, engine="inline").folder)) == []
    assert final_hashes(out) == before


def test_selection_alone_may_be_changed_by_select(built: BuildResult) -> None:
    with pytest.raises(RecipeError, match="not of the selection part"):
        reselect(built.folder.root, ["seed=4"])


def test_a_selection_that_fails_leaves_the_dataset_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    before = final_hashes(out)
    with pytest.raises(SelectionError):
        reselect(out, ["select.per_label.min=9"])
    with pytest.raises(SelectionError):
        build(painted(select={"per_label": {"min": 9}}), out, engine="inline")
    assert final_hashes(out) == before


def test_selecting_refuses_when_candidates_are_not_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    (out / "candidates/00001.tar").unlink()
    with pytest.raises(VerificationError, match="1 of 5 candidate shards"):
        reselect(out, ["select.per_label.max=1"])
