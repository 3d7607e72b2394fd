"""The loopback Hub fails as a test tells it to, and the real client notices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import scenarios
from tests.hub.client import ROOT, Client, ClientError
from tests.hub.faults import Answer, DropAfter, DropBefore, Hold, Overtake, Slow, Truncate
from tests.hub.server import Hub
from tests.hub.tiles import CARD, COMMIT, PATH, REPO, SHARD, contents, sha, titles

# Faults


def test_a_busy_hub_is_asked_again_for_an_upload(hub: Hub, hub_client: Client, alice: str) -> None:
    rules = [
        hub.fault(Answer(429, retry_after=0), "PUT", "/lfs/upload/*"),
        hub.fault(Answer(503), "POST", "*/preupload/*"),
    ]
    hub_client(scenarios.commit, REPO, {"a.tar": SHARD}, alice)
    assert [rule.hits for rule in rules] == [1, 1]
    assert [seen.status for seen in hub.requests("PUT")] == [429, 200]
    assert [seen.status for seen in hub.requests("POST", "*/preupload/*")] == [503, 200]
    assert contents(hub) == {"a.tar": sha(SHARD)}


@pytest.mark.parametrize("status", [412, 429, 500, 503])
def test_an_error_in_place_of_the_commit_is_raised_at_once(
    hub: Hub, hub_client: Client, alice: str, status: int
) -> None:
    hub.fault(Answer(status, retry_after=7, message="not now"), "POST", COMMIT)
    with pytest.raises(ClientError, match="not now") as caught:
        hub_client(scenarios.commit, REPO, {"a.txt": b"a"}, alice)
    assert caught.value.status == status
    assert titles(hub) == ["initial commit"]


def test_an_upload_survives_a_connection_that_breaks(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.fault(DropBefore(), "PUT", "/lfs/upload/*")
    hub_client(scenarios.commit, REPO, {"a.tar": SHARD}, alice)
    assert [(seen.status, seen.fault) for seen in hub.requests("PUT")] == [(None, "DropBefore"), (200, None)]
    assert contents(hub) == {"a.tar": sha(SHARD)}


def test_a_commit_whose_connection_breaks_before_leaves_nothing_and_after_it_is_there(
    hub: Hub, hub_client: Client, alice: str
) -> None:
    hub.fault(DropBefore(), "POST", COMMIT)
    hub.fault(DropAfter(), "POST", COMMIT)
    for made in (0, 1):
        with pytest.raises(ClientError) as caught:
            hub_client(scenarios.commit, REPO, {"a.txt": b"a"}, alice)
        assert {"RemoteProtocolError", "ReadError"} & set(caught.value.kinds)
        assert len(titles(hub)) == 1 + made
    assert [seen.status for seen in hub.requests("POST", COMMIT)] == [None, None]


def test_a_late_answer_runs_into_the_timeout_of_the_client(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"a.txt": b"a"})
    hub.fault(Slow(0.5), "HEAD", f"/{PATH}/resolve/*")
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.metadata, REPO, "a.txt", timeout=0.1)
    assert "TimeoutException" in caught.value.kinds
    assert hub_client(scenarios.metadata, REPO, "a.txt")["size"] == 1


@pytest.mark.parametrize("path", ["a.txt", "b.tar"])
def test_a_download_starts_again_after_a_body_was_cut(
    hub: Hub, hub_client: Client, alice: str, path: str
) -> None:
    files = {"a.txt": b"abcdefgh" * 100, "b.tar": SHARD}
    hub.commit(PATH, files)
    pattern = "/lfs/object/*" if path == "b.tar" else "*/resolve/*"
    hub.fault(Truncate(300), "GET", pattern)
    assert hub_client(scenarios.download, REPO, path) == sha(files[path])
    assert [seen.fault for seen in hub.requests("GET", pattern)] == ["Truncate", None]


def test_a_large_download_goes_on_where_its_body_was_cut(hub: Hub, hub_client: Client, alice: str) -> None:
    chunk = 10 * 2**20  # the client keeps what it has in chunks of this size (constants.DOWNLOAD_CHUNK_SIZE)
    large = SHARD * (chunk // len(SHARD) + 2)
    hub.commit(PATH, {"large.tar": large})
    hub.fault(Truncate(chunk + 100), "GET", "/lfs/object/*")
    assert hub_client(scenarios.download, REPO, "large.tar") == sha(large)
    cut, rest = hub.requests("GET", "/lfs/object/*")
    assert (cut.status, rest.status, rest.headers["range"]) == (200, 206, f"bytes={chunk}-")


def test_somebody_elses_commit_slips_in(hub: Hub, hub_client: Client, alice: str) -> None:
    parent = hub.repo(PATH).resolve().oid
    hub.fault(Overtake(PATH, {"README.md": CARD}), "POST", COMMIT)
    with pytest.raises(ClientError) as caught:
        hub_client(scenarios.commit, REPO, {"a.txt": b"a"}, alice, parent_commit=parent)
    assert caught.value.status == 412
    assert titles(hub) == ["A commit by somebody else", "initial commit"]
    hub.fault(Overtake(PATH, {"README.md": None}), "POST", COMMIT)
    hub_client(scenarios.commit, REPO, {"a.txt": b"a"}, alice)
    assert titles(hub)[:2] == ["A commit", "A commit by somebody else"]
    assert contents(hub) == {"a.txt": sha(b"a")}


def test_rules_count_skip_and_choose_by_path(hub: Hub, hub_client: Client, alice: str) -> None:
    hub.commit(PATH, {"a.txt": b"a", "b.txt": b"b"})
    rule = hub.fault(Answer(404), "HEAD", "*/a.txt", times=2, skip=1)
    for path, fails in (
        ("a.txt", False),
        ("b.txt", False),
        ("a.txt", True),
        ("a.txt", True),
        ("a.txt", False),
    ):
        if fails:
            with pytest.raises(ClientError):
                hub_client(scenarios.metadata, REPO, path)
        else:
            hub_client(scenarios.metadata, REPO, path)
    assert rule.hits == 2


@pytest.mark.parametrize(
    ("method", "path", "after", "commits"), [("PUT", "/lfs/*", False, 1), ("POST", COMMIT, True, 2)]
)
def test_a_client_killed_while_its_request_is_held_leaves_what_was_done(
    hub: Hub, alice: str, tmp_path: Path, method: str, path: str, after: bool, commits: int
) -> None:
    hold = Hold(after=after)
    hub.fault(hold, method, path)
    code = f"from tests.hub.scenarios import commit; commit({REPO!r}, {{'a.tar': b'abc'}}, {alice!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=hub.env(tmp_path))
    hold.wait()
    process.kill()
    assert process.wait(timeout=30) == -9
    hold.release()
    assert len(titles(hub)) == commits
    assert hub.requests(method, path)[0].fault == "Hold"


# The test's own safety


def test_a_fault_that_never_strikes_fails_the_test(hub: Hub) -> None:
    hub.fault(Answer(500), "GET", "/never")
    with pytest.raises(AssertionError, match="never struck"):
        hub.check()
    hub.reset()


def test_no_client_leaves_the_machine(hub: Hub, hub_client: Client) -> None:
    assert hub_client(scenarios.send, "GET", "http://example.invalid/page") == 502
    assert [seen.path for seen in hub.strays] == ["http://example.invalid/page"]
    with pytest.raises(AssertionError, match=r"example\.invalid"):
        hub.check()
    hub.reset()
