"""The loopback Hub answers the real clients as the Hub does."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hub import scenarios
from tests.hub.client import Client, ClientError
from tests.hub.server import Hub
from tests.hub.store import ATTRIBUTES, git_oid
from tests.hub.tiles import CARD, PATH, REPO, SHARD, contents, sha, titles

# Repositories


def test_a_repository_is_made_once_and_starts_with_gitattributes(hub: Hub, hub_client: Client) -> None:
    token = hub.add_token("alice")
    url = hub_client(scenarios.call, "create_repo", REPO, repo_type="dataset", private=True, token=token)
    assert url == f"{hub.url}/datasets/{REPO}"
    with pytest.raises(ClientError, match="already created") as caught:
        hub_client(scenarios.call, "create_repo", REPO, repo_type="dataset", token=token)
    assert caught.value.status == 409
    hub_client(scenarios.call, "create_repo", REPO, repo_type="dataset", exist_ok=True, token=token)
    assert hub.repo(PATH).private
    assert [*hub.repo(PATH).resolve().files] == [ATTRIBUTES]
    assert titles(hub) == ["initial commit"]


def test_a_model_and_a_dataset_of_one_name_are_two_repositories(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    url = hub_client(scenarios.call, "create_repo", REPO, token=alice)
    assert url == f"{hub.url}/{REPO}"
    hub_client(scenarios.call, "delete_repo", REPO, token=alice)
    with pytest.raises(KeyError):
        hub.repo(f"models/{REPO}")
    hub_client(scenarios.call, "move_repo", REPO, "alice/moved", repo_type="dataset", token=alice)
    assert hub.repo("datasets/alice/moved").id == "alice/moved"


def test_whoami_names_the_user_and_the_rights_of_the_token(hub: Hub, hub_client: Client) -> None:
    hub.add_org("lab", {"alice": "read"})
    told = hub_client(scenarios.call, "whoami", token=hub.add_token("alice", "read"))
    assert (told["name"], told["auth"]["accessToken"]["role"]) == ("alice", "read")
    assert told["orgs"] == [{"name": "lab", "roleInOrg": "read"}]


def test_info_shows_card_commit_and_hashes_of_files(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"README.md": CARD, "data/train-00000.tar": SHARD})
    told = hub_client(scenarios.info, REPO, files_metadata=True)
    assert told["sha"] == hub.repo(PATH).resolve().oid
    assert told["card"] == {"license": "cc-by-4.0", "tags": ["synthetic"]}
    assert told["files"]["data/train-00000.tar"] == sha(SHARD)
    assert told["files"]["README.md"] == git_oid(CARD)
    few = hub_client(scenarios.info, REPO, expand=["sha"])
    assert (few["sha"], few["author"], few["files"]) == (told["sha"], None, {})
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.info, REPO, revision="no-such-branch")
    assert caught.value.kinds[0] == "RevisionNotFoundError"


# Writing


def test_one_commit_stores_small_files_and_lfs_files(hub: Hub, hub_client: Client, alice: str) -> None:
    edits: scenarios.Edits = {"README.md": CARD, "data/train-00000.tar": SHARD, "manifest.json": b"{}"}
    oid, _ = hub_client(scenarios.commit, REPO, edits, alice)
    head = hub.repo(PATH).resolve()
    assert (head.oid, head.author, titles(hub)) == (oid, "alice", ["A commit", "initial commit"])
    assert contents(hub) == {path: sha(content or b"") for path, content in edits.items()}
    assert {path for path, file in head.files.items() if file.lfs} == {"data/train-00000.tar"}
    (put,) = hub.requests("PUT")
    assert put.cdn
    assert put.token is None
    assert len(hub.requests("POST", "*/lfs/objects/verify")) == 1


def test_an_unchanged_folder_makes_no_commit_and_no_upload(
    hub: Hub, hub_client: Client, alice: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("data/train-00000.tar", "data/train-00001.tar"):
        (tmp_path / name).write_bytes(SHARD + name.encode())
    (tmp_path / "README.md").write_bytes(CARD)
    first, _ = hub_client(scenarios.upload_folder, REPO, tmp_path, alice)
    again, _ = hub_client(scenarios.upload_folder, REPO, tmp_path, alice)
    assert first == again == hub.repo(PATH).resolve().oid
    assert len(titles(hub)) == 2
    assert len(hub.requests("PUT")) == 2
    (tmp_path / "README.md").write_bytes(CARD + b"More.")
    hub_client(scenarios.upload_folder, REPO, tmp_path, alice)
    assert len(titles(hub)) == 3
    assert len(hub.requests("PUT")) == 2


def test_a_large_object_goes_up_in_parts(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.settings.part_size = 1000
    hub_client(scenarios.commit, REPO, {"a.tar": SHARD}, alice)
    assert len(hub.requests("PUT", "/lfs/part/*")) == 3
    assert contents(hub) == {"a.tar": sha(SHARD)}


def test_an_lfs_object_must_be_uploaded_whole_at_its_signed_address(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    operation = {"path": "a.tar", "algo": "sha256", "oid": sha(SHARD), "size": len(SHARD)}
    lines = [{"key": "header", "value": {"summary": "A commit"}}, {"key": "lfsFile", "value": operation}]
    commit = (f"{hub.url}/api/{PATH}/commit/main", "\n".join(map(json.dumps, lines)).encode(), alice)
    signed = hub_client(scenarios.lfs_address, REPO, SHARD, alice)
    assert signed.startswith(hub.cdn_url)
    assert hub_client(scenarios.send, "PUT", signed, SHARD[:-1]) == 400
    assert hub_client(scenarios.send, "PUT", signed[:-1] + "x", SHARD) == 403
    assert hub_client(scenarios.send, "POST", *commit) == 400
    assert titles(hub) == ["initial commit"]
    assert hub_client(scenarios.send, "PUT", signed, SHARD) == 200
    assert hub_client(scenarios.send, "POST", *commit) == 200
    assert contents(hub) == {"a.tar": sha(SHARD)}


def test_size_and_nul_bytes_send_a_file_to_lfs_and_into_gitattributes(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    hub.settings.lfs_threshold = 100
    edits: scenarios.Edits = {"big.txt": b"a" * 100, "small.txt": b"a" * 99, "odd.xyz": b"a\0b"}
    hub_client(scenarios.commit, REPO, edits, alice)
    files = hub.repo(PATH).resolve().files
    assert [path for path, file in files.items() if file.lfs] == ["big.txt", "odd.xyz"]
    assert "\nbig.txt filter=lfs" in hub.repo(PATH).read(ATTRIBUTES).decode()


def test_gitignore_leaves_files_out(hub: Hub, hub_client: Client, alice: str) -> None:
    edits: scenarios.Edits = {
        ".gitignore": b"*.log\ntmp/\n!keep.log\n",
        "a.log": b"1",
        "tmp/b": b"2",
        "keep.log": b"3",
    }
    hub_client(scenarios.commit, REPO, edits, alice)
    assert [*contents(hub)] == [".gitignore", "keep.log"]


def test_files_and_folders_are_deleted_and_copied(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"a.tar": SHARD, "old/b.txt": b"b", "old/c.txt": b"c", "old.txt": b"d"})
    hub_client(scenarios.copy, REPO, "a.tar", "new/a.tar", alice)
    hub_client(scenarios.copy, REPO, "old.txt", "new/old.txt", alice)
    hub_client(scenarios.commit, REPO, {"old/": None, "a.tar": None}, alice)
    assert contents(hub) == {"new/a.tar": sha(SHARD), "new/old.txt": sha(b"d"), "old.txt": sha(b"d")}
    with pytest.raises(ClientError, match="A file with this name doesn't exist"):
        hub_client(scenarios.commit, REPO, {"added.txt": b"x", "missing.txt": None}, alice)
    assert "added.txt" not in contents(hub)


def test_a_card_with_broken_yaml_is_refused_before_anything_is_sent(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    with pytest.raises(ClientError, match=r"Invalid metadata in README\.md"):
        hub_client(scenarios.commit, REPO, {"README.md": b"---\nlicense: [\n---\n", "a.tar": SHARD}, alice)
    assert hub.requests("PUT") == []
    with pytest.raises(ClientError, match="empty or missing yaml metadata") as caught:
        hub_client(scenarios.commit, REPO, {"README.md": b"# No block\n"}, alice)
    assert "UserWarning" in caught.value.kinds
    assert len(titles(hub)) == 1


def test_a_commit_on_a_stale_parent_is_refused(hub: Hub, hub_client: Client, alice: str) -> None:
    parent = hub.repo(PATH).resolve().oid
    other = hub.commit(PATH, {"a.txt": b"theirs"})
    with pytest.raises(ClientError, match="A commit has happened since") as caught:
        hub_client(scenarios.commit, REPO, {"a.txt": b"mine"}, alice, parent_commit=parent)
    assert caught.value.status == 412
    assert hub.repo(PATH).resolve() == other
    hub_client(scenarios.commit, REPO, {"a.txt": b"mine"}, alice, parent_commit=other.oid)
    assert contents(hub) == {"a.txt": sha(b"mine")}


def test_branches_and_tags_point_at_commits(hub: Hub, hub_client: Client, alice: str) -> None:
    start = hub.repo(PATH).resolve().oid
    hub_client(scenarios.call, "create_branch", REPO, repo_type="dataset", branch="dev/1", token=alice)
    oid, _ = hub_client(scenarios.commit, REPO, {"a.txt": b"a"}, alice, revision="dev/1")
    hub_client(
        scenarios.call, "create_tag", REPO, repo_type="dataset", tag="v1", revision="dev/1", token=alice
    )
    found = hub_client(scenarios.refs, REPO, alice)
    assert found == {"branches": {"main": start, "dev/1": oid}, "tags": {"v1": oid}, "pulls": {}}
    assert hub_client(scenarios.download, REPO, "a.txt", revision="v1") == sha(b"a")
    with pytest.raises(ClientError, match="already exists"):
        hub_client(scenarios.call, "create_tag", REPO, repo_type="dataset", tag="v1", token=alice)
    hub_client(scenarios.call, "delete_tag", REPO, repo_type="dataset", tag="v1", token=alice)
    hub_client(scenarios.call, "delete_branch", REPO, repo_type="dataset", branch="dev/1", token=alice)
    assert hub_client(scenarios.refs, REPO, alice) == {"branches": {"main": start}, "tags": {}, "pulls": {}}


# Pull requests


def test_a_pull_request_of_a_stranger_is_merged_as_one_commit(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    bob = hub.add_token("bob")
    edits: scenarios.Edits = {"results/bob.json": b"{}", "results/bob.tar": SHARD}
    oid, reference = hub_client(scenarios.commit, REPO, edits, bob, create_pr=True)
    assert reference == "refs/pr/1"
    hub_client(scenarios.commit, REPO, {"results/more.txt": b"more"}, bob, revision="refs/pr/1")
    assert contents(hub) == {}
    assert hub_client(scenarios.download, REPO, "results/bob.json", revision="refs/pr/1") == sha(b"{}")
    hub.commit(PATH, {"README.md": CARD})
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.merge, REPO, 1, bob)
    assert caught.value.status == 403
    told = hub_client(scenarios.merge, REPO, 1, alice)
    assert (told["status"], told["author"], told["target"]) == ("merged", "bob", "refs/heads/main")
    assert told["merge_commit"] == hub.repo(PATH).resolve().oid
    assert titles(hub) == ["A commit (#1)", "A commit by somebody else", "initial commit"]
    assert oid in hub.repo(PATH).resolve().message
    assert [*contents(hub)] == ["README.md", "results/bob.json", "results/bob.tar", "results/more.txt"]


def test_a_draft_and_a_conflict_are_not_merged(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.settings.pr_status = "draft"
    hub_client(scenarios.commit, REPO, {"a.txt": b"theirs"}, alice, create_pr=True)
    with pytest.raises(ClientError, match="its status is draft"):
        hub_client(scenarios.merge, REPO, 1, alice, leave_draft=True)
    hub.commit(PATH, {"a.txt": b"ours"})
    with pytest.raises(ClientError, match=r"has conflicts: a\.txt"):
        hub_client(scenarios.merge, REPO, 1, alice)
    assert hub_client(scenarios.details, REPO, 1)["conflicts"] == ["a.txt"]
    assert contents(hub) == {"a.txt": sha(b"ours")}


def test_a_pull_request_can_be_opened_first_and_filled_later(
    hub: Hub, hub_client: Client, alice: str, tmp_path: Path
) -> None:
    opened = hub_client(
        scenarios.call, "create_pull_request", REPO, "Tiles", repo_type="dataset", token=alice
    )
    assert (opened.status, opened.git_reference) == ("draft", "refs/pr/1")
    (tmp_path / "a.txt").write_bytes(b"a")
    hub_client(scenarios.upload_folder, REPO, tmp_path, alice, revision="refs/pr/1")
    told = hub_client(scenarios.merge, REPO, 1, alice)
    assert told["events"] == ["comment", "commit", "status-change", "status-change"]
    assert contents(hub) == {"a.txt": sha(b"a")}


def test_a_discussion_has_comments_a_title_and_an_end(hub: Hub, hub_client: Client, alice: str) -> None:
    told = hub_client(scenarios.discuss, REPO, alice)
    assert (told["title"], told["status"], told["reference"]) == ("An answer", "closed", None)
    assert told["events"] == ["comment", "comment", "title-change", "status-change"]


# Reading


def test_a_tree_comes_in_pages_and_names_folders(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"a/b/c.txt": b"c", "a/d.txt": b"d", "a/e.tar": SHARD, "f.txt": b"f"})
    hub.settings.page_size = 2
    found = hub_client(scenarios.tree, REPO, recursive=True)
    assert [*found] == [ATTRIBUTES, "a", "a/b", "a/b/c.txt", "a/d.txt", "a/e.tar", "f.txt"]
    assert (found["a"], found["f.txt"], found["a/e.tar"]) == (None, git_oid(b"f"), sha(SHARD))
    assert len(hub.requests("GET", "*/tree/*")) == 4
    assert [*hub_client(scenarios.tree, REPO, path_in_repo="a")] == ["a/b", "a/d.txt", "a/e.tar"]
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.tree, REPO, path_in_repo="missing")
    assert caught.value.kinds[0] == "RemoteEntryNotFoundError"


def test_paths_tell_which_commit_changed_them(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"a/b.txt": b"1", "c.txt": b"1"}, title="First")
    hub.commit(PATH, {"a/b.txt": b"2"}, title="Second")
    hub.commit(PATH, {"d.txt": b"1"}, title="Third")
    found = hub_client(scenarios.last_commits, REPO, ["a", "a/b.txt", "c.txt", "missing"])
    assert found == {"a": "Second", "a/b.txt": "Second", "c.txt": "First"}
    assert hub_client(scenarios.history, REPO) == ["Third", "Second", "First", "initial commit"]


def test_head_names_commit_hash_and_size_of_both_kinds_of_file(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    oid = hub.commit(PATH, {"a.txt": b"abc", "b.tar": SHARD}).oid
    small, large = (hub_client(scenarios.metadata, REPO, path) for path in ("a.txt", "b.tar"))
    assert (small["commit"], small["etag"], small["size"]) == (oid, git_oid(b"abc"), 3)
    assert (large["commit"], large["etag"], large["size"]) == (oid, sha(SHARD), len(SHARD))
    assert large["location"].startswith(hub.cdn_url)
    assert [seen.cdn for seen in hub.requests("HEAD")] == [False, False]


def test_downloads_are_whole_and_the_cdn_sees_no_token(hub: Hub, hub_client: Client, alice: str) -> None:
    commit = hub.commit(PATH, {"a.txt": b"abc", "deep/b.tar": SHARD, "empty.txt": b""})
    assert hub_client(scenarios.snapshot, REPO) == commit.sha256
    assert hub_client(scenarios.download, REPO, "deep/b.tar", token=alice) == sha(SHARD)
    cdn = [seen for seen in hub.requests() if seen.cdn]
    assert len(cdn) == 2
    assert [seen.token for seen in cdn] == [None, None]
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.download, REPO, "missing.txt")
    assert caught.value.kinds[0] == "RemoteEntryNotFoundError"


def test_ranges_of_files_are_read_by_hf_path_also_from_a_pull_request(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    edits: scenarios.Edits = {"data/b.tar": SHARD, "a.txt": b"abcdefgh" * 8}
    hub_client(scenarios.commit, REPO, edits, alice, create_pr=True)
    root = f"hf://{PATH}@refs/pr/1"
    assert hub_client(scenarios.read_range, f"{root}/data/b.tar", 300, 7) == (SHARD[300:307], SHARD)
    assert hub_client(scenarios.read_range, f"{root}/a.txt", 3, 2)[0] == b"de"
    ranged = [seen for seen in hub.requests("GET") if seen.headers.get("range", "").startswith("bytes=300-")]
    assert [(seen.cdn, seen.status) for seen in ranged] == [(False, 302), (True, 206)]
    listed = hub_client(scenarios.find, f"{root}/data")
    assert [path.rpartition("/")[2] for path in listed] == ["b.tar"]


def test_load_dataset_reads_a_webdataset_repository(
    hub: Hub, hub_client: Client, alice: str, tmp_path: Path
) -> None:
    hub.commit(PATH, webdataset(rows=3))
    for streaming in (True, False):
        features, rows = hub_client(scenarios.load, REPO, "train", tmp_path / "cache", streaming=streaming)
        assert [*features] == ["__key__", "png", "txt", "cls", "json"]
        assert "ClassLabel" in features["cls"]
        assert [row["__key__"] for row in rows] == ["000000000", "000000001", "000000002"]
        assert [row["png"] for row in rows] == [0.0, 50.0, 100.0]
        assert [row["json"] for row in rows] == [{"seed": seed, "gsd_m": 10.0} for seed in range(3)]
    assert [seen.path for seen in hub.requests() if not seen.known] == []


def webdataset(rows: int) -> Mapping[str, bytes]:
    """Return the files of a dataset of one shard."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in range(rows):
            image = io.BytesIO()
            Image.fromarray(np.full((4, 4, 3), 50 * row, np.uint8)).save(image, "PNG")
            fields = {
                "png": image.getvalue(),
                "txt": b"a river",
                "cls": b"1",
                "json": json.dumps({"seed": row, "gsd_m": 10.0}).encode(),
            }
            for name, content in fields.items():
                member = tarfile.TarInfo(f"{row:09d}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    card = """---
license: cc-by-4.0
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*.tar}
dataset_info:
  features:
  - {name: __key__, dtype: string}
  - {name: png, dtype: image}
  - {name: txt, dtype: string}
  - name: cls
    dtype: {class_label: {names: {'0': Forest, '1': River}}}
  - name: json
    struct: [{name: seed, dtype: int64}, {name: gsd_m, dtype: float64}]
