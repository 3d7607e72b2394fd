"""What of a build is published: its final files, without the paths of the machine that made them.

Source paths stand in `recipe.yaml`, because a build goes on where it stopped, and a strange method may put one into
the manifest. Publishing keeps the last name of each; everything else is published byte for byte or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from synrs_data.build.state import read_recipe
from synrs_data.errors import UserError
from synrs_data.places import public_values, without_folders
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text
from synrs_data.shards.tar import members

_HOMES = re.compile(r"""(?<![\w/.:-])/(?:home|Users)/[^\s"'<>]+""")
_SCANNED = (".json", ".jsonl", ".md", ".html")


def public_documents(folder: BuildFolder, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a build that are published with other contents than they have on disk.

    The manifest is always among them: it is last and lists the others as they are published. A function of the
    build's files alone.

    Args:
        folder: A finished build.
        manifest: Its manifest.
    """
    changed: dict[str, bytes] = {}
    recipe, places = public_values(read_recipe(folder))
    if places:
        text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=110)
        changed[folder.recipe.name] = text.encode()
    entries = {
        name: {**entry, "sha256": _sha256(changed[name]), "bytes": len(changed[name])}
        if name in changed
        else entry
        for name, entry in manifest["files"].items()
    }
    public = {
        key: value if key == "files" else without_folders(value, places) for key, value in manifest.items()
    }
    return {**changed, folder.manifest.name: manifest_text({**public, "files": entries}).encode()}


def refuse_paths(folder: BuildFolder, manifest: dict[str, Any]) -> None:
    """Refuse a build whose other files name a path of its recipe, its own folder or somebody's home.

    Looks at every document whole and at the JSON of each shard's first sample: a method that writes a path into
    a record writes it into all.

    Raises:
        UserError: One does; it names file and path.
    """
    _, places = public_values(read_recipe(folder))
    needles = sorted({*places, str(folder.root.resolve()), f"{Path.home()}/"})
    forbidden = [needle for needle in needles if len(needle) > len("/x/")]
    for name in manifest["files"]:
        if name == folder.recipe.name:
            continue
        for text in _texts(folder.root / name):
            found = next((needle for needle in forbidden if needle in text), None)
            home = _HOMES.search(text)
            if found or home:
                raise UserError(
                    f"names a path of a machine, {found or (home and home[0])}, which a public dataset must not",
                    where=str(folder.root / name),
                    fix="mend the method or text that brings the path in, and build in another folder",
                )


def _texts(path: Path) -> Iterator[str]:
    if path.suffix in _SCANNED:
        yield path.read_text(encoding="utf-8", errors="replace")
    elif path.suffix == ".tar":
        _, fields = next(iter(members(path)), ("", {}))
        yield fields.get("json", b"").decode(errors="replace")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
