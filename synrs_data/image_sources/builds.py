"""Finished builds of ours as sources: the packed shards that a manifest lists, and nothing else of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synrs_data.errors import UserError

_SHARD = re.compile(r"data/[^/]+\.tar")
_OURS = ("format", "fingerprints", "candidates", "files")


@dataclass(frozen=True, slots=True)
class BuildFiles:
    """The packed shards of a finished build.

    Attributes:
        folder: The build folder.
        shards: Entry of the manifest, size and sha256, by path of the shard.
        synthetic: Whether a model made its images.
    """

    folder: Path
    shards: dict[Path, dict[str, Any]]
    synthetic: bool

    def tars(self, start: Path) -> list[Path]:
        """Return the packed shards that are `start` or lie below it.

        Raises:
            UserError: There is none, or one is missing or has another size than the manifest says.
        """
        found = [path for path in self.shards if start in (path, *path.parents)]
        if not found:
            raise UserError(
                f"holds no packed shards of the build {self.folder}",
                where=str(start),
                fix="name the build folder, its folder `data`, or a tar in that; candidates are never read",
            )
        for path in found:
            size = path.stat().st_size if path.is_file() else None
            if size is None or size != self.shards[path].get("bytes"):
                raise self._changed(path, "is missing" if size is None else "has another size")
        return found

    def check_sha256(self, path: Path, sha256: str) -> None:
        """Raise if the contents of a shard are not those of the manifest.

        Raises:
            UserError: They are not.
        """
        if self.shards[path].get("sha256") != sha256:
            raise self._changed(path, "has other contents")

    def _changed(self, path: Path, what: str) -> UserError:
        return UserError(
            f"{what} than the manifest of its build says" if what.startswith("has") else what,
            where=str(path),
            fix=f"`synrs-data verify {self.folder}` names all that is wrong; building it again mends it",
        )


def build_around(start: Path) -> BuildFiles | None:
    """Return the finished build that a path is, or lies in; None if it is no part of a build.

    Args:
        start: An absolute path: the build folder, a folder in it, or one of its shards.

    Raises:
        UserError: It is of a build that is not finished.
    """
    for folder in (start, *start.parents[:2]):
        values = _manifest(folder)
        if values is not None:
            entries = {
                folder / name: entry for name, entry in values["files"].items() if _SHARD.fullmatch(name)
            }
            generator = values.get("generator")
            synthetic = not isinstance(generator, dict) or generator.get("synthetic") is not False
            return BuildFiles(folder, dict(sorted(entries.items())), synthetic)
        if is_build(folder):
            raise UserError(
                "is a build that is not finished: it has no whole manifest.json",
                where=str(folder),
                fix="run `synrs-data build` with its recipe on it again until it is",
            )
    return None


def is_build(folder: Path) -> bool:
    """Return whether a folder is one of our builds, finished or not."""
    begun = (folder / "recipe.yaml").is_file() and (folder / "build.json").is_file()
    return begun or _manifest(folder) is not None


def _manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a build; None if there is none, or one of something else."""
    try:
        values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(values, dict) and all(key in values for key in _OURS)
    if not ours or not isinstance(values["files"], dict):
        return None
    return values if all(isinstance(entry, dict) for entry in values["files"].values()) else None
