"""Datasets of the Hub: addresses, what is fetched, and what is read of it; no test asks the network."""

from __future__ import annotations

import fnmatch
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from synrs_data.errors import UserError
from synrs_data.image_sources import ImageSource
from synrs_data.image_sources.hub import DatasetAddress, parse_address
from tests.image_sources.samples import encoded, member, plain_tar, write_parquet, write_tar

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://datasets/me/x", DatasetAddress("me/x", None, "")),
        ("hf://datasets/me/x/", DatasetAddress("me/x", None, "")),
        ("hf://datasets/me/x@v1.0", DatasetAddress("me/x", "v1.0", "")),
        ("hf://datasets/me/x@v1/data//train", DatasetAddress("me/x", "v1", "data/train")),
        ("hf://datasets/me/x@refs/pr/3/data", DatasetAddress("me/x", "refs/pr/3", "data")),
        ("hf://datasets/me/x@refs%2Fconvert%2Fparquet", DatasetAddress("me/x", "refs/convert/parquet", "")),
        ("hf://datasets/m.e/x_y-z/a@b.tar", DatasetAddress("m.e/x_y-z", None, "a@b.tar")),
        ("/data/images", None),
        ("me/x", None),
    ],
)
def test_addresses_are_read(text: str, expected: DatasetAddress | None) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://me/x",
        "hf://datasets/x",
        "hf://datasets/me/x@",
        "hf://datasets/me/x/../../etc",
        "hf://datasets/me/x/./a",
        "hf://datasets/me /x",
        "hf://spaces/me/x",
        "hf://datasets/me/x@a@b",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no address of a dataset"):
        parse_address(text)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for the dataset me/x: what is asked for is linked into a snapshot, as in a cache."""
    repository = tmp_path / "repository"
    repository.mkdir()

    def download(name: str, *, repo_type: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert (name, repo_type) == ("me/x", "dataset")
        snapshot = tmp_path / "snapshots" / COMMIT
        with (tmp_path / "asked.jsonl").open("a") as log:
            log.write(json.dumps({"revision": revision, "patterns": allow_patterns}) + "\n")
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in repository.rglob("*"):
            relative = path.relative_to(repository).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(relative, pattern) for pattern in allow_patterns):
                (snapshot / relative).parent.mkdir(parents=True, exist_ok=True)
                if not (snapshot / relative).exists():
                    (snapshot / relative).symlink_to(path)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return repository


def names(location: str, field: str | None = None) -> list[str]:
    return [image.name for image in ImageSource(location, field).images]


def test_a_dataset_gives_its_images_and_its_commit(repository: Path, tmp_path: Path) -> None:
    write_parquet(repository / "data/train-00000-of-00001.parquet", [encoded(1), encoded(2)])
    (repository / "README.md").write_text("x")
    (repository / "model.bin").write_bytes(b"x")
    source = ImageSource("hf://datasets/me/x@v1")
    assert [image.name for image in source.images] == [
        "data/train-00000-of-00001.parquet:000000",
        "data/train-00000-of-00001.parquet:000001",
    ]
    assert source.images[1].read() == encoded(2)
    assert (source.name, source.revision, source.synthetic) == ("me/x", COMMIT, False)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert [call["revision"] for call in asked] == ["v1", COMMIT]
    fetched = {path.name for path in (tmp_path / "snapshots" / COMMIT).rglob("*") if path.is_file()}
    assert fetched == {"README.md", "train-00000-of-00001.parquet"}


def test_a_path_fetches_and_reads_that_part_alone(repository: Path, tmp_path: Path) -> None:
    for name in ("hr[1]/a.PNG", "hr[1]/b/c.png", "hr1/d.png", "lr/a.png"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_bytes(encoded(len(name)))
    assert names("hf://datasets/me/x/hr[1]") == ["hr[1]/a.PNG", "hr[1]/b/c.png"]
    assert not (tmp_path / "snapshots" / COMMIT / "lr").exists()
    assert names("hf://datasets/me/x/lr/a.png") == ["lr/a.png"]
    with pytest.raises(UserError, match="there is no such file or folder"):
        names("hf://datasets/me/x/sr")


def test_the_digest_does_not_depend_on_where_the_cache_lies(repository: Path, tmp_path: Path) -> None:
    plain_tar(repository / "data/a.tar")
    copy = shutil.copytree(repository, tmp_path / "copy")
    assert ImageSource("hf://datasets/me/x").digest() == ImageSource(str(copy)).digest()


def test_a_published_build_is_told_by_its_manifest(repository: Path) -> None:
    tar = write_tar(
        repository / "data/train-00000.tar",
        member("000000000.hr.png", encoded(1)),
        member("000000000.lr.png", encoded(2)),
    )
    values: dict[str, Any] = {
        "format": 1,
        "fingerprints": {},
        "candidates": 1,
        "generator": {"model": "m"},
        "files": {"data/train-00000.tar": {"bytes": tar.stat().st_size, "sha256": "x"}},
    }
    (repository / "manifest.json").write_text(json.dumps(values))
    for address in ("hf://datasets/me/x", "hf://datasets/me/x/data"):
        assert names(address) == ["data/train-00000.tar:000000000.hr.png"]
        assert ImageSource(address).synthetic


def test_no_dataset_and_no_network_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder.\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError) as caught:
        names("hf://datasets/me/x@v1")
    assert str(caught.value).splitlines()[0] == (
        "hf://datasets/me/x@v1: the Hub does not give this dataset: "
        "Cannot find an appropriate cached snapshot folder."
    )
    assert "hf download me/x --repo-type dataset --local-dir DIR" in caught.value.fix


def test_offline_the_cache_alone_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="the Hub does not give this dataset"):
        names("hf://datasets/synrs-data-tests/not-there")


def test_a_path_is_never_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> str:
        raise AssertionError("asked the Hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no such file or folder"):
        names("me/x")
