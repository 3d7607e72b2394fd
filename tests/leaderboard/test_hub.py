"""From a stranger's folder to a rank, on the loopback Hub; and what must not come through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub.client import Client, ClientError
from tests.hub.faults import Answer, DropAfter, Fault, Overtake
from tests.hub.server import Hub
from tests.leaderboard import calls
from tests.leaderboard.made import edit_result, write_submission

REPO = "alice/results"
PATH = f"datasets/{REPO}"
API = f"/api/{PATH}"
ADDRESS = f"hf://datasets/{REPO}"
PULL = f"{ADDRESS}@refs/pr/1"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_submission(tmp_path_factory.mktemp("good") / "model", name="Good", right={"real": 0.8})


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poor") / "model"
    return write_submission(folder, name="Poor", right={"real": 0.5}, first_seed=1)


@pytest.fixture
def alice(hub: Hub) -> str:
    """Return a token of the maintainer of an empty results repository."""
    hub.create(PATH)
    hub.commit(PATH, {"README.md": b"---\nlicense: mit\n---\nResults\n"})
    return hub.add_token("alice")


@pytest.fixture
def bob(hub: Hub, alice: str) -> str:
    """Return a token of somebody who may not write there."""
    return hub.add_token("bob")


def files(hub: Hub, revision: str = "main") -> set[str]:
    return {path for path in hub.repo(PATH).resolve(revision).files if path.startswith("submissions/")}


def payload(folder: Path, identity: str) -> dict[str, bytes | None]:
    return {
        f"submissions/{identity}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_submission_of_a_stranger_reaches_its_recomputed_rank(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path, poor: Path
) -> None:
    first = hub_client(calls.propose, poor, REPO, hub.add_token("carol"))
    assert first["made"]
    assert hub_client(calls.add, PULL, alice) == (first["id"], True)

    done = hub_client(calls.propose, good, REPO, bob)
    assert (done["number"], done["made"], done["url"]) == (2, True, f"{hub.url}/{PATH}/discussions/2")
    pull = hub.repo(PATH).discussions[1]
    assert (pull.author, pull.status, pull.title) == ("bob", "open", f"Submit {done['id']}")
    assert files(hub, "refs/pr/2") - files(hub) == set(payload(good, done["id"]))

    assert hub_client(calls.check, f"{ADDRESS}@refs/pr/2") == (done["id"], [], [])
    with pytest.raises(ClientError, match="you may not write here"):
        hub_client(calls.add, f"{ADDRESS}@refs/pr/2", bob)
    assert hub_client(calls.add, f"{ADDRESS}@refs/pr/2", alice) == (done["id"], True)
    assert hub.repo(PATH).discussions[1].status == "closed"

    board, left_out = hub_client(calls.board, ADDRESS)
    assert left_out == []
    (shown,) = board.benchmarks
    said = json.loads((good / "results" / "0" / "result.json").read_text())["arms"][0]["metrics"][0]
    best, last = shown.rows
    assert (best.submission, best.rank, best.name, best.value) == (done["id"], 1, "Good", said["value"])
    assert (best.low, best.high) == (said["interval"]["low"], said["interval"]["high"])
    assert (last.submission, last.rank, last.tied_with_best) == (first["id"], 2, False)
    assert best.tied_with_best
    assert "recomputed every score and interval from 1,000 predictions" in best.verified
    record = json.loads(hub.repo(PATH).read(f"submissions/{done['id']}/verification.json"))
    assert (record["author"], record["source"]) == ("bob", done["url"])
    assert record["commit"] == hub.repo(PATH).resolve("refs/pr/2").oid


def test_submitting_again_makes_no_second_pull_request(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    hub_client(calls.propose, good, REPO, bob)
    again = hub_client(calls.propose, good, REPO, bob)
    assert (again["number"], again["made"]) == (1, False)
    hub_client(calls.add, PULL, alice)
    there = hub_client(calls.propose, good, REPO, bob)
    assert (there["number"], there["made"]) == (None, False)
    assert len(hub.repo(PATH).discussions) == 1
    assert hub_client(calls.add, f"{ADDRESS}/submissions/{there['id']}", alice)[1] is False


@pytest.mark.parametrize("fault", [Answer(503), DropAfter()], ids=["busy", "lost"])
def test_faults_make_neither_two_pull_requests_nor_two_commits(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path, fault: Fault
) -> None:
    hub.fault(fault, "POST", f"{API}/commit/main")
    done = hub_client(calls.propose, good, REPO, bob)
    assert (done["number"], done["made"]) == (1, True)
    assert len(hub.repo(PATH).discussions) == 1
    hub.fault(fault, "POST", f"{API}/commit/main")
    assert hub_client(calls.add, PULL, alice) == (done["id"], True)
    assert len(hub.repo(PATH).history("main")) == 3


def test_a_broken_submission_is_not_sent(hub: Hub, hub_client: Client, bob: str, tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "model")
    edit_result(folder, lambda values: values["arms"][0]["metrics"][0].update(value=0.999))
    with pytest.raises(ClientError, match="R12") as caught:
        hub_client(calls.propose, folder, REPO, bob)
    assert caught.value.kinds[0] == "Refused"
    assert hub.requests("POST", "*") == []
    assert hub.repo(PATH).discussions == []


def test_a_broken_pull_request_is_not_added(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    identity = hub_client(calls.propose, good, REPO, bob)["id"]
    edits = payload(good, identity)
    result = json.loads((good / "results" / "0" / "result.json").read_text())
    result["arms"][0]["metrics"][0]["value"] += 0.001
    edits[f"submissions/{identity}/results/0/result.json"] = json.dumps(result).encode()
    hub.commit(PATH, edits, revision="refs/pr/1", user="bob")
    with pytest.raises(ClientError, match="R05 its folder is"):
        hub_client(calls.add, PULL, alice)
    assert files(hub) == set()


@pytest.mark.parametrize(
    ("edits", "rule"),
    [
        ({"README.md": b"---\nlicense: mit\n---\nMine now\n"}, "R16"),
        ({"README.md": None}, "R16"),
        ({"submissions/other-0123456789ab/submission.yaml": b"x"}, "R16"),
        ({"card.md": b"x"}, "R16"),
        ({"submissions/ID/verification.json": b"{}"}, "R01"),
        ({"submissions/ID/results/0/model.pkl": b"\x80\x04."}, "R01"),
        ({"submissions/ID/submission.yaml": b"#" * (2**16 + 1)}, "R02"),
    ],
    ids=["changed", "deleted", "another", "elsewhere", "forged", "pickle", "huge"],
)
def test_a_pull_request_that_does_anything_else_is_refused(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path, edits: dict[str, bytes | None], rule: str
) -> None:
    identity = hub_client(calls.propose, good, REPO, bob)["id"]
    named = {path.replace("ID", identity): content for path, content in edits.items()}
    hub.commit(PATH, named, revision="refs/pr/1", user="bob")
    for call in (calls.check, calls.add):
        with pytest.raises(ClientError, match=rule) as caught:
            hub_client(call, PULL, alice)
        assert caught.value.kinds[0] == "Refused"
    assert files(hub) == set()


def test_nothing_of_a_pull_request_is_read_before_its_listing_is_checked(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    identity = hub_client(calls.propose, good, REPO, bob)["id"]
    many: dict[str, bytes | None] = {f"x{number}/manifest.json": b"{}" for number in range(200)}
    more: dict[str, bytes | None] = {
        f"submissions/{identity}/results/{number}/result.json": b"{}" for number in range(1, 200)
    }
    before = len(hub.requests("GET", "*/resolve/*"))
    for edits, rule in ((more, "R01|R02"), (many, "R16")):
        hub.commit(PATH, edits, revision="refs/pr/1", user="bob")
        with pytest.raises(ClientError, match=rule):
            hub_client(calls.add, PULL, alice)
    assert len(hub.requests("GET", "*/resolve/*")) == before


def test_what_is_pushed_while_a_maintainer_verifies_is_not_added(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    hub_client(calls.propose, good, REPO, bob)
    more: dict[str, bytes | None] = {"README.md": b"---\nlicense: mit\n---\nMine now\n"}
    hub.fault(Overtake(PATH, more, revision="refs/pr/1"), "GET", "*/resolve/*/predictions.parquet")
    with pytest.raises(ClientError, match="changed while it was verified") as caught:
        hub_client(calls.add, PULL, alice)
    assert caught.value.kinds[0] == "VerificationError"
    assert files(hub) == set()


def test_two_maintainers_do_not_lose_each_other_s_submissions(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    hub_client(calls.propose, good, REPO, bob)
    hub.fault(Overtake(PATH, {"notes.txt": b"meanwhile"}), "POST", f"{API}/commit/main")
    identity, made = hub_client(calls.add, PULL, alice)
    assert made
    assert "notes.txt" in hub.repo(PATH).resolve("main").files
    assert f"submissions/{identity}/verification.json" in files(hub)


def test_a_flag_needs_a_maintainer_who_accepts_it(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path, tmp_path: Path
) -> None:
    hub_client(calls.propose, good, REPO, bob)
    hub_client(calls.add, PULL, alice)
    copy = write_submission(tmp_path / "copy", name="Copy", right={"real": 0.8})
    assert hub_client(calls.propose, copy, REPO, bob)["flags"] == ["F03"]
    second = f"{ADDRESS}@refs/pr/2"
    assert hub_client(calls.check, second)[2] == ["F03"]
    with pytest.raises(ClientError, match="add it with `--accept-flag F03`"):
        hub_client(calls.add, second, alice)
    assert hub_client(calls.add, second, alice, ["F03"])[1]
    board, _ = hub_client(calls.board, ADDRESS)
    assert sorted(row.flags for row in board.benchmarks[0].rows) == [(), ("F03",)]


def test_what_was_merged_past_verification_is_not_shown(
    hub: Hub, hub_client: Client, alice: str, bob: str, good: Path
) -> None:
    identity = hub_client(calls.propose, good, REPO, bob)["id"]
    hub.commit(PATH, payload(good, identity))
    board, left_out = hub_client(calls.board, ADDRESS)
    assert (board.benchmarks, left_out) == ((), [])
    assert hub_client(calls.add, f"{ADDRESS}/submissions/{identity}", alice)[1]
    assert len(hub_client(calls.board, ADDRESS)[0].benchmarks) == 1


def test_a_discussion_or_nothing_is_no_submission(hub: Hub, hub_client: Client, alice: str) -> None:
    with pytest.raises(ClientError) as caught:
        hub_client(calls.check, PULL)
    assert caught.value.kinds[0] == "UserError"
    for address in (ADDRESS, f"{ADDRESS}/submissions/other-0123456789ab", f"{ADDRESS}@refs/pr/x"):
        with pytest.raises(ClientError) as caught:
            hub_client(calls.check, address)
        assert caught.value.kinds[0] == "UserError"
