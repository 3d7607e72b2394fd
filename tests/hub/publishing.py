"""What tests/hub/test_publish*.py do in the client process, the builds that they publish, and how to look at them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synrs_data.build.run import build
from synrs_data.hub.publish import publish
from synrs_data.hub.session import Waits
from synrs_data.recipe import Recipe
from synrs_data.shards import members
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest
from tests.build.painted import painted
from tests.hub.server import Hub

if TYPE_CHECKING:
    from tests.hub.loading import Rows

# The client process has not run tests/conftest.py; it looks at the builds' methods to know their licences.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))


REPO = "alice/scenes"
PATH = f"datasets/{REPO}"
API = f"/api/{PATH}"
COMMIT = f"{API}/commit/*"


@dataclass(frozen=True)
class Builds:
    """Two finished builds and one of another recipe of the first one's task."""

    scenes: Path
    pairs: Path
    others: Path


def make_builds(place: Path) -> Builds:
    """Build them."""
    recipes = scenes(), pairs(), scenes(name="others", seed=7)
    return Builds(*(build(recipe, place / recipe.name, engine="inline").folder.root for recipe in recipes))


def scenes(**changes: Any) -> Recipe:
    """Return a recipe of twelve painted scenes in two training shards and one for testing."""
    small = {
        "candidates": 16,
        "filters": [{"method": "ruler"}],
        "select": {"splits": {"train": 0.75, "test": 0.25}, "samples_per_shard": 8},
    }
    return painted(**({"name": "scenes"} | small | changes))


def pairs(**changes: Any) -> Recipe:
    """Return a recipe of pairs."""
    values = {
        "name": "pairs",
        "task": "lr-hr",
        "labels": "scene",
        "captions": {"method": "none"},
        "image": {"format": "png"},
        "degradation": {"method": "shrink"},
    }
    return scenes(**(values | changes))


def send(roots: list[Path], token: str | None, repo: str = REPO, **options: Any) -> dict[str, Any]:
    """Publish without waiting between tries; return what it came to and the events."""
    events: list[dict[str, Any]] = []
    waits = Waits(**({"tries": 4, "first_s": 0.0} | options.pop("waits", {})))
    done = publish(roots, repo, token=token, waits=waits, listeners=[events.append], **options)
    return {
        "commit": done.commit,
        "made": done.made,
        "url": done.url,
        "samples": done.samples,
        "pull_request": done.pull_request,
        "new": done.plan.new,
        "changed": done.plan.changed,
        "deleted": done.plan.deleted,
        "kept": done.plan.kept,
        "events": [{key: value for key, value in event.items() if key != "time"} for event in events],
    }


def titles(hub: Hub, revision: str = "main") -> list[str]:
    """Return the titles of the commits, newest first."""
    return [commit.title for commit in hub.repo(PATH).history(revision)]


def contents(hub: Hub, revision: str = "main") -> dict[str, str]:
    """Return the sha256 of every file, less those that are made from others: the root's card and Croissant file."""
    made = (".gitattributes", "README.md", "croissant.json")
    files = hub.repo(PATH).resolve(revision).sha256
    return {path: digest for path, digest in files.items() if path not in made}


def card_configs(hub: Hub, revision: str = "main") -> list[str]:
    """Return the configs that the root's card names."""
    text = hub.repo(PATH).read("README.md", revision).decode()
    front = yaml.safe_load(text.split("---\n")[1])
    assert [info["config_name"] for info in front["dataset_info"]] == [
        config["config_name"] for config in front["configs"]
    ]
    return [config["config_name"] for config in front["configs"]]


def built_rows(root: Path, split: str) -> Rows:
    """Return what `tests.hub.loading.load` must return of a split, read from the tars that were built."""
    readers: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "txt": bytes.decode, "cls": int}
    return {
        key: {name: readers.get(name, _sha256)(content) for name, content in fields.items()}
        for tar in sorted((root / "data").glob(f"{split}-*.tar"))
        for key, fields in members(tar)
    }


def published_hashes(root: Path, config: str) -> dict[str, str]:
    """Return the sha256 by path in the repository of the final files of a build."""
    names = [*json.loads((root / "manifest.json").read_text())["files"], "manifest.json"]
    return {f"{config}/{name}": hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def repack(root: Path, target: Path) -> Path:
    """Return a copy of a build in which one shard has other bytes of the same meaning, and the manifest says so."""
    name = "data/train-00000.tar"
    return _with_tar(Path(shutil.copytree(root, target)), name, lambda position, content: content, mtime=1)


def with_scores(root: Path, target: Path, first: object, later: float, *, count: int = 6) -> Path:
    """Return a copy in which the first samples of each shard have one value as a score, and all others another.

    No build of ours makes such records: they stand for what readers take a column for.
    """

    def edit(position: int, record: dict[str, Any]) -> None:
        record["scores"]["ruler_mean"] = first if position < count else later

    return with_records(root, target, edit)


def with_records(root: Path, target: Path, edit: Callable[[int, dict[str, Any]], None]) -> Path:
    """Return a copy in which the record of each sample is edited, by its position in its shard."""
    copy = Path(shutil.copytree(root, target))

    def edited(position: int, content: bytes) -> bytes:
        record = json.loads(content)
        edit(position, record)
        return json.dumps(record).encode()

    for tar in sorted((copy / "data").glob("*.tar")):
        _with_tar(copy, f"data/{tar.name}", edited, mtime=0)
    return copy


def _with_tar(copy: Path, name: str, edit: Callable[[int, bytes], bytes], *, mtime: int) -> Path:
    """Write a tar anew, its JSON edited by position of the sample, and list it in the manifest."""
    path, out = copy / name, io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as new:
        position = 0
        for entry in old.getmembers():
            file = old.extractfile(entry)
            assert file is not None
            content = file.read()
            if entry.name.endswith(".json"):
                content = edit(position, content)
                position += 1
            entry.size, entry.mtime = len(content), mtime
            new.addfile(entry, io.BytesIO(content))
    write_manifest(copy, {name: out.getvalue()})
    return copy


def write_manifest(root: Path, contents: dict[str, bytes]) -> None:
    """Let the manifest of a build list these contents of its files."""
    folder = BuildFolder(root)
    manifest = read_manifest(folder)
    for name, content in contents.items():
        (root / name).write_bytes(content)
        entry = manifest["files"].setdefault(name, {})
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    folder.manifest.write_text(manifest_text(manifest))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
