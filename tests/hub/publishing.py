"""What tests/hub/test_publish*.py do in the client process, the builds that they publish, and how to look at them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def load(repo: str, config: str, split: str, cache: Path, *, streaming: bool) -> dict[str, dict[str, str]]:
    """Load a split with nothing but `datasets`; return the sha256 of each image's bytes and each value as JSON."""
    import datasets

    loaded = datasets.load_dataset(repo, config, split=split, streaming=streaming, cache_dir=str(cache))
    for name, kind in loaded.features.items():
        if isinstance(kind, datasets.Image):
            loaded = loaded.cast_column(name, datasets.Image(decode=False))
    return {row["__key__"].rsplit("/")[-1]: _digests(row) for row in loaded}


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


def built_rows(root: Path, split: str) -> dict[str, dict[str, str]]:
    """Return the same of what was built, read from the tars."""
    rows = {}
    for tar in sorted((root / "data").glob(f"{split}-*.tar")):
        for key, fields in members(tar):
            rows[key] = {
                name: json.dumps(json.loads(content), sort_keys=True)
                if name == "json"
                else content.decode()
                if name in ("txt", "cls")
                else hashlib.sha256(content).hexdigest()
                for name, content in fields.items()
            }
    return rows


def published_hashes(root: Path, config: str) -> dict[str, str]:
    """Return the sha256 by path in the repository of the final files of a build."""
    names = [*json.loads((root / "manifest.json").read_text())["files"], "manifest.json"]
    return {f"{config}/{name}": hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def repack(root: Path, target: Path, name: str = "data/train-00000.tar") -> Path:
    """Return a copy of a build in which one shard has other bytes of the same meaning, and the manifest says so."""
    copy = Path(shutil.copytree(root, target))
    path = copy / name
    with tarfile.open(path) as old:
        entries = [(entry, old.extractfile(entry)) for entry in old.getmembers()]
        with tarfile.open(path.with_suffix(".new"), "w", format=tarfile.USTAR_FORMAT) as new:
            for entry, content in entries:
                entry.mtime = 1
                new.addfile(entry, content)
    path.with_suffix(".new").replace(path)
    write_manifest(copy, {name: path.read_bytes()})
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


def _digests(row: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in row.items():
        if name in ("__key__", "__url__"):
            continue
        if isinstance(value, dict) and value.keys() == {"bytes", "path"}:
            found[name] = hashlib.sha256(value["bytes"]).hexdigest()
        else:
            found[name] = json.dumps(value, sort_keys=True) if name == "json" else str(value)
    return found
