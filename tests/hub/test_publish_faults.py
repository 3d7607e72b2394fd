"""Whatever breaks between us and the Hub, a publish ends in exactly one version, or in none."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hub.client import Client, ClientError
from tests.hub.faults import Answer, DropAfter, DropBefore, Fault, Hold, Overtake
from tests.hub.publishing import (
    API,
    COMMIT,
    PATH,
    REPO,
    Builds,
    card_configs,
    contents,
    make_builds,
    published_hashes,
    repack,
    send,
    titles,
)
from tests.hub.server import Hub
from tests.hub.store import Repo

UPLOADS = "/lfs/upload/*"
BATCH = f"/{PATH}.git/info/lfs/objects/batch"
STAGES = {
    "whoami": ("GET", "/api/whoami-v2"),
    "head": ("GET", f"{API}/revision/main"),
    "tree": ("GET", f"{API}/tree/*"),
    "manifest": ("GET", f"/{PATH}/resolve/*/manifest.json"),
    "create": ("POST", "/api/repos/create"),
    "rights": ("GET", f"{API}/auth-check/write"),
    "preupload": ("POST", f"{API}/preupload/*"),
    "batch": ("POST", BATCH),
    "upload": ("PUT", UPLOADS),
    "verify": ("POST", f"/{PATH}.git/info/lfs/objects/verify"),
    "validate": ("POST", "/api/validate-yaml"),
    "commit": ("POST", COMMIT),
}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return make_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def token(hub: Hub) -> str:
    return hub.add_token("alice")


def command(root: Path, repo: str = REPO, *options: str) -> list[str]:
    return [sys.executable, "-m", "synrs_data", "publish", str(root), repo, *options]


def scene_hashes(builds: Builds) -> dict[str, str]:
    return published_hashes(builds.scenes, "scene-caption")


def both_hashes(builds: Builds) -> dict[str, str]:
    return scene_hashes(builds) | published_hashes(builds.pairs, "lr-hr")


@pytest.mark.parametrize(
    "faults",
    # A lost answer is the last: if it is that of the commit, there is nothing left to do.
    [[Answer(429, retry_after=0), Answer(503)], [DropBefore(), DropAfter()]],
    ids=["busy", "broken"],
)
@pytest.mark.parametrize("stage", STAGES)
def test_one_version_comes_of_a_busy_hub_broken_connections_and_lost_answers(
    hub: Hub, hub_client: Client, token: str, builds: Builds, stage: str, faults: list[Fault]
) -> None:
    expected, commits = scene_hashes(builds), 2
    if stage not in ("create", "whoami"):
        hub_client(send, [builds.scenes], token)
        expected, commits = both_hashes(builds), 3
    rules = [hub.fault(fault, *STAGES[stage]) for fault in faults]
    roots = [builds.scenes] if commits == 2 else [builds.scenes, builds.pairs]
    done = hub_client(send, roots, token)
    assert [rule.hits for rule in rules] == [1, 1]
    assert done["made"]
    assert contents(hub) == expected
    assert len(titles(hub)) == commits
    assert done["commit"] == hub.repo(PATH).resolve().oid


@pytest.mark.parametrize("skip", [0, 1])
def test_an_answer_of_the_listing_that_is_lost_after_the_commit_is_asked_for_again(
    hub: Hub, hub_client: Client, token: str, builds: Builds, skip: int
) -> None:
    hub_client(send, [builds.scenes], token)
    before = len(hub.requests("GET", f"{API}/tree/*"))
    hub_client(send, [builds.scenes], token)
    in_between = len(hub.requests("GET", f"{API}/tree/*")) - before
    assert in_between >= 1
    hub.fault(DropAfter(), "GET", f"{API}/tree/*", skip=in_between + skip)
    hub_client(send, [builds.pairs], token)
    assert contents(hub) == both_hashes(builds)
    assert len(titles(hub)) == 3


def test_a_hub_that_stays_busy_ends_in_one_message_and_no_version(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    rule = hub.fault(Answer(503, message="down"), "POST", COMMIT, times=None)
    with pytest.raises(ClientError, match="does not answer as it should") as caught:
        hub_client(send, [builds.scenes], token, waits={"tries": 3})
    assert caught.value.kinds[0] == "UserError"
    assert rule.hits == 3
    assert titles(hub) == ["initial commit"]
    assert contents(hub) == {}


def test_a_wait_of_an_hour_is_not_waited_for(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    rule = hub.fault(Answer(429, retry_after=3600), "POST", COMMIT)
    with pytest.raises(ClientError, match="it asks to wait 3600 s"):
        hub_client(send, [builds.scenes], token)
    assert rule.hits == 1
    assert titles(hub) == ["initial commit"]


@pytest.mark.parametrize("stage", ["preupload", "create", "tree"])
def test_an_answer_that_no_try_changes_is_one_message(
    hub: Hub, hub_client: Client, token: str, builds: Builds, stage: str
) -> None:
    for status in (400, 412, 413):
        hub.fault(Answer(status, message="never"), *STAGES[stage])
        with pytest.raises(ClientError, match=f"the Hub refuses: {status} never") as caught:
            hub_client(send, [builds.scenes], token)
        assert caught.value.kinds[0] == "UserError"
    assert hub.requests("POST", COMMIT) == []


def test_the_wait_that_the_hub_asks_for_is_kept(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.fault(Answer(429, retry_after=1), "POST", COMMIT)
    done = hub_client(send, [builds.scenes], token)
    waits = [event["seconds"] for event in done["events"] if event["event"] == "hub_waits"]
    assert waits == [1.0]
    assert len(titles(hub)) == 2


@pytest.mark.parametrize("path", ["notes.txt", "scene-caption/notes.txt"])
def test_a_file_that_somebody_commits_in_between_survives(
    hub: Hub, hub_client: Client, token: str, builds: Builds, path: str
) -> None:
    hub_client(send, [builds.scenes], token)
    hub.fault(Overtake(PATH, {path: b"theirs"}), "POST", COMMIT)
    done = hub_client(send, [builds.pairs], token)
    assert {"event": "overtaken"} in done["events"]
    found = contents(hub)
    assert found.pop(path)
    assert found == both_hashes(builds)
    assert len(titles(hub)) == 4


def test_somebody_elses_card_in_a_new_repository_is_not_overwritten(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.fault(Overtake(PATH, {"README.md": b"# Mine\n"}), "POST", COMMIT)
    with pytest.raises(ClientError, match=r"holds files that synrs-data did not publish, such as README\.md"):
        hub_client(send, [builds.scenes], token)
    assert hub.repo(PATH).read("README.md") == b"# Mine\n"
    assert titles(hub) == ["A commit by somebody else", "initial commit"]


def test_others_that_never_stop_committing_end_in_one_message(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    for number in range(4):
        hub.fault(Overtake(PATH, {"notes.txt": bytes([number])}), "POST", COMMIT)
    with pytest.raises(ClientError, match="others keep committing") as caught:
        hub_client(send, [builds.scenes], token)
    assert caught.value.kinds[0] == "UserError"
    assert contents(hub).keys() == {"notes.txt"}
    assert len(titles(hub)) == 5


@pytest.mark.parametrize("second", ["same", "pairs", "others"])
def test_two_publishes_at_once_both_end_well(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path, second: str
) -> None:
    hold = Hold()
    hub.fault(hold, "POST", COMMIT)
    process = subprocess.Popen(command(builds.scenes), env=hub.env(tmp_path, token))
    hold.wait()
    roots = {"same": builds.scenes, "pairs": builds.pairs, "others": builds.others}
    hub_client(send, [roots[second]], token)
    hold.release()
    assert process.wait(timeout=60) == 0
    expected = {
        "same": scene_hashes(builds),
        "pairs": both_hashes(builds),
        # The one that came first took the name of the task.
        "others": published_hashes(builds.others, "scene-caption")
        | published_hashes(builds.scenes, "scenes"),
    }
    assert contents(hub) == expected[second]
    configs = {
        "same": ["scene-caption"],
        "pairs": ["lr-hr", "scene-caption"],
        "others": ["scene-caption", "scenes"],
    }
    assert sorted(card_configs(hub)) == configs[second]
    assert len(titles(hub)) == (2 if second == "same" else 3)


@pytest.mark.parametrize(
    ("stage", "after", "signals"),
    [
        ("create", True, signal.SIGKILL),
        ("preupload", False, signal.SIGKILL),
        ("batch", False, signal.SIGKILL),
        ("upload", False, signal.SIGKILL),
        ("upload", True, signal.SIGKILL),
        ("validate", False, signal.SIGKILL),
        ("commit", False, signal.SIGKILL),
        ("commit", True, signal.SIGKILL),
        ("upload", True, signal.SIGINT),
        ("commit", True, signal.SIGTERM),
    ],
)
def test_a_publish_that_is_killed_leaves_all_or_nothing_and_goes_on(
    hub: Hub,
    hub_client: Client,
    token: str,
    builds: Builds,
    tmp_path: Path,
    stage: str,
    after: bool,
    signals: signal.Signals,
) -> None:
    hold = Hold(after=after)
    rule = hub.fault(hold, *STAGES[stage])
    process = subprocess.Popen(command(builds.scenes), env=hub.env(tmp_path, token), stderr=subprocess.PIPE)
    hold.wait()
    process.send_signal(signals)
    if signals != signal.SIGKILL:
        hold.release()
    assert process.stderr is not None
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    hold.release()
    assert b"Traceback" not in said
    assert token.encode() not in said
    seen = rule.hits
    assert seen == 1
    # A request that was held before its work is lost with its sender, or done; either is whole.
    assert contents(hub) in ({}, scene_hashes(builds))
    if (stage, after) == ("commit", True):
        assert contents(hub) == scene_hashes(builds)
    sent = {request.path for request in hub.requests("PUT", UPLOADS) if request.status == 200}
    hub_client(send, [builds.scenes], token)
    assert contents(hub) == scene_hashes(builds)
    assert len(titles(hub)) == 2
    tries = [request.path for request in hub.requests("PUT", UPLOADS) if request.status == 200]
    assert all(tries.count(path) == 1 for path in sent), "an object that was there was sent again"


def test_a_change_that_is_killed_leaves_the_old_version(
    hub: Hub, hub_client: Client, token: str, builds: Builds, tmp_path: Path
) -> None:
    hub_client(send, [builds.scenes], token)
    changed = repack(builds.scenes, tmp_path / "changed")
    hold = Hold(after=True)
    hub.fault(hold, "PUT", UPLOADS)
    process = subprocess.Popen(command(changed), env=hub.env(tmp_path, token), stderr=subprocess.DEVNULL)
    hold.wait()
    process.kill()
    process.wait(timeout=30)
    hold.release()
    assert contents(hub) == scene_hashes(builds)
    uploads = len(hub.requests("PUT", UPLOADS))
    hub_client(send, [changed], token)
    assert len(hub.requests("PUT", UPLOADS)) == uploads
    assert contents(hub) == published_hashes(changed, "scene-caption")
    assert len(titles(hub)) == 3


def test_what_the_hub_lists_otherwise_is_named(
    hub: Hub, hub_client: Client, token: str, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Repo.commit

    def lose(repo: Repo, edits: list[Any], **kwargs: Any) -> Any:
        kept = [edit for edit in edits if edit.path != "scene-caption/data/test-00000.tar"]
        return commit(repo, kept, **kwargs)

    monkeypatch.setattr(Repo, "commit", lose)
    with pytest.raises(
        ClientError, match=r"lists other contents than were sent: scene-caption/data/test"
    ) as caught:
        hub_client(send, [builds.scenes], token)
    assert caught.value.kinds[0] == "VerificationError"
