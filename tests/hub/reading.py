"""Builds on the loopback Hub in the layout of a publish, and what a client reads of them."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from synrs_data.build.run import build
from synrs_data.hub.public import public_documents
from synrs_data.hub.rebuild import Rebuilt
from synrs_data.image_sources import ImageSource
from synrs_data.image_sources.hub import fetch_build, parse_address
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import read_manifest
from tests.build.painted import painted
from tests.hub.server import Hub

REPO = "alice/scenes"
PATH = f"datasets/{REPO}"
ADDRESS = f"hf://{PATH}"
_PLUGIN = str(Path(__file__).parents[1] / "plugin")
_LEFT_OUT = ("candidates", "events.jsonl", ".lock")


def scenes(out: Path, **changes: Any) -> Path:
    """Build painted scenes: 40 candidates of five shards, in four packed shards of two splits."""
    build(painted(**changes), out, engine="inline")
    return out


def pairs(out: Path) -> Path:
    """Build painted pairs."""
    recipe = painted(
        name="painted-pairs",
        task="lr-hr",
        image={"format": "png"},
        degradation={"method": "bicubic", "scale": 2},
        filters=[],
        select={},
        candidates=8,
        shard_size=4,
    )
    build(recipe, out, engine="inline")
    return out


def published(folder: Path, config: str) -> dict[str, bytes]:
    """Return the files of a build as a publish lays them out, without the paths of this machine."""
    build = BuildFolder(folder)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in _LEFT_OUT
    }
    public = public_documents(build, read_manifest(build))
    return {f"{config}/{name}": content for name, content in (files | public).items()}


def root_card(folders: dict[str, Path]) -> bytes:
    """Return a card that tells the splits of some builds by config."""
    infos = []
    for config, folder in folders.items():
        front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
        infos.append({**front["dataset_info"], "config_name": config})
    return b"---\n" + yaml.safe_dump({"license": "mit", "dataset_info": infos}).encode() + b"---\n# Scenes\n"


def put(hub: Hub, folders: dict[str, Path], **changes: bytes | None) -> str:
    """Commit builds by config, with some files changed (None: left out), and return the commit.

    Args:
        hub: The Hub.
        folders: Build folder by config.
        changes: Contents by path.
    """
    files: dict[str, bytes | None] = {"README.md": root_card(folders)}
    for config, folder in folders.items():
        files |= published(folder, config)
    wanted = {path: content for path, content in (files | changes).items() if content is not None}
    return hub.commit(PATH, wanted).oid


def verify(address: str) -> tuple[list[str], int, int]:
    """Verify a published dataset; return its faults, and the numbers of files and samples."""
    from synrs_data.hub.dataset import open_dataset
    from synrs_data.hub.session import Waits
    from synrs_data.hub.verify import PublishedCheck

    check = PublishedCheck(open_dataset(address, waits=Waits(tries=3, first_s=0.01)))
    return list(check.faults()), check.files, check.samples


def source(address: str, field: str | None = None) -> dict[str, Any]:
    """Read images of the Hub; return their names, the digest of the source and what lies in its cache."""
    found = ImageSource(address, field)
    return {
        "names": [image.name for image in found.images],
        "first": found.images[0].read(),
        "digest": found.digest(),
        "revision": found.revision,
        "synthetic": found.synthetic,
    }


def rebuild(address: str, shard: int, split: str | None = None, overrides: Sequence[str] = ()) -> Rebuilt:
    """Make a shard of a published build again."""
    from synrs_data.hub.origin import open_origin
    from synrs_data.hub.rebuild import rebuild

    # The client process knows this checkout alone, not the plugin that paints.
    if _PLUGIN not in sys.path:
        sys.path.insert(0, _PLUGIN)
    return rebuild(open_origin(address), shard, split=split, overrides=overrides, device="cpu", workers=1)


def source_on_a_full_disk(address: str, largest: int) -> dict[str, Any]:
    """Read images of the Hub while no file can be longer than `largest` bytes."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        return source(address)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def build_files(address: str, patterns: list[str]) -> set[str]:
    """Fetch files of a published build and return their paths in its folder."""
    parsed = parse_address(address)
    assert parsed is not None
    root, build = fetch_build(parsed, patterns)
    read_manifest(BuildFolder(root / build))
    return {path.relative_to(root / build).as_posix() for path in (root / build).rglob("*") if path.is_file()}
