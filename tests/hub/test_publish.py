"""Publishing: what was built is what a stranger loads, in one commit, and nothing is sent twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synrs_data.hub.local import open_build
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest
from synrs_data.shards.schema import check_record
from tests.hub import loading, publishing
from tests.hub.client import Client, ClientError
from tests.hub.publishing import (
    PATH,
    REPO,
    Builds,
    built_rows,
    card_configs,
    contents,
    make_builds,
    published_hashes,
    repack,
    send,
    titles,
    with_records,
    with_scores,
    write_manifest,
)
from tests.hub.server import Hub


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return make_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def token(hub: Hub) -> str:
    return hub.add_token("alice")


@pytest.fixture(scope="module")
def stranger(hub_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a process that has `datasets` and nothing of ours."""
    home = tmp_path_factory.mktemp("stranger")
    client = Client(hub_server.env(home), home / "stderr.txt")
    yield client
    client.close()


def puts(hub: Hub) -> int:
    return len(hub.requests("PUT", "/lfs/upload/*"))


def test_two_builds_are_loaded_as_they_were_built(
    hub: Hub, hub_client: Client, stranger: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    done = hub_client(send, [builds.scenes, builds.pairs], token)
    assert titles(hub) == ["Publish scenes (scene-caption), pairs (lr-hr)", "initial commit"]
    assert done["commit"] == hub.repo(PATH).resolve().oid
    assert done["samples"] == {"scene-caption": 16, "lr-hr": 16}
    configs = {"scene-caption": builds.scenes, "lr-hr": builds.pairs}
    assert contents(hub) == {
        path: digest
        for config, root in configs.items()
        for path, digest in published_hashes(root, config).items()
    }
    for config, root in configs.items():
        for split in ("train", "test"):
            expected = built_rows(root, split)
            assert expected
            for streaming in (False, True):
                assert stranger(loading.load, REPO, config, split, tmp_path, streaming=streaming) == expected


@pytest.mark.parametrize(("first", "later"), [(None, 0.25), (100, 1.5)], ids=["null", "integer"])
def test_values_that_readers_take_for_another_type_arrive(
    hub: Hub,
    hub_client: Client,
    stranger: Client,
    token: str,
    builds: Builds,
    tmp_path: Path,
    first: object,
    later: float,
) -> None:
    root = with_scores(builds.scenes, tmp_path / "build", first, later)
    hub_client(send, [root], token)
    expected = built_rows(root, "train")
    assert {row["json"]["scores"]["ruler_mean"] for row in expected.values()} == {first, later}
    for streaming in (False, True):
        found = stranger(loading.load, REPO, "scene-caption", "train", tmp_path, streaming=streaming)
        assert found == expected


def test_values_that_begin_as_null_empty_or_whole_arrive_in_records_as_builds_write_them(
    hub: Hub, hub_client: Client, stranger: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    def edit(position: int, record: dict[str, Any]) -> None:
        early = position < 6
        record["geo"] = json.dumps({"gsd_m": None if early else 0.5, "month": 1 if early else 1.5})
        record["parameters"] = json.dumps(
            {"scales": [] if early else [1, 2.5], "tile": None if early else "a"}
        )
        record["guidance_scale"] = 1.0 if early else 1.5
        record["scores"]["ruler_mean"] = 1.0 if early else 1.5
        # The types are fixed, so a build could have written this, and nothing that a reader has to guess.
        assert check_record(record, "scene-caption", ["ruler_mean"]) == []

    root = with_records(builds.scenes, tmp_path / "build", edit)
    hub_client(send, [root], token)
    expected = built_rows(root, "train")
    assert {json.loads(row["json"]["geo"])["gsd_m"] for row in expected.values()} == {None, 0.5}
    for streaming in (False, True):
        found = stranger(loading.load, REPO, "scene-caption", "train", tmp_path, streaming=streaming)
        assert found == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("geo", None), ("geo", {}), ("parameters", []), ("guidance_scale", 1), ("scores", {"ruler_mean": 1})],
)
def test_no_build_writes_a_record_of_which_a_reader_has_to_guess_the_types(
    builds: Builds, key: str, value: object
) -> None:
    record = next(iter(built_rows(builds.scenes, "train").values()))["json"]
    assert check_record(record, "scene-caption", ["ruler_mean"]) == []
    assert check_record({**record, key: value}, "scene-caption", ["ruler_mean"])


