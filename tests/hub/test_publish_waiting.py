"""A Hub that says nothing, or does not know yet what it was told, is waited for, and not without end."""

from __future__ import annotations

import pytest

from tests.hub.client import Client, ClientError
from tests.hub.faults import Answer, Hold
from tests.hub.publishing import (
    API,
    COMMIT,
    PATH,
    Builds,
    contents,
    make_builds,
    published_hashes,
    send,
    titles,
)
from tests.hub.server import Hub

SILENCE = {"silence_s": 2.0}
UNKNOWN = Answer(404, message="Repository not found", code="RepoNotFound")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return make_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def token(hub: Hub) -> str:
    return hub.add_token("alice")


@pytest.mark.parametrize(
    ("method", "path", "after"),
    [
        ("GET", "/api/whoami-v2", False),
        ("GET", f"{API}/revision/main", False),
        ("GET", f"{API}/tree/*", False),
        ("POST", "/api/repos/create", True),
        ("POST", f"{API}/preupload/*", False),
        ("PUT", "/lfs/upload/*", False),
        ("POST", COMMIT, False),
        ("POST", COMMIT, True),
    ],
)
def test_a_connection_that_stays_open_in_silence_counts_as_broken(
    hub: Hub, hub_client: Client, token: str, builds: Builds, method: str, path: str, after: bool
) -> None:
    rule = hub.fault(Hold(after=after), method, path)
    done = hub_client(send, [builds.scenes], token, waits=SILENCE)
    assert rule.hits == 1
    assert done["made"]
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")
    assert len(titles(hub)) == 2


def test_a_hub_that_is_silent_for_good_ends_in_one_message(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub.fault(Hold(), "GET", f"{API}/revision/main", times=None)
    with pytest.raises(ClientError, match=r"does not answer as it should \(ReadTimeout\)") as caught:
        hub_client(send, [builds.scenes], token, waits={"silence_s": 0.3, "tries": 2})
    assert caught.value.kinds[0] == "UserError"
    assert hub.requests("POST") == []


def test_the_limit_of_silence_is_gone_after_a_publish(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    before = hub_client(limits)
    hub_client(send, [builds.scenes], token, waits=SILENCE)
    assert hub_client(limits) == before


def limits() -> tuple[int, str]:
    """Return what the client process would ask the Hub with."""
    from huggingface_hub.utils import _http, get_session  # type: ignore[attr-defined]

    return len(get_session().event_hooks["request"]), _http._GLOBAL_CLIENT_FACTORY.__qualname__


def test_a_limit_of_ones_own_stays(hub: Hub, hub_client: Client) -> None:
    hub.fault(Hold(), "GET", "/api/whoami-v2")
    with pytest.raises(ClientError) as caught:
        hub_client(own_limit, hub.url)
    assert caught.value.kinds[0] == "ReadTimeout"


def own_limit(url: str) -> None:
    """Ask with a limit that is shorter than ours."""
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    from synrs_data.hub.silence import no_longer_than

    with no_longer_than(3600):
        get_session().get(f"{url}/api/whoami-v2", timeout=0.3)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/revision/main"),
        ("GET", f"{API}/tree/*"),
        ("POST", f"{API}/preupload/*"),
        ("POST", f"/{PATH}.git/info/lfs/objects/batch"),
        ("POST", COMMIT),
    ],
)
def test_a_repository_that_was_just_made_may_be_unknown_for_a_while(
    hub: Hub, hub_client: Client, token: str, builds: Builds, method: str, path: str
) -> None:
    # The question before the repository is made is answered 404 too.
    skip = 1 if path.endswith("/revision/main") else 0
    hub.fault(UNKNOWN, method, path, times=2, skip=skip)
    done = hub_client(send, [builds.scenes], token)
    assert [event["reason"] for event in done["events"] if event["event"] == "hub_waits"][:1] == [
        "404 Repository not found"
    ]
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")
    assert len(titles(hub)) == 2


def test_a_repository_that_was_just_made_and_is_not_known_to_xet_is_waited_for(
    hub: Hub, xet_client: Client, token: str, builds: Builds
) -> None:
    hub.fault(UNKNOWN, "GET", "*/xet-write-token/*")
    xet_client(send, [builds.scenes], token)
    assert [seen.status for seen in hub.requests("GET", "*/xet-write-token/*")] == [404, 404]
    assert contents(hub) == published_hashes(builds.scenes, "scene-caption")


def test_a_repository_that_vanishes_later_is_not_waited_for(
    hub: Hub, hub_client: Client, token: str, builds: Builds
) -> None:
    hub_client(send, [builds.scenes], token)
    rule = hub.fault(UNKNOWN, "POST", f"{API}/preupload/*")
    with pytest.raises(ClientError, match="there is no such dataset"):
        hub_client(send, [builds.pairs], token)
    assert rule.hits == 1
