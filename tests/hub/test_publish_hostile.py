"""Bad input to `publish`: one message, the right exit code, nothing sent and no token shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.client import Client, ClientError
from tests.hub.publishing import PATH, REPO, Builds, make_builds, send, titles, write_manifest
from tests.hub.server import Hub


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return make_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def token(hub: Hub) -> str:
    return hub.add_token("alice")


@pytest.fixture
def copy(builds: Builds, tmp_path: Path) -> Path:
    return Path(shutil.copytree(builds.scenes, tmp_path / "copy"))


def publish(hub: Hub, home: Path, token: str | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synrs_data", "publish", *map(str, arguments)]
    env = hub.env(home, token)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    assert token is None or token not in done.stdout + done.stderr
    return done


def refused(hub: Hub, hub_client: Client, kind: str, said: str, *args: object, **options: object) -> None:
    """Assert that a publish is refused with this message before anything is written."""
    with pytest.raises(ClientError, match=said) as caught:
        hub_client(send, *args, **options)  # type: ignore[arg-type]
    assert caught.value.kinds[0] == kind, caught.value
    assert {request.method for request in hub.requests()} <= {"GET"}


def test_the_command_says_where_the_dataset_is_and_how_to_load_it(
    hub: Hub, token: str, builds: Builds, tmp_path: Path
) -> None:
    done = publish(hub, tmp_path, token, builds.scenes, builds.pairs, REPO)
    assert done.returncode == 0, done.stderr
    commit = hub.repo(PATH).resolve().oid
    assert done.stdout.splitlines() == [
        f"published at {commit}: scene-caption 16, lr-hr 16 samples",
        f"{hub.url}/{PATH}",
        f'load_dataset("{REPO}", "scene-caption")',
        f'load_dataset("{REPO}", "lr-hr")',
    ]
    assert "uploading" in done.stderr
    again = publish(hub, tmp_path, token, builds.scenes, REPO)
    assert again.stdout.startswith(f"already published at {commit}: scene-caption 16 samples\n")
    planned = publish(hub, tmp_path, None, builds.scenes, REPO, "--dry-run")
    assert planned.returncode == 0
    assert "0 new, 0 changed" in planned.stdout
    assert f"0 commits to {hub.url}/{PATH}" in planned.stdout
    assert len(titles(hub)) == 2


def test_no_token_exits_2_and_names_the_command(hub: Hub, builds: Builds, tmp_path: Path) -> None:
    done = publish(hub, tmp_path, None, builds.scenes, REPO)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: {hub.url}/{PATH}: there is no token",
        "  → run `hf auth login` or set HF_TOKEN to a token with write rights",
    ]


def test_a_damaged_build_exits_3_and_sends_nothing(hub: Hub, token: str, copy: Path, tmp_path: Path) -> None:
    data = bytearray((copy / "data/test-00000.tar").read_bytes())
    data[1000] ^= 1
    (copy / "data/test-00000.tar").write_bytes(data)
    done = publish(hub, tmp_path, token, copy, REPO)
    assert done.returncode == 3
    assert "data/test-00000.tar: its contents have changed (sha256 differs)" in done.stderr
    assert "Nothing was sent" in done.stderr
    assert {request.method for request in hub.requests()} <= {"GET"}


def test_an_unknown_token_and_one_that_may_only_read_are_refused(
    hub: Hub, hub_client: Client, builds: Builds
) -> None:
    refused(hub, hub_client, "UserError", "does not know your token", [builds.scenes], "hf_wrong")
    reader = hub.add_token("alice", "read")
    refused(hub, hub_client, "UserError", "your token may only read", [builds.scenes], reader)


@pytest.mark.parametrize(
    "name", ["scenes", "a/b/c", "alice/", "/scenes", "alice/a--b", "alice/sc enes", "alice/x.git", "../x"]
)
def test_an_invalid_name_is_refused_before_anybody_is_asked(
    hub: Hub, hub_client: Client, token: str, builds: Builds, name: str
) -> None:
    refused(
        hub, hub_client, "UserError", "is no name of a dataset repository", [builds.scenes], token, repo=name
    )
    assert hub.requests() == []


def test_the_namespace_of_somebody_else_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    said = "you are 'alice' and may not make a repository of 'bob'"
    refused(hub, hub_client, "UserError", said, [builds.scenes], token, repo="bob/scenes")
    hub.create("datasets/bob/scenes")
    refused(hub, hub_client, "UserError", "--create-pr", [builds.scenes], token, repo="bob/scenes")
    hub.add_org("reading", {"alice": "read"})
    refused(hub, hub_client, "UserError", "may not make", [builds.scenes], token, repo="reading/scenes")


def test_an_organisation_where_one_may_write_is_published_to(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.add_org("lab", {"alice": "write"})
    assert hub_client(send, [builds.scenes], token, repo="lab/scenes")["made"]


def test_somebody_elses_private_repository_looks_as_if_there_were_none(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.create("datasets/bob/scenes", private=True)
    refused(
        hub,
        hub_client,
        "UserError",
        "no such dataset",
        [builds.scenes],
        token,
        repo="bob/scenes",
        create_pr=True,
    )


@pytest.mark.parametrize("path", ["README.md", "data.csv", "scene-caption/data/train-00000.tar"])
def test_a_name_that_holds_another_dataset_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds, path: str
) -> None:
    hub.create(PATH)
    hub.commit(PATH, {path: b"theirs"})
    said = f"holds files that synrs-data did not publish, such as {path}"
    refused(hub, hub_client, "UserError", said, [builds.scenes], token)
    assert hub.repo(PATH).read(path) == b"theirs"


def test_a_config_folder_of_somebody_else_in_our_repository_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    hub.commit(PATH, {"lr-hr/mine.txt": b"theirs"})
    with pytest.raises(ClientError, match=r"such as lr-hr/mine\.txt"):
        hub_client(send, [builds.pairs], token)
    assert len(titles(hub)) == 3


def test_privacy_that_a_public_repository_does_not_give_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.create(PATH)
    refused(hub, hub_client, "UserError", "the repository is public", [builds.scenes], token, private=True)


@pytest.mark.parametrize("missing", ["manifest.json", "data/train-00000.tar", "README.md"])
def test_an_unfinished_build_is_refused(
    hub: Hub, hub_client: Client, token: str, copy: Path, missing: str
) -> None:
    (copy / missing).unlink()
    refused(hub, hub_client, "VerificationError", "no finished build|is missing", [copy], token)
    refused(hub, hub_client, "VerificationError", "no finished build", [copy / "nowhere"], token)


def test_an_extra_shard_wrong_counts_and_a_changed_manifest_are_refused(
    hub: Hub, hub_client: Client, token: str, copy: Path, builds: Builds
) -> None:
    shutil.copyfile(copy / "data/train-00000.tar", copy / "data/train-00009.tar")
    refused(hub, hub_client, "VerificationError", "train-00009.tar: is not in the manifest", [copy], token)
    write_manifest(copy, {"data/train-00009.tar": (copy / "data/train-00009.tar").read_bytes()})
    refused(hub, hub_client, "VerificationError", "split train is", [copy], token)
    text = (builds.scenes / "manifest.json").read_text()
    (copy / "data/train-00009.tar").unlink()
    (copy / "manifest.json").write_text(text.replace('"candidates": 16', '"candidates": 17'))
    refused(hub, hub_client, "VerificationError", "its digest differs", [copy], token)


@pytest.mark.parametrize("name", ["recipe.yaml", "report.html", "metadata/test-00000.parquet"])
def test_a_flipped_byte_is_found_in_every_kind_of_file(
    hub: Hub, hub_client: Client, token: str, copy: Path, name: str
) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    refused(hub, hub_client, "VerificationError", f"{name}: its contents have changed", [copy], token)


def test_a_licence_that_forbids_publishing_is_named(
    hub: Hub, hub_client: Client, token: str, copy: Path
) -> None:
    recipe = (copy / "recipe.yaml").read_text()
    write_manifest(copy, {"recipe.yaml": recipe.replace("license: mit", "license: unheard-of").encode()})
    refused(hub, hub_client, "UserError", "unheard-of", [copy], token)


def test_quarantined_shards_are_published_with_a_warning(
    hub: Hub, hub_client: Client, token: str, copy: Path
) -> None:
    from synrs_data.shards.folder import BuildFolder
    from synrs_data.shards.manifest import manifest_text, read_manifest

    folder = BuildFolder(copy)
    folder.manifest.write_text(manifest_text({**read_manifest(folder), "quarantined": [3]}))
    done = hub_client(send, [copy], token)
    warnings = [event["text"] for event in done["events"] if event["event"] == "warning"]
    assert warnings == [f"{copy}: 1 shards are in quarantine and missing"]
