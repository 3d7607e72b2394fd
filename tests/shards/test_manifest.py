"""Verification: a finished build is as promised, and whatever changes afterwards is reported."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synrs_data.build.run import build
from synrs_data.errors import VerificationError
from synrs_data.recipe_file import load_recipe
from synrs_data.sample import sample_key
from synrs_data.shards import TarWriter, members, sample_bytes
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest, verify

RECIPE = """
name: painted
license: mit
labels: eurosat
candidates: 40
shard_size: 20
captions: {method: class-template}
generator: {method: paint}
filters: [{method: ruler}, {method: near-duplicate}]
select:
  thresholds: {ruler_mean: {min: 118}}
  splits: {train: 0.5, test: 0.5}
  samples_per_shard: 8
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.yaml").write_text(RECIPE)
    build(load_recipe(folder / "recipe.yaml"), folder / "out", engine="inline", device="cpu")
    return folder / "out"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> BuildFolder:
    return BuildFolder(Path(shutil.copytree(finished, tmp_path / "out")))


def faults(folder: BuildFolder) -> list[str]:
    return list(verify(folder))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def reseal(folder: BuildFolder, *names: str, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Write the manifest again as if these files had always been so."""
    manifest = read_manifest(folder)
    for name in names:
        path = folder.root / name
        manifest["files"][name] |= {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
    if change:
        change(manifest)
    folder.manifest.write_text(manifest_text(manifest))


Edit = Callable[[str, dict[str, bytes]], dict[str, bytes] | None]


def remake(path: Path, edit: Edit) -> None:
    """Write a tar again with each sample's fields edited; None drops the sample."""
    found = [(key, edit(key, dict(fields))) for key, fields in members(path)]
    with path.open("wb") as file:
        writer = TarWriter(file)
        for key, fields in found:
            if fields is not None:
                writer.write(sample_bytes(key, fields))
        writer.close()


def test_a_build_that_nobody_touched_has_no_faults(folder: BuildFolder) -> None:
    assert faults(folder) == []
    manifest = read_manifest(folder)
    assert len([name for name in manifest["files"] if name.endswith(".tar")]) >= 3
    assert manifest["files"]["rejects.parquet"]["samples"] > 0


def test_the_writer_of_a_manifest_can_be_read_again(folder: BuildFolder) -> None:
    reseal(folder)
    assert faults(folder) == []


NAMES = (
    "README.md",
    "samples.jpg",
    "croissant.json",
    "report.html",
    "recipe.yaml",
    "build.json",
    "captions.jsonl",
    "rejects.parquet",
    "data/train-00000.tar",
    "data/test-00000.tar",
    "metadata/train-00000.parquet",
    "candidates/00000.tar",
    "candidates/00001.parquet",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_of_a_file_is_reported_by_its_name(folder: BuildFolder, name: str) -> None:
    path = folder.root / name
    data = path.read_bytes()
    for offset in (0, len(data) // 3, len(data) // 2, len(data) - 1):
        flip(path, offset)
        assert any(fault.startswith(name) for fault in faults(folder)), offset
        path.write_bytes(data)
    assert faults(folder) == []


def test_every_flipped_byte_of_the_manifest_is_reported(folder: BuildFolder) -> None:
    text = folder.manifest.read_bytes()
    for offset in range(0, len(text), 61):
        flip(folder.manifest, offset)
        try:
            found = faults(folder)
        except VerificationError as error:
            found = [str(error)]
        assert any("manifest.json" in fault for fault in found), text[offset - 10 : offset + 10]
        folder.manifest.write_bytes(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_reported(folder: BuildFolder, name: str) -> None:
    (folder.root / name).unlink()
    assert f"{name}: is missing" in faults(folder)


@pytest.mark.parametrize(
    "name", ["data/extra.txt", "data/train-00099.tar", "metadata/x/y.parquet", "data/.partial-1-a"]
)
def test_an_extra_file_among_the_shards_is_reported(folder: BuildFolder, name: str) -> None:
    (folder.root / name).parent.mkdir(exist_ok=True)
    (folder.root / name).write_bytes(b"")
    assert faults(folder) == [f"{name}: is not in the manifest"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_tar_that_is_cut_short_is_reported(folder: BuildFolder, share: float) -> None:
    path = folder.data / "train-00000.tar"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    found = faults(folder)
    assert any(fault.startswith("data/train-00000.tar: has ") and "bytes, not" in fault for fault in found)
    # Even if the manifest were written from the damaged file, the samples would tell.
    reseal(folder, "data/train-00000.tar")
    assert any(fault.startswith("data/train-00000.tar: ") for fault in faults(folder))


def test_swapped_shards_are_both_reported(folder: BuildFolder) -> None:
    first, second = folder.data / "train-00000.tar", folder.data / "test-00000.tar"
    first.rename(folder.data / "x")
    second.rename(first)
    (folder.data / "x").rename(second)
    found = " ".join(faults(folder))
    assert "data/train-00000.tar: " in found
    assert "data/test-00000.tar: " in found
    reseal(folder, "data/train-00000.tar", "data/test-00000.tar")
    assert "metadata/train-00000.parquet: does not list the samples" in " ".join(faults(folder))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m["files"]["data/train-00000.tar"].update(samples=3), "has 8 samples, not 3"),
        (lambda m: m["splits"]["train"].update(samples=1), "split train is"),
        (lambda m: m["splits"]["train"].update(shards=9), "split train is"),
        (lambda m: m["splits"].pop("test"), "are not 40 candidates"),
        (lambda m: m.update(candidates=41), "are not 41 candidates"),
        (
            lambda m: m["files"]["rejects.parquet"].update(samples=0),
            "rejects.parquet: does not hold 0 samples",
        ),
        (lambda m: m["labels"].clear(), "is none of the 0 labels"),
        (lambda m: m["scores"].pop("ruler_mean"), "'scores' is unknown"),
        (lambda m: m.update(image_format="png"), "has the fields"),
        (
            lambda m: m["files"].update({"../evil": {"sha256": "", "bytes": 0}}),
            "../evil: leads out of the folder",
        ),
        (lambda m: m["files"].update({"/etc/passwd": {"sha256": "", "bytes": 0}}), "leads out of the folder"),
    ],
)
def test_a_manifest_that_says_something_else_is_reported_though_its_digest_is_right(
    folder: BuildFolder, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    reseal(folder, change=change)
    assert expected in "\n".join(faults(folder))


def _json(change: Callable[[dict[str, Any]], Any]) -> Edit:
    def edit(key: str, fields: dict[str, bytes]) -> dict[str, bytes]:
        record = json.loads(fields["json"])
        change(record)
        return fields | {"json": json.dumps(record).encode()}

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_json(lambda record: record.pop("seed")), "'seed' is missing"),
        (_json(lambda record: record.update(seed="1")), "'seed' is str, not int"),
        (
            _json(lambda record: record["scores"].update(ruler_mean=None)),
            "score 'ruler_mean' is no finite number",
        ),
        (_json(lambda record: record.update(more=1)), "'more' is unknown"),
        (_json(lambda record: record.update(key="000000099")), "its json says the key is '000000099'"),
        (_json(lambda record: record.update(label=10)), "its label 10 is none of the 10 labels"),
        (lambda key, fields: fields | {"txt": b"other"}, "its txt is not the caption of its json"),
        (lambda key, fields: fields | {"cls": b"99"}, "its cls is not the label of its json"),
        (lambda key, fields: fields | {"json": b"{"}, "its json is damaged"),
        (lambda key, fields: fields | {"json": b"[" * 100_000}, "its json is damaged"),
        (lambda key, fields: fields | {"json": b"[]"}, "the JSON is no object"),
        (lambda key, fields: fields | {"jpg": b"no image"}, "its image cannot be read"),
        (lambda key, fields: fields | {"jpg": fields["jpg"][:300]}, "its image cannot be read"),
        (
            lambda key, fields: fields | {"png": b""},
            "has the fields cls, jpg, json, png, txt, not cls, jpg, json, txt",
        ),
        (lambda key, fields: {"txt": fields["txt"]}, "has the fields txt, not"),
    ],
)
def test_a_shard_made_anew_with_wrong_samples_is_reported_though_its_sha256_is_right(
    folder: BuildFolder, edit: Edit, expected: str
) -> None:
    name = "data/train-00000.tar"
    remake(folder.root / name, edit)
    reseal(folder, name)
    found = faults(folder)
    assert f"{name}, sample " in found[0]
    assert expected in "\n".join(found)


