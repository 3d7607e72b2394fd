"""Bad input to `publish`: one message, the right exit code, nothing sent and no token shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from synrs_data.build.run import build
from synrs_data.errors import UserError
from synrs_data.hub.session import check_endpoint
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest
from tests.hub.client import Client, ClientError
from tests.hub.faults import Page
from tests.hub.publishing import (
    API,
    COMMIT,
    PATH,
    REPO,
    Builds,
    built_rows,
    contents,
    make_builds,
    published_hashes,
    scenes,
    send,
    titles,
    write_manifest,
)
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


def publish(
    hub: Hub, home: Path, token: str | None, *arguments: object, **variables: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synrs_data", "publish", *map(str, arguments)]
    env = hub.env(home, token) | variables
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
    folder = BuildFolder(copy)
    folder.manifest.write_text(manifest_text({**read_manifest(folder), "quarantined": [3]}))
    done = hub_client(send, [copy], token)
    warnings = [event["text"] for event in done["events"] if event["event"] == "warning"]
    assert warnings == [f"{copy}: 1 shards are in quarantine and missing"]


MISTAKEN = [
    "yes",
    "null",
    "1e3",
    ": ",
    "08",
    "~",
    "a\"b'c",
    "Wüste 🏜️",
    "2026-11-25",
    "- x",
    "#x",
    "0o7",
    "---",
]
TITLE = "A \"quoted\" 'title'\nwith: a line\n---\nlicense: gpl 🏞️"
DESCRIPTION = (
    "---\nlicense: gpl\n---\n# T\n<script>alert(1)</script>\n```yaml\n- a: b\n~~~\n| a | $x$\n" * 200
)


def test_texts_that_yaml_and_markdown_mistake_arrive_as_they_are(
    hub: Hub, hub_client: Client, token: str, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.yaml"
    listed = [{"name": name, "phrase": f"thing {place}"} for place, name in enumerate(MISTAKEN)]
    labels.write_text(yaml.safe_dump({"name": "mine", "title": "---", "source": "me", "labels": listed}))
    recipe = scenes(labels=str(labels), title=TITLE, description=DESCRIPTION, candidates=26)
    root = build(recipe, tmp_path / "build", engine="inline").folder.root
    hub_client(send, [root], token)
    card = hub.repo(PATH).read("README.md").decode()
    front = yaml.safe_load(card.split("\n---\n")[0])
    assert front["license"] == "mit"
    assert front["pretty_name"] == " ".join(TITLE.split())
    features = {found["name"]: found["dtype"] for found in front["dataset_info"][0]["features"][:-1]}
    assert list(features["cls"]["class_label"]["names"].values()) == MISTAKEN
    # Readers of YAML 1.2 take these for numbers where PyYAML does not.
    assert {'"2": "1e3"', '"4": "08"', '"11": "0o7"'} <= {line.strip() for line in card.splitlines()}
    assert "<script>" not in card.split("The recipe, with every default")[0]
    for streaming in (False, True):
        found = hub_client(
            labels_and_rows, REPO, "scene-caption", "train", str(tmp_path / "cache"), streaming=streaming
        )
        assert found == (MISTAKEN, {key: row["cls"] for key, row in built_rows(root, "train").items()})


def test_texts_that_begin_with_a_slash_are_published_whole_and_byte_for_byte(
    hub: Hub, hub_client: Client, token: str, tmp_path: Path
) -> None:
    title, description = "/ roots", "/towns/and/villages"
    recipe = scenes(title=title, description=description)
    root = build(recipe, tmp_path / "build", engine="inline").folder.root
    hub_client(send, [root], token)
    assert contents(hub) == published_hashes(root, "scene-caption")
    published = yaml.safe_load(hub.repo(PATH).read("scene-caption/recipe.yaml"))
    assert (published["title"], published["description"]) == (title, description)
    card = hub.repo(PATH).read("scene-caption/README.md").decode()
    shown = yaml.safe_load(card.split("```yaml\n")[1].split("\n```")[0])
    assert (shown["title"], shown["description"]) == (title, description)


def labels_and_rows(
    repo: str, config: str, split: str, cache: str, *, streaming: bool
) -> tuple[list[str], dict[str, int]]:
    """Return what a reader sees of the labels."""
    import datasets

    data = datasets.load_dataset(repo, config, split=split, streaming=streaming, cache_dir=cache)
    return data.features["cls"].names, {row["__key__"].rsplit("/")[-1]: row["cls"] for row in data}


@pytest.mark.parametrize("name", ["croissant.json", "readme.md"])
def test_a_config_that_would_lie_where_a_root_file_does_is_refused(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path, name: str
) -> None:
    other = build(scenes(name=name, seed=3), tmp_path / "other", engine="inline").folder.root
    said = f"a config cannot be called '{name}'"
    refused(hub, hub_client, "UserError", said, [builds.scenes, other], token)


@pytest.mark.parametrize("name", ["1e3", "null", "data"])
def test_a_config_of_any_other_name_is_loaded_by_it(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path, name: str
) -> None:
    other = build(scenes(name=name, seed=3), tmp_path / "other", engine="inline").folder.root
    hub_client(send, [builds.scenes, other], token)
    _, rows = hub_client(labels_and_rows, REPO, name, "train", str(tmp_path / "cache"), streaming=True)
    assert rows.keys() == built_rows(other, "train").keys()


@pytest.mark.parametrize("missing", ["README.md", "croissant.json", "samples.jpg"])
def test_a_build_of_an_earlier_version_is_refused_until_its_pages_are_made(
    hub: Hub, hub_client: Client, token: str, copy: Path, builds: Builds, missing: str
) -> None:
    folder = BuildFolder(copy)
    manifest = read_manifest(folder)
    del manifest["files"][missing]
    (copy / missing).unlink()
    folder.manifest.write_text(manifest_text(manifest))
    said = f"finished by an earlier version of synrs-data .*, without {missing}"
    refused(hub, hub_client, "VerificationError", said, [copy], token)
    build(scenes(), copy, engine="inline")
    assert hub_client(send, [copy], token)["made"]
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")


def test_a_tar_that_is_a_link_is_published_as_what_it_leads_to(
    hub: Hub, hub_client: Client, token: str, copy: Path, builds: Builds, tmp_path: Path
) -> None:
    tar = copy / "data/train-00000.tar"
    shutil.move(tar, tmp_path / "elsewhere.tar")
    tar.symlink_to(tmp_path / "elsewhere.tar")
    hub_client(send, [copy], token)
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")
    (tmp_path / "elsewhere.tar").unlink()
    with pytest.raises(ClientError, match=r"train-00000\.tar: is missing"):
        hub_client(send, [copy], token)


def test_nothing_is_written_into_a_build(hub: Hub, hub_client: Client, token: str, builds: Builds) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = [builds.scenes, *builds.scenes.rglob("*")]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = state()
    hub_client(send, [builds.scenes], token)
    assert state() == before


@pytest.mark.parametrize("value", ["", "127.0.0.1:80", "ftp://example.org", "http://", "http://[::1"])
def test_an_endpoint_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)
    with pytest.raises(UserError, match="is no address of a server") as caught:
        check_endpoint()
    assert caught.value.where == "HF_ENDPOINT"


def test_odd_environments_end_in_one_message_or_work(
    hub: Hub, token: str, builds: Builds, tmp_path: Path
) -> None:
    def tried(**variables: str) -> tuple[int, str]:
        done = publish(hub, tmp_path, token, builds.scenes, REPO, **variables)
        return done.returncode, done.stderr

    # The Hub's client fails on this one when it is imported.
    code, said = tried(HF_ENDPOINT="http://127.0.0.1:port")
    assert (code, said.splitlines()[0]) == (
        2, "error: HF_ENDPOINT: 'http://127.0.0.1:port' is no address of a server"
    )  # fmt: skip
    code, said = tried(HF_HUB_OFFLINE="1")
    assert (code, "HF_HUB_OFFLINE is set" in said) == (2, True)
    assert hub.requests() == []
    assert tried(HF_ENDPOINT=f"{hub.url}/")[0] == 0
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")
    code, said = tried(HF_ENDPOINT=f"{hub.url}/hub")
    assert (code, "the Hub refuses: 404" in said) == (2, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/whoami-v2"),
        ("GET", f"{API}/tree/*"),
        ("POST", f"{API}/preupload/*"),
        ("POST", f"/{PATH}.git/info/lfs/objects/batch"),
        ("POST", COMMIT),
    ],
)
def test_a_page_for_people_instead_of_an_answer_is_named(
    hub: Hub, hub_client: Client, token: str, builds: Builds, method: str, path: str
) -> None:
    hub.fault(Page(), method, path)
    with pytest.raises(ClientError, match="what answers is no Hub") as caught:
        hub_client(send, [builds.scenes], token)
    assert caught.value.kinds[0] == "UserError"
    if hub.requests("POST", "/api/repos/create"):
        assert contents(hub) == {}
    assert hub_client(send, [builds.scenes], token)["made"]


def test_a_token_with_characters_that_none_has_is_not_shown(
    hub: Hub, hub_client: Client, builds: Builds
) -> None:
    value = "hf_ä"
    with pytest.raises(ClientError) as caught:
        hub_client(send, [builds.scenes], value)
    assert caught.value.kinds[0] == "UserError"
    assert value not in str(caught.value.message)
    assert "token" in caught.value.message
