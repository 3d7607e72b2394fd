"""`verify hf://...`: a published dataset is checked byte by byte from streams, and every fault is one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synrs_data.shards import TarWriter, members, sample_bytes
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest
from tests.hub import reading
from tests.hub.client import ROOT, Client, ClientError
from tests.hub.faults import Answer, DropBefore, Overtake, Truncate
from tests.hub.reading import ADDRESS, PATH, put
from tests.hub.server import Hub

SHARD = "data/train-00000.tar"
TABLE = "metadata/train-00000.parquet"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.scenes(tmp_path_factory.mktemp("scenes") / "out")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.pairs(tmp_path_factory.mktemp("pairs") / "out")


@pytest.fixture
def both(hub: Hub, scenes: Path, pairs: Path) -> dict[str, Path]:
    hub.create(PATH)
    return {"scene-caption": scenes, "lr-hr": pairs}


def run(hub: Hub, home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synrs_data", "verify", *arguments],
        env={**hub.env(home), **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def listed(folder: Path) -> int:
    return len(read_manifest(BuildFolder(folder))["files"])


def packed(folder: Path) -> int:
    return sum(split["samples"] for split in read_manifest(BuildFolder(folder))["splits"].values())


def test_every_file_and_sample_of_all_configs_is_checked_and_nothing_is_written(
    hub: Hub, both: dict[str, Path], tmp_path: Path
) -> None:
    commit = put(hub, both)
    done = run(hub, tmp_path, ADDRESS)
    files = sum(listed(folder) for folder in both.values())
    samples = sum(packed(folder) for folder in both.values())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{files} files and {samples} samples are as promised (lr-hr, scene-caption) at commit {commit}\n"
    )
    assert not list(tmp_path.rglob("*.tar"))
    assert {seen.path for seen in hub.requests("GET", "*/resolve/*") if commit not in seen.path} == set()


def test_one_config_is_checked_alone_and_others_are_not_asked_for(
    hub: Hub, hub_client: Client, both: dict[str, Path]
) -> None:
    put(hub, both)
    assert hub_client(reading.verify, f"{ADDRESS}@main/lr-hr") == (
        [],
        listed(both["lr-hr"]),
        packed(both["lr-hr"]),
    )
    assert hub.requests("GET", "*/resolve/*/scene-caption/*") == []


def test_a_revision_is_resolved_once_so_that_a_later_commit_changes_nothing(
    hub: Hub, hub_client: Client, both: dict[str, Path]
) -> None:
    put(hub, both)
    later = {f"scene-caption/{SHARD}": b"later"}
    hub.fault(Overtake(PATH, later), "GET", "*/resolve/*/lr-hr/manifest.json")
    assert hub_client(reading.verify, ADDRESS)[0] == []
    assert hub.repo(PATH).read(f"scene-caption/{SHARD}", "main") == b"later"


def test_an_older_commit_can_be_checked(hub: Hub, hub_client: Client, both: dict[str, Path]) -> None:
    commit = put(hub, both)
    hub.commit(PATH, {f"scene-caption/{SHARD}": b"later"})
    assert hub_client(reading.verify, f"{ADDRESS}@{commit}")[0] == []
    assert hub_client(reading.verify, ADDRESS)[0] != []


@pytest.mark.parametrize("keep", [0, 700, 10_000])
def test_a_body_that_breaks_off_is_gone_on_with_where_it_broke(
    hub: Hub, hub_client: Client, both: dict[str, Path], keep: int
) -> None:
    put(hub, both)
    hub.fault(Truncate(keep), "GET", "/lfs/object/*")
    assert hub_client(reading.verify, ADDRESS)[0] == []
    cut, again = hub.requests("GET", "/lfs/object/*")[:2]
    assert (cut.fault, cut.path) == ("Truncate", again.path)
    assert again.headers.get("range") == (f"bytes={keep}-" if keep else None)


def test_a_busy_hub_and_broken_connections_are_asked_again(
    hub: Hub, hub_client: Client, both: dict[str, Path]
) -> None:
    put(hub, both)
    hub.fault(Answer(429, retry_after=0), "GET", "*/resolve/*/manifest.json")
    hub.fault(Answer(503), "GET", "/lfs/object/*")
    hub.fault(DropBefore(), "GET", "/lfs/object/*", skip=1)
    hub.fault(DropBefore(), "GET", f"/api/{PATH}/tree/*")
    hub.fault(Answer(502), "GET", f"/api/{PATH}/revision/*")
    assert hub_client(reading.verify, ADDRESS)[0] == []


def test_a_hub_that_never_answers_is_one_message(hub: Hub, hub_client: Client, both: dict[str, Path]) -> None:
    put(hub, both)
    rule = hub.fault(Truncate(0), "GET", "/lfs/object/*", times=None)
    with pytest.raises(ClientError, match="the Hub does not answer as it should") as caught:
        hub_client(reading.verify, ADDRESS)
    assert "UserError" in caught.value.kinds
    assert rule.hits == 3


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_any_changed_byte_of_any_file_is_a_fault(hub: Hub, hub_client: Client, both: dict[str, Path]) -> None:
    put(hub, both)
    files = reading.published(both["scene-caption"], "scene-caption")
    for path, content in files.items():
        hub.commit(PATH, {path: flipped(content, len(content) // 2)})
        name = path.removeprefix("scene-caption/")
        found = hub_client(reading.verify, f"{ADDRESS}/scene-caption")[0]
        assert any(name in fault for fault in found), path
        hub.commit(PATH, {path: content})
    assert hub_client(reading.verify, ADDRESS)[0] == []


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda tar: tar[:-1], "has {less} bytes, not {size}"),
        (lambda tar: tar[: len(tar) // 2], "is no whole tar"),
        (lambda tar: tar + b"\0" * 10240, "has {more} bytes, not {size}"),
        (lambda tar: b"", "has 0 samples, not"),
    ],
    ids=["a byte", "half", "more", "empty"],
)
def test_a_shard_of_another_length_is_a_fault(
    hub: Hub, hub_client: Client, both: dict[str, Path], edit: Callable[[bytes], bytes], fault: str
) -> None:
    tar = (both["scene-caption"] / SHARD).read_bytes()
    put(hub, both, **{f"scene-caption/{SHARD}": edit(tar)})
    found = hub_client(reading.verify, ADDRESS)[0]
    text = fault.format(less=len(tar) - 1, more=len(tar) + 10240, size=len(tar))
    assert any(line.startswith(f"scene-caption/{SHARD}") and text in line for line in found)


def test_samples_are_checked_even_when_the_manifest_promises_their_bytes(
    hub: Hub, hub_client: Client, both: dict[str, Path], tmp_path: Path
) -> None:
    import hashlib

    folder = BuildFolder(both["scene-caption"])
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        writer = TarWriter(file)
        for number, (key, fields) in enumerate(members(folder.root / SHARD)):
            if number == 0:
                fields = {**fields, "jpg": b"no image"}
            if number == 1:
                fields = {**fields, "json": json.dumps(json.loads(fields["json"]) | {"seed": "1"}).encode()}
            writer.write(sample_bytes(key, fields))
        writer.close()
    content = path.read_bytes()
    manifest = read_manifest(folder)
    entry = {
        **manifest["files"][SHARD],
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    changed = manifest_text({**manifest, "files": {**manifest["files"], SHARD: entry}}).encode()
    put(hub, both, **{f"scene-caption/{SHARD}": content, "scene-caption/manifest.json": changed})
    found = hub_client(reading.verify, ADDRESS)[0]
    assert len(found) == 2
    assert "its image cannot be read" in found[0]
    assert "'seed' is str, not int" in found[1]


def test_missing_and_extra_files_are_named(hub: Hub, hub_client: Client, both: dict[str, Path]) -> None:
    tar = (both["scene-caption"] / SHARD).read_bytes()
    put(
        hub,
        both,
        **{
            f"scene-caption/{SHARD}": None,
            "scene-caption/report.html": None,
            "lr-hr/metadata/train-00000.parquet": None,
            "lr-hr/data/train-00001.tar": tar,
            "lr-hr/samples.txt": b"an extra file elsewhere is no fault",
        },
    )
    assert hub_client(reading.verify, ADDRESS)[0] == [
        "lr-hr/metadata/train-00000.parquet: is missing",
        "lr-hr/data/train-00001.tar: is not in the manifest",
        f"scene-caption/{SHARD}: is missing",
        "scene-caption/report.html: is missing",
    ]


def test_a_table_of_another_shard_is_a_fault(hub: Hub, hub_client: Client, both: dict[str, Path]) -> None:
    other = (both["scene-caption"] / "metadata/train-00001.parquet").read_bytes()
    put(hub, both, **{f"scene-caption/{TABLE}": other})
    found = hub_client(reading.verify, ADDRESS)[0]
    assert f"scene-caption/{TABLE}: does not list the samples of {SHARD} in their order" in found


def test_a_config_without_a_manifest_is_a_fault_beside_the_others(
    hub: Hub, hub_client: Client, both: dict[str, Path]
) -> None:
    put(hub, both, **{"lr-hr/manifest.json": None})
    faults, files, _ = hub_client(reading.verify, ADDRESS)
    assert faults == ["lr-hr/manifest.json: is missing: no finished build was published here"]
    assert files == listed(both["scene-caption"])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 2}', b"\xff"])
def test_a_damaged_manifest_is_a_fault(
    hub: Hub, hub_client: Client, both: dict[str, Path], content: bytes
) -> None:
    put(hub, both, **{"lr-hr/manifest.json": content})
    (fault,) = hub_client(reading.verify, ADDRESS)[0]
    assert fault.startswith("lr-hr/manifest.json: ")


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda card: None, "README.md: is missing at the root"),
        (lambda card: b"# no front matter\n", "README.md: its dataset_info does not tell of lr-hr"),
        (lambda card: b"---\ndataset_info: 7\n---\n", "README.md: its front matter cannot be read"),
        (
            lambda card: card.replace(b"config_name: lr-hr", b"config_name: gone"),
            "tells of gone, which has no",
        ),
        (
            lambda card: card.replace(b"num_examples: 8", b"num_examples: 9"),
            "lr-hr has the splits {'train': 9}",
        ),
    ],
    ids=["missing", "plain", "damaged", "other config", "other number"],
)
def test_the_card_at_the_root_must_promise_what_is_there(
    hub: Hub, hub_client: Client, both: dict[str, Path], edit: Callable[[bytes], bytes | None], fault: str
) -> None:
    put(hub, both, **{"README.md": edit(reading.root_card(both))})
    found = hub_client(reading.verify, ADDRESS)[0]
    assert any(fault in line for line in found)
    assert all(line.startswith("README.md: ") for line in found)


def test_faults_are_printed_and_exit_with_3(hub: Hub, both: dict[str, Path], tmp_path: Path) -> None:
    put(hub, both, **{"lr-hr/report.html": None})
    done = run(hub, tmp_path, ADDRESS)
    assert (done.returncode, done.stdout) == (3, "lr-hr/report.html: is missing\n")
    assert "1 faults" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("hf://datasets/alice/nowhere", "there is no such dataset, or it is private"),
        ("hf://datasets/alice/scenes@v9", "there is no revision 'v9'"),
        ("hf://datasets/alice/scenes/sr", "there is no config 'sr'"),
        ("hf://alice/scenes", "is no address of a dataset"),
    ],
)
def test_what_is_not_there_is_one_message(
    hub: Hub, hub_client: Client, both: dict[str, Path], address: str, what: str
) -> None:
    put(hub, both)
    with pytest.raises(ClientError, match=what) as caught:
        hub_client(reading.verify, address)
    assert "UserError" in caught.value.kinds


def test_a_dataset_without_a_build_is_one_message(hub: Hub, hub_client: Client) -> None:
    hub.create(PATH)
    hub.commit(PATH, {"a.png": b"x"})
    with pytest.raises(ClientError, match=r"there is no manifest\.json: no finished build") as caught:
        hub_client(reading.verify, ADDRESS)
    assert "VerificationError" in caught.value.kinds


@pytest.mark.parametrize("kind", ["private", "gated"])
def test_a_dataset_that_is_not_open_to_you_is_one_message(
    hub: Hub, hub_client: Client, scenes: Path, kind: str
) -> None:
    hub.create(PATH, private=kind == "private", gated=kind == "gated")
    put(hub, {"scene-caption": scenes})
    with pytest.raises(ClientError, match=r"private and you may not see it|is gated, and you have no access"):
        hub_client(reading.verify, ADDRESS)


@pytest.mark.parametrize(
    ("arguments", "env", "what"),
    [
        ((f"{ADDRESS}@v9",), {}, "there is no revision 'v9'"),
        ((ADDRESS,), {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ((ADDRESS, "--redo-lr"), {}, "`--redo-lr` needs a copy of the build on this machine"),
    ],
    ids=["revision", "offline", "redo-lr"],
)
def test_mistakes_exit_with_2_and_no_traceback(
    hub: Hub,
    both: dict[str, Path],
    tmp_path: Path,
    arguments: tuple[str, ...],
    env: dict[str, str],
    what: str,
) -> None:
    put(hub, both)
    done = run(hub, tmp_path, *arguments, **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_what_publish_put_there_is_as_promised(
    hub: Hub, hub_client: Client, scenes: Path, pairs: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synrs_data", "publish", str(scenes), str(pairs), "alice/scenes"],
        env=hub.env(tmp_path, token=hub.add_token("alice")) | {"PYTHONPATH": str(ROOT / "tests/plugin")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    faults, files, samples = hub_client(reading.verify, ADDRESS)
    assert faults == []
    assert files == listed(scenes) + listed(pairs)
    assert samples == packed(scenes) + packed(pairs)
    assert hub_client(reading.rebuild, f"{ADDRESS}/lr-hr", 0).same