def test_a_sample_that_is_taken_out_is_reported_twice(folder: BuildFolder) -> None:
    name = "data/train-00000.tar"
    first = next(members(folder.root / name))[0]
    remake(folder.root / name, lambda key, fields: None if key == first else fields)
    reseal(folder, name)
    assert faults(folder) == [
        f"{name}: has 7 samples, not 8",
        f"metadata/train-00000.parquet: does not list the samples of {name} in their order",
    ]


def test_a_sample_that_is_in_two_shards_is_reported(folder: BuildFolder) -> None:
    shutil.copy(folder.data / "train-00000.tar", folder.data / "test-00000.tar")
    reseal(folder, "data/test-00000.tar")
    assert "the key is in another shard too" in "\n".join(faults(folder))


def test_a_table_that_is_no_table_is_reported(folder: BuildFolder) -> None:
    name = "metadata/train-00000.parquet"
    (folder.root / name).write_bytes(b"PAR1")
    reseal(folder, name)
    assert f"{name}: cannot be read" in faults(folder)
    pl.DataFrame({"other": [1]}).write_parquet(folder.root / name)
    reseal(folder, name)
    assert f"{name}: cannot be read" in faults(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 5}', '{"files": {"00001.tar": 5}}'])
def test_a_damaged_done_marker_is_reported(folder: BuildFolder, text: str) -> None:
    folder.done(1).write_text(text)
    assert faults(folder) == ["candidates/00001.done.json: cannot be read as a done marker"]