def test_a_second_publish_makes_no_commit_and_sends_nothing(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    first = hub_client(send, [builds.scenes, builds.pairs], token)
    before, sent = titles(hub), puts(hub)
    again = hub_client(send, [builds.pairs, builds.scenes], token)
    assert (first["made"], again["made"], again["commit"]) == (True, False, first["commit"])
    assert titles(hub) == before
    assert puts(hub) == sent
    assert len(hub.requests("POST", publishing.COMMIT)) == 1


def test_a_changed_shard_is_sent_alone(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    hub_client(send, [builds.scenes], token)
    sent = puts(hub)
    changed = repack(builds.scenes, tmp_path / "changed")
    done = hub_client(send, [changed], token)
    assert done["changed"] == ["scene-caption/data/train-00000.tar", "scene-caption/manifest.json"]
    assert (done["new"], done["deleted"]) == ([], [])
    assert puts(hub) == sent + 1
    assert contents(hub) == published_hashes(changed, "scene-caption")
    assert len(titles(hub)) == 3


def test_a_config_that_comes_later_leaves_the_first(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    hub_client(send, [builds.scenes], token)
    assert card_configs(hub) == ["scene-caption"]
    done = hub_client(send, [builds.pairs], token)
    assert done["kept"] == ["scene-caption"]
    assert sorted(card_configs(hub)) == ["lr-hr", "scene-caption"]
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption") | published_hashes(
        builds.pairs, "lr-hr"
    )
    together = hub.repo(PATH).read("README.md")
    # The order in which configs came does not show.
    hub.reset()
    hub_client(send, [builds.pairs, builds.scenes], hub.add_token("alice"))
    assert hub.repo(PATH).read("README.md") == together


def test_a_second_build_of_a_task_takes_the_recipes_name(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    done = hub_client(send, [builds.others], token)
    assert done["samples"] == {"others": 16}
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption") | published_hashes(
        builds.others, "others"
    )
    again = hub_client(send, [builds.others, builds.scenes], token)
    assert (again["made"], again["samples"]) == (False, {"others": 16, "scene-caption": 16})


def test_two_builds_of_a_task_at_once_both_take_the_recipes_names(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    done = hub_client(send, [builds.others, builds.scenes], token)
    assert done["samples"] == {"others": 16, "scenes": 16}
    with pytest.raises(ClientError, match="two builds have the task and name of 'scenes'") as caught:
        hub_client(send, [builds.scenes, builds.scenes], token)
    assert caught.value.kinds[0] == "UserError"


def test_what_is_no_longer_built_goes_and_what_others_added_stays(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    larger = Path(shutil.copytree(builds.scenes, tmp_path / "larger"))
    write_manifest(larger, {"notes.txt": b"of an older version"})
    hub_client(send, [larger], token)
    hub.commit(
        PATH,
        {
            "LICENSE": b"mine",
            "scene-caption/paper.txt": b"theirs",
            "scene-caption/data/train-00009.tar": b"would be loaded",
            "elsewhere/data.tar": b"theirs too",
        },
    )
    done = hub_client(send, [builds.scenes], token)
    assert done["deleted"] == ["scene-caption/data/train-00009.tar", "scene-caption/notes.txt"]
    found = contents(hub)
    assert {"LICENSE", "scene-caption/paper.txt", "elsewhere/data.tar"} <= found.keys()
    expected = published_hashes(builds.scenes, "scene-caption")
    assert {path: found[path] for path in expected} == expected
    assert found.keys() - expected.keys() == {"LICENSE", "scene-caption/paper.txt", "elsewhere/data.tar"}


def test_a_card_that_somebody_edited_is_written_anew_with_a_warning(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    plain = hub_client(send, [builds.pairs], token)
    assert "warning" not in [event["event"] for event in plain["events"]]
    edited = hub.repo(PATH).read("README.md") + b"\nAn addition.\n"
    hub.commit(PATH, {"README.md": edited})
    done = hub_client(send, [builds.scenes], token)
    assert done["changed"] == ["README.md"]
    assert [event["text"] for event in done["events"] if event["event"] == "warning"] == [
        f"{hub.url}/{PATH}: README.md was edited, or made by another version of synrs-data; "
        "it is written anew, and its history keeps what it said"
    ]


def test_a_gitignore_hides_no_file_of_ours(hub: Hub, hub_client: Client, token: str, builds: Builds) -> None:
    hub.create(PATH)
    hub.commit(PATH, {".gitignore": b"*.tar\n*.json\nREADME.md\n"})
    hub_client(send, [builds.scenes], token)
    found = contents(hub)
    assert found.pop(".gitignore")
    assert found == published_hashes(builds.scenes, "scene-caption")


def test_many_files_come_in_pages_and_batches(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    hub.settings.page_size = 7
    hub.settings.part_size = 30_000
    many = Path(shutil.copytree(builds.scenes, tmp_path / "many"))
    (many / "more").mkdir()
    write_manifest(many, {f"more/{number}.jpg": bytes([number, 0]) * 9 for number in range(100)})
    done = hub_client(send, [many], token)
    assert [event["event"] for event in done["events"]].count("uploaded") == 2
    assert contents(hub) == published_hashes(many, "scene-caption")
    assert len(titles(hub)) == 2


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    hub: Hub, hub_client: Client, builds: Builds, token: str
) -> None:
    planned = hub_client(send, [builds.scenes], None, dry_run=True)
    assert {"scene-caption/data/train-00000.tar", "scene-caption/manifest.json", "README.md"} <= {
        *planned["new"]
    }
    assert (planned["commit"], planned["made"]) == ("", False)
    with pytest.raises(KeyError):
        hub.repo(PATH)
    done = hub_client(send, [builds.scenes], token)
    assert done["new"] == planned["new"]
    log = len(hub.requests())
    again = hub_client(send, [builds.scenes, builds.pairs], None, dry_run=True)
    assert (again["changed"], again["deleted"]) == ([path for path in done["new"] if "/" not in path], [])
    assert "lr-hr/data/train-00000.tar" in again["new"]
    assert {request.method for request in hub.requests()[log:]} == {"GET"}


def test_paths_of_the_machine_are_not_published(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(builds.scenes, tmp_path / "private"))
    recipe = yaml.safe_load((root / "recipe.yaml").read_text())
    recipe["labels"] = "/home/somebody/secret/mine.yaml"
    shutil.copyfile(root / "recipe.yaml", tmp_path / "kept.yaml")
    write_manifest(root, {"recipe.yaml": yaml.safe_dump(recipe, sort_keys=False).encode()})
    published = open_build(root)
    assert b"/home/somebody" not in b"".join(file.read() for file in published.files.values())
    assert yaml.safe_load(published.files["recipe.yaml"].read())["labels"] == "mine.yaml"
    manifest = json.loads(published.files["manifest.json"].read())
    entry = manifest["files"]["recipe.yaml"]
    assert entry["sha256"] == published.files["recipe.yaml"].sha256
    assert entry["bytes"] == len(published.files["recipe.yaml"].read())
    digest = manifest.pop("digest")
    assert json.loads(manifest_text(manifest))["digest"] == digest
    # What is published can be published again from a download, as it is.
    other = Path(shutil.copytree(root, tmp_path / "downloaded"))
    for name in ("recipe.yaml", "manifest.json"):
        (other / name).write_bytes(published.files[name].read())
    assert read_manifest(BuildFolder(other)) == manifest
    assert {name: file.sha256 for name, file in open_build(other).files.items()} == {
        name: file.sha256 for name, file in published.files.items()
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [("captions.jsonl", "{root}/a.tif"), ("build.json", "/home/ann/a.tif"), ("report.html", "{root}")],
)
def test_a_path_of_the_machine_in_another_file_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path, name: str, path: str
) -> None:
    root = Path(shutil.copytree(builds.scenes, tmp_path / "private"))
    write_manifest(root, {name: (root / name).read_bytes() + f'"{path.format(root=root)}"'.encode()})
    with pytest.raises(ClientError, match="names a path of a machine") as caught:
        hub_client(send, [root], token)
    assert name in caught.value.message
    assert hub.requests() == []


def test_a_client_with_xet_uploads_by_lfs_where_the_server_has_none(
    hub: Hub, xet_client: Client, token: str, builds: Builds
) -> None:
    xet_client(send, [builds.scenes], token)
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")
    assert [seen.status for seen in hub.requests("GET", "*/xet-write-token/*")] == [404]
    assert len(titles(hub)) == 2


def test_with_xet_disabled_nobody_asks_for_it(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    assert hub.requests("*", "*xet*") == []


def test_a_private_repository_stays_private(hub: Hub, hub_client: Client, token: str, builds: Builds) -> None:
    hub_client(send, [builds.scenes], token, private=True)
    assert hub.repo(PATH).private
    again = hub_client(send, [builds.scenes], token, private=True)
    assert not again["made"]
    assert hub_client(send, [builds.pairs], token)["made"]
    assert hub.repo(PATH).private


def test_a_gated_repository_of_ones_own_is_published_to(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    hub.repo(PATH).gated = "manual"
    hub_client(send, [builds.pairs], token)
    assert sorted(card_configs(hub)) == ["lr-hr", "scene-caption"]
