"""`--create-pr`: one pull request that can be merged, whatever happens on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import scenarios
from tests.hub.client import Client, ClientError
from tests.hub.discussions import Discussion
from tests.hub.faults import Answer, DropAfter, DropBefore, Fault, Hold
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

TITLE = "Publish pairs (lr-hr)"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return make_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def bob(hub: Hub, hub_client: Client, builds: Builds) -> str:
    """Return the token of somebody who wants to add to a dataset of alice's."""
    hub_client(send, [builds.scenes], hub.add_token("alice"))
    return hub.add_token("bob")


def pulls(hub: Hub) -> list[Discussion]:
    return hub.repo(PATH).discussions


def both(builds: Builds) -> dict[str, str]:
    return published_hashes(builds.scenes, "scene-caption") | published_hashes(builds.pairs, "lr-hr")


def test_a_proposal_to_somebody_else_is_one_open_pull_request_that_merges(
    hub: Hub, hub_client: Client, bob: str, builds: Builds
) -> None:
    before = contents(hub)
    done = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert (done["made"], done["pull_request"], done["url"]) == (True, 1, f"{hub.url}/{PATH}/discussions/1")
    assert [(pull.title, pull.author, pull.status) for pull in pulls(hub)] == [(TITLE, "bob", "open")]
    assert contents(hub) == before
    assert contents(hub, "refs/pr/1") == both(builds)
    assert sorted(card_configs(hub, "refs/pr/1")) == ["lr-hr", "scene-caption"]
    hub_client(scenarios.merge, REPO, 1, hub.add_token("alice"))
    assert contents(hub) == both(builds)
    assert len(titles(hub)) == 3
    again = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert (again["made"], again["pull_request"]) == (False, None)
    assert len(pulls(hub)) == 1


def test_an_open_pull_request_of_ours_is_gone_on_with(
    hub: Hub, hub_client: Client, bob: str, builds: Builds, tmp_path: Path
) -> None:
    hub_client(send, [builds.pairs], bob, create_pr=True)
    same = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert (same["made"], same["pull_request"]) == (False, 1)
    changed = repack(builds.pairs, tmp_path / "changed")
    done = hub_client(send, [changed], bob, create_pr=True)
    assert (done["made"], done["pull_request"]) == (True, 1)
    assert len(pulls(hub)) == 1
    assert contents(hub, "refs/pr/1") == both(builds) | published_hashes(changed, "lr-hr")
    assert titles(hub, "refs/pr/1")[:2] == [TITLE, TITLE]
    assert len(titles(hub)) == 2


@pytest.mark.parametrize("status", ["closed", "merged"])
def test_a_pull_request_that_is_over_is_left_alone(
    hub: Hub, hub_client: Client, bob: str, builds: Builds, tmp_path: Path, status: str
) -> None:
    hub_client(send, [builds.pairs], bob, create_pr=True)
    if status == "merged":
        hub_client(scenarios.merge, REPO, 1, hub.add_token("alice"))
    else:
        pulls(hub)[0].set_status("alice", "closed")
    changed = repack(builds.pairs, tmp_path / "changed")
    done = hub_client(send, [changed], bob, create_pr=True)
    assert done["pull_request"] == 2
    assert contents(hub, "refs/pr/2") == both(builds) | published_hashes(changed, "lr-hr")


def test_pull_requests_of_others_and_other_titles_are_not_taken(
    hub: Hub, hub_client: Client, bob: str, builds: Builds
) -> None:
    hub_client(send, [builds.pairs], hub.add_token("carol"), create_pr=True)
    hub_client(send, [builds.others], bob, create_pr=True)
    done = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert done["pull_request"] == 3
    assert [pull.author for pull in pulls(hub)] == ["carol", "bob", "bob"]


def test_a_draft_is_set_to_open(hub: Hub, hub_client: Client, bob: str, builds: Builds) -> None:
    hub.settings.pr_status = "draft"
    hub_client(send, [builds.pairs], bob, create_pr=True)
    assert [pull.status for pull in pulls(hub)] == ["open"]
    pulls(hub)[0].status = "draft"
    again = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert (again["made"], again["pull_request"]) == (False, 1)
    assert [pull.status for pull in pulls(hub)] == ["open"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{API}/preupload/*"),
        ("PUT", "/lfs/upload/*"),
        ("POST", COMMIT),
        ("GET", f"{API}/discussions"),
        ("GET", f"{API}/discussions/1"),
        ("POST", f"{API}/discussions/1/status"),
    ],
)
@pytest.mark.parametrize("fault", [Answer(503), DropBefore(), DropAfter()], ids=["busy", "before", "after"])
def test_faults_do_not_make_two_pull_requests(
    hub: Hub, hub_client: Client, bob: str, builds: Builds, method: str, path: str, fault: Fault
) -> None:
    hub.settings.pr_status = "draft"
    hub.fault(fault, method, path)
    done = hub_client(send, [builds.pairs], bob, create_pr=True)
    assert (done["made"], done["pull_request"]) == (True, 1)
    assert [(pull.title, pull.status) for pull in pulls(hub)] == [(TITLE, "open")]
    assert contents(hub, "refs/pr/1") == both(builds)
    assert len(titles(hub, "refs/pr/1")) == 3
    assert len(titles(hub)) == 2


@pytest.mark.parametrize("after", [False, True])
def test_a_proposal_that_is_killed_goes_on(
    hub: Hub, hub_client: Client, bob: str, builds: Builds, tmp_path: Path, after: bool
) -> None:
    hold = Hold(after=after)
    hub.fault(hold, "POST", COMMIT)
    command = [sys.executable, "-m", "synrs_data", "publish", str(builds.pairs), REPO, "--create-pr"]
    process = subprocess.Popen(command, env=hub.env(tmp_path, bob), stderr=subprocess.DEVNULL)
    hold.wait()
    process.kill()
    process.wait(timeout=30)
    hold.release()
    hub_client(send, [builds.pairs], bob, create_pr=True)
    assert [(pull.title, pull.status) for pull in pulls(hub)] == [(TITLE, "open")]
    assert contents(hub, "refs/pr/1") == both(builds)
    assert len(titles(hub)) == 2


def test_a_proposal_needs_a_repository(hub: Hub, hub_client: Client, builds: Builds) -> None:
    with pytest.raises(ClientError, match="no such dataset to propose to") as caught:
        hub_client(send, [builds.pairs], hub.add_token("bob"), create_pr=True)
    assert caught.value.kinds[0] == "UserError"
    with pytest.raises(KeyError):
        hub.repo(PATH)