def test_a_done_marker_that_leads_out_of_the_folder_is_reported(folder: BuildFolder) -> None:
    folder.done(1).write_text('{"files": {"../../x": {"bytes": 1, "sha256": ""}}}')
    assert faults(folder) == [
        "candidates/../../x: leads out of the folder",
        "candidates/00001.done.json: its contents have changed",
    ]


def test_a_folder_without_a_manifest_is_told_apart(folder: BuildFolder) -> None:
    folder.manifest.unlink()
    with pytest.raises(VerificationError, match=r"there is no manifest\.json") as caught:
        faults(folder)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "5",
        "{}",
        '{"format": 1}',
        '{"format": 1, "files": []}',
        b"\xff\xfe",
        "[" * 100_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_manifest_that_is_none_is_one_message(folder: BuildFolder, text: str | bytes) -> None:
    folder.manifest.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(VerificationError, match="cannot be read as a manifest"):
        faults(folder)


@pytest.mark.parametrize(
    "key", ["task", "fingerprints", "candidates", "splits", "labels", "image_format", "scores", "files"]
)
def test_a_manifest_without_a_key_or_with_another_type_is_one_message(folder: BuildFolder, key: str) -> None:
    values = json.loads(folder.manifest.read_text())
    for wrong in ({name: value for name, value in values.items() if name != key}, values | {key: None}):
        folder.manifest.write_text(json.dumps(wrong))
        with pytest.raises(VerificationError, match="cannot be read as a manifest"):
            read_manifest(folder)


def test_a_manifest_of_a_later_format_asks_for_that_version(folder: BuildFolder) -> None:
    folder.manifest.write_text(json.dumps(json.loads(folder.manifest.read_text()) | {"format": 2}))
    with pytest.raises(VerificationError, match="has format 2, this synrs-data knows 1"):
        read_manifest(folder)


def test_keys_of_the_packed_samples_are_those_of_the_candidates(folder: BuildFolder) -> None:
    manifest = read_manifest(folder)
    tars = [name for name in manifest["files"] if name.endswith(".tar")]
    packed = {key for name in tars for key, _ in members(folder.root / name)}
    rejected = set(pl.read_parquet(folder.rejects)["key"].to_list())
    assert packed | rejected == {sample_key(index) for index in range(40)}
    assert not packed & rejected
