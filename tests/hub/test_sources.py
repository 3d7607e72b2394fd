"""`hf://` addresses of published builds as sources of images: what is fetched of them, and what is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synrs_data.image_sources import ImageSource
from synrs_data.shards import members
from tests.hub import reading
from tests.hub.client import ROOT, Client, ClientError
from tests.hub.disks import small_disk
from tests.hub.reading import ADDRESS, PATH, put
from tests.hub.server import Hub

SHARD = "data/train-00000.tar"
_BUILD = (sys.executable, "-m", "synrs_data", "build", "--engine", "inline", "--device", "cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.scenes(tmp_path_factory.mktemp("scenes") / "out")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.pairs(tmp_path_factory.mktemp("pairs") / "out")


@pytest.fixture
def both(hub: Hub, scenes: Path, pairs: Path, request: pytest.FixtureRequest) -> str:
    """Put two builds on the Hub, with pictures beside them as a publish has them, and return the commit."""
    hub.create(PATH)
    _, fields = next(iter(members(scenes / SHARD)))
    return put(
        hub,
        {"scene-caption": scenes, "lr-hr": pairs},
        **{"scene-caption/samples.jpg": fields["jpg"], "lr-hr/samples.jpg": fields["jpg"]},
        # Another commit in each test, because the client keeps what it has fetched of one.
        **{"test.txt": request.node.name.encode()},
    )


def fetched(hub: Hub) -> set[str]:
    """Return the paths of the dataset that were asked for."""
    return {seen.path.split("/resolve/")[1].partition("/")[2] for seen in hub.requests("*", "*/resolve/*")}


def shards(folder: Path, config: str) -> set[str]:
    return {f"{config}/data/{path.name}" for path in (folder / "data").glob("*.tar")}


def test_a_config_is_the_build_that_was_published_and_its_shards_are_all_that_is_fetched(
    hub: Hub, hub_client: Client, both: str, scenes: Path
) -> None:
    local = ImageSource(str(scenes))
    found = hub_client(reading.source, f"{ADDRESS}@{both}/scene-caption")
    assert found == {
        "names": [image.name for image in local.images],
        "first": local.images[0].read(),
        "digest": local.digest(),
        "revision": both,
        "synthetic": True,
    }
    assert fetched(hub) == {
        "README.md",
        "scene-caption/manifest.json",
        "lr-hr/manifest.json",
        *shards(scenes, "scene-caption"),
    }


def test_the_high_resolution_image_of_a_pair_is_read(
    hub: Hub, hub_client: Client, both: str, pairs: Path
) -> None:
    found = hub_client(reading.source, f"{ADDRESS}@main/lr-hr")
    assert found["digest"] == ImageSource(str(pairs)).digest()
    assert {name.partition(":")[2][9:] for name in found["names"]} == {".hr.png"}


def test_a_part_of_a_build_is_that_part(hub: Hub, hub_client: Client, both: str, scenes: Path) -> None:
    found = hub_client(reading.source, f"{ADDRESS}@{both}/scene-caption/{SHARD}")
    assert len(found["names"]) == len(list(members(scenes / SHARD)))
    assert {name.partition(":")[0] for name in found["names"]} == {SHARD}
    assert f"scene-caption/{SHARD}" in fetched(hub)
    assert not fetched(hub) & (shards(scenes, "scene-caption") - {f"scene-caption/{SHARD}"})


def test_several_builds_are_named(hub: Hub, hub_client: Client, both: str, scenes: Path) -> None:
    with pytest.raises(ClientError, match="holds 2 builds: lr-hr, scene-caption") as caught:
        hub_client(reading.source, ADDRESS)
    assert f"hf://datasets/alice/scenes@{both}/lr-hr" in caught.value.message
    assert not fetched(hub) & shards(scenes, "scene-caption")


def test_the_only_build_needs_no_name(hub: Hub, hub_client: Client, scenes: Path) -> None:
    hub.create(PATH)
    put(hub, {"scene-caption": scenes})
    assert hub_client(reading.source, ADDRESS)["digest"] == ImageSource(str(scenes)).digest()


def test_a_dataset_that_is_no_build_is_read_as_before(hub: Hub, hub_client: Client, scenes: Path) -> None:
    hub.create(PATH)
    _, fields = next(iter(members(scenes / SHARD)))
    hub.commit(PATH, {"README.md": b"# Images\n", "a/1.jpg": fields["jpg"], "b/2.jpg": fields["jpg"]})
    assert hub_client(reading.source, ADDRESS)["names"] == ["a/1.jpg", "b/2.jpg"]
    assert hub_client(reading.source, f"{ADDRESS}/b")["names"] == ["b/2.jpg"]


def test_a_disk_that_fills_is_one_message_and_keeps_nothing_that_is_not_whole(
    hub: Hub, hub_client: Client, scenes: Path
) -> None:
    hub.create(PATH)
    # Other bytes than in other tests, whose cache is the same.
    noisy = {f"images/{number}.jpg": bytes([number]) * 300_000 for number in range(3)}
    hub.commit(PATH, {"README.md": b"# Images\n", **noisy})
    with pytest.raises(ClientError, match="the Hub's cache cannot be written: File too large") as caught:
        hub_client(reading.source_on_a_full_disk, ADDRESS, 200_000)
    assert "UserError" in caught.value.kinds
    assert "set HF_HOME" in caught.value.message
    found = hub_client(reading.source, ADDRESS)
    assert found["first"] == noisy["images/0.jpg"]
    assert len(found["names"]) == 3


@pytest.mark.parametrize("kilobytes", [8, 40, 120])
def test_a_build_whose_source_fills_the_disk_says_so_once(
    hub: Hub, both: str, tmp_path: Path, kilobytes: int
) -> None:
    recipe, out = tmp_path / "pairs.yaml", tmp_path / "out"
    recipe.write_text(
        "name: again\nlicense: mit\ntask: lr-hr\ncandidates: 6\nshard_size: 6\n"
        f"generator: {{method: real-images, images: '{ADDRESS}@{both}/scene-caption', license: mit}}\n"
        "degradation: {method: area, scale: 2}\n"
    )

    def start(cache: Path) -> subprocess.CompletedProcess[str]:
        env = hub.env(tmp_path / "home") | {"HF_HOME": str(cache)}
        command = [*_BUILD, str(recipe), "--out", str(out)]
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
        )

    with small_disk(tmp_path / "disk", kilobytes) as disk:
        done = start(disk)
        said = f"error: {disk}/hub: the Hub's cache cannot be written: No space left on device"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[0] == said
        assert len(done.stderr.splitlines()) == 2
        assert "set HF_HOME to a folder on another disk" in done.stderr
        assert not list(out.rglob("*.tar"))
        # What it left there is gone on with where there is room.
        shutil.copytree(disk, tmp_path / "larger", symlinks=True)
    done = start(tmp_path / "larger")
    assert done.returncode == 0, done.stderr
    assert len(list(members(out / "data/train-00000.tar"))) == 6


def test_a_build_starts_from_a_published_one(hub: Hub, both: str, scenes: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "pairs.yaml"
    recipe.write_text(
        "name: again\nlicense: mit\ntask: lr-hr\ncandidates: 6\nshard_size: 6\n"
        f"generator: {{method: real-images, images: '{ADDRESS}@{both}/scene-caption', license: mit}}\n"
        "degradation: {method: area, scale: 2}\n"
    )
    done = subprocess.run(
        [*_BUILD, str(recipe), "--out", str(tmp_path / "out")],
        env=hub.env(tmp_path / "home"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = [fields["json"] for _, fields in members(tmp_path / "out/data/train-00000.tar")]
    assert len(records) == 6
    assert all(f'"model_revision": "{both}"'.encode() in record for record in records)
    cached = {path.name for path in (tmp_path / "home").rglob("snapshots/*/**/*") if path.is_file()}
    assert cached == {
        "README.md",
        "manifest.json",
        *(Path(name).name for name in shards(scenes, "scene-caption")),
    }


def test_the_tables_of_a_published_build_are_fetched_where_they_are_asked_for(
    hub: Hub, hub_client: Client, both: str, pairs: Path
) -> None:
    found = hub_client(reading.build_files, f"{ADDRESS}/lr-hr", ["metadata/*.parquet", "recipe.yaml"])
    tables = {f"metadata/{path.name}" for path in (pairs / "metadata").iterdir()}
    assert found == {"manifest.json", "recipe.yaml", *tables}
    with pytest.raises(ClientError, match="holds 2 builds: lr-hr, scene-caption"):
        hub_client(reading.build_files, ADDRESS, ["recipe.yaml"])