---
"""
    return {"README.md": card.encode(), "data/train-00000.tar": buffer.getvalue()}


# Rights


def test_a_read_token_and_a_stranger_cannot_write(hub: Hub, hub_client: Client, alice: str) -> None:
    edits: scenarios.Edits = {"a.txt": b"a"}
    for token, words in (
        (hub.add_token("alice", "read"), "you must use a write token"),
        (hub.add_token("bob"), "pass `create_pr=1`"),
    ):
        with pytest.raises(ClientError, match=words) as caught:
            hub_client(scenarios.commit, REPO, edits, token)
        assert caught.value.status == 403
    with pytest.raises(ClientError, match="don't have the rights to create a dataset under this namespace"):
        hub_client(scenarios.call, "create_repo", "bob/other", repo_type="dataset", token=alice)
    assert titles(hub) == ["initial commit"]


def test_members_of_an_organisation_write_by_their_role(hub: Hub, hub_client: Client) -> None:
    hub.add_org("lab", {"alice": "write", "bob": "read"})
    hub.create("datasets/lab/tiles", private=True)
    edits: scenarios.Edits = {"a.txt": b"a"}
    hub_client(scenarios.commit, "lab/tiles", edits, hub.add_token("alice"))
    bob = hub.add_token("bob")
    assert hub_client(scenarios.download, "lab/tiles", "a.txt", token=bob) == sha(b"a")
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.commit, "lab/tiles", edits, bob)
    assert caught.value.status == 403


def test_a_private_repository_is_missing_to_others(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.repo(PATH).private = True
    hub.commit(PATH, {"a.txt": b"a"})
    for token, status in ((None, 401), (hub.add_token("bob"), 404)):
        for repo in (REPO, "alice/never-made"):
            with pytest.raises(ClientError) as caught:
                hub_client(scenarios.info, repo, token=token)
            assert (caught.value.kinds[0], caught.value.status) == ("RepositoryNotFoundError", status)
    assert hub_client(scenarios.download, REPO, "a.txt", token=alice) == sha(b"a")


def test_a_gated_repository_shows_its_names_and_keeps_its_files(hub: Hub, hub_client: Client) -> None:
    repo = hub.create(PATH, gated=True)
    hub.commit(PATH, {"a.txt": b"a"})
    assert "a.txt" in hub_client(scenarios.tree, REPO)
    bob = hub.add_token("bob")
    for token, status in ((None, 401), (bob, 403)):
        with pytest.raises(ClientError, match="is restricted") as caught:
            hub_client(scenarios.download, REPO, "a.txt", token=token)
        assert (caught.value.kinds[0], caught.value.status) == ("GatedRepoError", status)
    repo.granted.add("bob")
    assert hub_client(scenarios.download, REPO, "a.txt", token=bob) == sha(b"a")


def test_an_unknown_token_is_refused(hub: Hub, hub_client: Client, alice: str) -> None:
    with pytest.raises(ClientError, match="Invalid credentials in Authorization header") as caught:
        hub_client(scenarios.info, REPO, token="hf_stolen")
    assert caught.value.status == 401


def test_settings_decide_who_finds_a_repository(hub: Hub, hub_client: Client, alice: str) -> None:
    bob = hub.add_token("bob")
    assert hub_client(scenarios.listed, "alice", bob) == [REPO]
    settings = {"repo_type": "dataset", "token": alice}
    hub_client(scenarios.call, "update_repo_settings", REPO, gated="manual", **settings)
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.call, "auth_check", REPO, repo_type="dataset", token=bob)
    assert caught.value.kinds[0] == "GatedRepoError"
    hub_client(scenarios.call, "update_repo_settings", REPO, private=True, **settings)
    assert hub_client(scenarios.listed, "alice", bob) == []
    assert hub_client(scenarios.listed, "alice", alice) == [REPO]
    hub_client(scenarios.call, "auth_check", REPO, write=True, **settings)


# Without HF_HUB_DISABLE_XET


def test_with_xet_on_reading_and_small_files_work(
    hub: Hub, xet_client: Client, alice: str, tmp_path: Path
) -> None:
    hub.commit(PATH, {"b.tar": SHARD})
    assert xet_client(scenarios.download, REPO, "b.tar") == sha(SHARD)
    assert xet_client(scenarios.read_range, f"hf://{PATH}/b.tar", 300, 7) == (SHARD[300:307], SHARD)
    (tmp_path / "README.md").write_bytes(CARD)
    xet_client(scenarios.upload_folder, REPO, tmp_path, alice)
    assert contents(hub) == {"README.md": sha(CARD), "b.tar": sha(SHARD)}


def test_with_xet_on_an_lfs_file_is_not_uploaded_and_nothing_is_committed(
    hub: Hub, xet_client: Client, alice: str
) -> None:
    """The client has no way back from Xet to LFS: a Hub without Xet needs HF_HUB_DISABLE_XET=1."""
    with pytest.raises(ClientError, match="xet-write-token") as caught:
        xet_client(scenarios.commit, REPO, {"a.tar": SHARD}, alice)
    assert caught.value.kinds[0] == "ConnectionError"
    assert len(hub.requests("GET", "*/xet-write-token/*")) >= 1
    assert titles(hub) == ["initial commit"]
