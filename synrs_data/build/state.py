"""Whose folder this is: the state of a build, and when it may be gone on with."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Literal

from synrs_data import files
from synrs_data.build.plan import (
    REBUILD,
    BuildPlan,
    digests_of,
    read_captions,
    save_captions,
    write_captions,
)
from synrs_data.errors import BuildFolderError, RecipeError, VerificationError
from synrs_data.fingerprint import FINGERPRINT_VERSION, changed_keys, generation_fingerprint
from synrs_data.recipe import Recipe
from synrs_data.sample import Caption
from synrs_data.shards.folder import BuildFolder
from synrs_data.vocabulary import read_yaml

Resume = Literal["auto", "never", "require"]


def refuse_foreign(folder: BuildFolder, resume: Resume) -> None:
    """Refuse folders that hold something else: packing removes files that are not the build's own."""
    if files.exists(folder.root) and not folder.root.is_dir():
        raise BuildFolderError(
            "is a file, not a folder", where=str(folder.root), fix="choose another `--out`"
        )
    has_build = folder.state.is_file()
    try:
        inside = {path.name for path in folder.root.iterdir()} if folder.root.is_dir() else set()
    except OSError as error:
        raise BuildFolderError(
            f"cannot be read ({error.strerror})", where=str(folder.root), fix="choose another `--out`"
        ) from error
    # What a build that died before its first shard leaves behind.
    inside -= {"candidates", "captions.jsonl", "recipe.yaml", "events.jsonl", ".lock"}
    inside = {name for name in inside if not files.is_temporary(Path(name))}
    if resume == "require" and not has_build:
        raise BuildFolderError(
            "there is no build to resume", where=str(folder.root), fix="use `--resume auto`"
        )
    if resume == "never" and (has_build or inside):
        raise BuildFolderError("is not empty", where=str(folder.root), fix="choose another `--out`")
    if not has_build and inside:
        raise BuildFolderError(
            f"holds other things ({', '.join(sorted(inside)[:3])}) and no build",
            where=str(folder.root),
            fix="give `--out` a new or empty folder",
        )


def open_plan(folder: BuildFolder, recipe: Recipe) -> BuildPlan:
    """Return the plan of a new build, or of the one that the folder holds if the recipe is the same."""
    digests = digests_of(recipe)
    if folder.state.is_file():
        _refuse_change(folder, recipe, digests)
        plan = BuildPlan(recipe, _same_captions(folder, recipe), digests)
        if folder.state.read_bytes() != _state_text(folder, plan).encode():
            files.write_text(folder.state, _state_text(folder, plan))
        return plan
    captions = write_captions(recipe)
    plan = BuildPlan(recipe, captions, digests)
    save_captions(folder.captions, captions)
    files.write_text(folder.recipe, recipe.to_yaml())
    files.write_text(folder.state, _state_text(folder, plan))
    return plan


def read_plan(folder: BuildFolder, recipe: Recipe) -> BuildPlan:
    """Return the plan of the build that a folder holds, from its files alone.

    Raises:
        VerificationError: One of them is damaged.
    """
    state = read_state(folder)
    captions = read_captions(folder.captions)
    if files.sha256(folder.captions) != state["captions"]:
        raise VerificationError("has changed", where=str(folder.captions), fix=REBUILD)
    return BuildPlan(recipe, captions, state["digests"])


def read_recipe(folder: BuildFolder) -> dict[str, Any]:
    """Return the plain values of the resolved recipe.

    Raises:
        VerificationError: It is damaged.
    """
    try:
        values = read_yaml(folder.recipe)
    except RecipeError as error:
        raise VerificationError(error.what, where=error.where, fix=REBUILD) from error
    if not isinstance(values, dict):
        raise VerificationError("is damaged", where=str(folder.recipe), fix=REBUILD)
    return values


def _state_text(folder: BuildFolder, plan: BuildPlan) -> str:
    state = {
        "fingerprint_version": FINGERPRINT_VERSION,
        "fingerprint": plan.fingerprint,
        "digests": plan.digests,
        "captions": files.sha256(folder.captions),
    }
    return json.dumps(state, indent=1) + "\n"


def _same_captions(folder: BuildFolder, recipe: Recipe) -> list[Caption]:
    """Return the caption book of the first run; one that was damaged since is written again."""
    promised = read_state(folder)["captions"]
    with contextlib.suppress(VerificationError):
        captions = read_captions(folder.captions)
        if files.sha256(folder.captions) == promised:
            return captions
    captions = write_captions(recipe)
    save_captions(folder.captions, captions)
    if files.sha256(folder.captions) != promised:
        raise VerificationError(
            "was damaged, and the captions that are written now are others",
            where=str(folder.captions),
            fix="put the file back, or build in another folder",
        )
    return captions


def _refuse_change(folder: BuildFolder, recipe: Recipe, digests: dict[str, str]) -> None:
    state = read_state(folder)
    if state["fingerprint"] == generation_fingerprint(recipe, digests):
        return
    old = read_recipe(folder)
    new = recipe.generation_part()
    changes = changed_keys({key: value for key, value in old.items() if key in new}, new)
    changes += [f"the contents of {key}" for key in _changed_contents(state["digests"], digests)]
    raise BuildFolderError(
        f"holds a build of another recipe; changed: {'; '.join(changes) or 'the fingerprint version'}",
        where=str(folder.root),
        fix="choose another `--out`, or undo the change; only `select` can change in a folder",
    )


def _changed_contents(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Return the names of inputs whose contents differ."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def read_state(folder: BuildFolder) -> dict[str, Any]:
    """Return the fingerprint of the candidates and the digests behind it.

    Raises:
        VerificationError: The file is damaged.
    """
    try:
        values = json.loads(folder.state.read_text(encoding="utf-8"))
        found = {key: values[key] for key in ("fingerprint", "captions")}
        return {**found, "digests": dict(values["digests"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerificationError(
            "is damaged",
            where=str(folder.state),
            fix="build in another folder; the shards of this one can be copied",
        ) from error
