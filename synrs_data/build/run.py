"""Run a build from recipe to manifest, from wherever an earlier run stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from synrs_data import files
from synrs_data.build.candidates import DoneShard, check_contents, done_shards, forget, read_table
from synrs_data.build.engines import ENGINES, Job
from synrs_data.build.engines.base import TRIES
from synrs_data.build.environment import choose_devices
from synrs_data.build.finalise import finalise
from synrs_data.build.pack import pack
from synrs_data.build.plan import BuildPlan
from synrs_data.build.select import verdicts
from synrs_data.build.state import Resume, open_plan, read_plan, read_recipe, refuse_foreign
from synrs_data.errors import BuildFolderError, CorruptShardError, RecipeError, VerificationError
from synrs_data.events import EventLog, Listener
from synrs_data.recipe import Recipe
from synrs_data.recipe_file import complete, override
from synrs_data.resources import suggestion
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import check_files, read_manifest


@dataclass(frozen=True, slots=True)
class BuildResult:
    """How a build ended.

    Attributes:
        folder: The build folder.
        manifest: The manifest; None while shards are missing that this run was not asked to make.
        missing: Shards that are not made.
        quarantined: Shards that failed in every try.
    """

    folder: BuildFolder
    manifest: dict[str, Any] | None
    missing: list[int]
    quarantined: list[int]


def build(
    recipe: Recipe,
    out: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    shards: tuple[int, int] | None = None,
    device: str = "auto",
    resume: Resume = "auto",
    listeners: Sequence[Listener] = (),
) -> BuildResult:
    """Build a dataset, or go on where an earlier run of the same recipe stopped.

    Args:
        recipe: A completed recipe (`load_recipe`).
        out: The build folder.
        engine: "local" or "inline".
        workers: Worker processes; None for one a GPU, or one a CPU core.
        shards: Make only the shards from the first number to before the second.
        device: "auto", "cpu" or "cuda".
        resume: "auto" goes on if it can, "never" wants an empty folder, "require" wants a build to go on with.
        listeners: Called with each event.

    Raises:
        SynrsError: See `errors`; finished shards stay.
    """
    if engine not in ENGINES:
        raise RecipeError(f"unknown engine '{engine}'", fix=suggestion(engine, list(ENGINES), what="engine"))
    folder = BuildFolder(out)
    refuse_foreign(folder, resume)
    files.make_folder(folder.candidates)
    with files.FolderLock(folder.root):
        files.remove_temporaries(folder.root)
        events = EventLog(folder.events, *listeners)
        plan = open_plan(folder, recipe)
        events.emit(
            "build_started",
            recipe=recipe.name,
            candidates=recipe.candidates,
            shards=plan.shards,
            engine=engine,
        )
        damaged: Counter[int] = Counter()
        while True:
            _generate(folder, plan, events, engine, workers, shards, device)
            done = done_shards(folder, plan.shards, plan.fingerprint)
            made = {shard.shard for shard in done}
            quarantined = [shard for shard in range(plan.shards) if folder.failed(shard).is_file()]
            missing = [
                shard for shard in range(plan.shards) if shard not in made and shard not in quarantined
            ]
            if missing or not done:
                events.emit("build_stopped", missing=len(missing), quarantined=quarantined)
                return BuildResult(folder, None, missing, quarantined)
            try:
                manifest = _select_and_pack(folder, plan, done, events)
            except CorruptShardError as error:
                # Its bytes are a function of the recipe, so it is made again rather than reported.
                events.emit("shard_damaged", shard=error.shard, reason=str(error))
                damaged[error.shard] += 1
                if damaged[error.shard] == TRIES:
                    raise
                forget(folder, error.shard)
                continue
            events.emit("build_finished", samples=_count(manifest), quarantined=quarantined)
            return BuildResult(folder, manifest, [], quarantined)


def reselect(out: Path, overrides: list[str], *, listeners: Sequence[Listener] = ()) -> BuildResult:
    """Select and pack the candidates of a build with other settings of `select`; generates nothing.

    Args:
        out: The build folder.
        overrides: Texts such as `select.per_label.max=20`.
        listeners: Called with each event.

    Raises:
        RecipeError: An override changes the generation part.
        VerificationError: The candidates are not whole.
    """
    folder = BuildFolder(out)
    if not folder.state.is_file():
        raise BuildFolderError("holds no build", where=str(out), fix="run `synrs-data build` first")
    recipe = _override_selection(read_recipe(folder), overrides, folder)
    with files.FolderLock(folder.root):
        files.remove_temporaries(folder.root)
        events = EventLog(folder.events, *listeners)
        plan = read_plan(folder, recipe)
        done = done_shards(folder, plan.shards, plan.fingerprint)
        quarantined = [shard for shard in range(plan.shards) if folder.failed(shard).is_file()]
        if len(done) + len(quarantined) < plan.shards or not done:
            raise VerificationError(
                f"{plan.shards - len(done)} of {plan.shards} candidate shards are not made or damaged",
                where=str(folder.candidates),
                fix=f"run `synrs-data build {folder.recipe} --out {out}`: it makes those and nothing else",
            )
        manifest = _select_and_pack(folder, plan, done, events)
        events.emit("build_finished", samples=_count(manifest), quarantined=quarantined)
    return BuildResult(folder, manifest, [], quarantined)


def _override_selection(values: dict[str, Any], overrides: list[str], folder: BuildFolder) -> Recipe:
    for text in overrides:
        if not text.startswith("select."):
            raise RecipeError(
                f"`--set {text}` is not of the selection part",
                fix="`select` changes only keys below `select.`; to change others, build in another folder",
            )
        override(values, text)
    return complete(values, folder=folder.root, where=str(folder.recipe))


def _generate(
    folder: BuildFolder,
    plan: BuildPlan,
    events: EventLog,
    engine: str,
    workers: int | None,
    shards: tuple[int, int] | None,
    device: str,
) -> None:
    made = {shard.shard for shard in done_shards(folder, plan.shards, plan.fingerprint)}
    wanted = range(*shards) if shards else range(plan.shards)
    if wanted.start >= wanted.stop or wanted.stop > plan.shards:
        raise RecipeError(
            f"`--shards {wanted.start}:{wanted.stop}` is no part of 0:{plan.shards}",
            fix="give A:B with A below B",
        )
    pending = [shard for shard in wanted if shard not in made]
    events.emit("generation_started", pending=len(pending), done=len(made), samples_done=_samples(plan, made))
    if not pending:
        return
    files.remove(folder.manifest)
    for shard in pending:
        files.remove(folder.failed(shard))
    devices = choose_devices(device, workers, len(pending))
    ENGINES[engine]().run(Job(plan, folder, pending, devices, events))


def _samples(plan: BuildPlan, shards: set[int]) -> int:
    return sum(len(plan.indices(shard)) for shard in shards)


def _select_and_pack(
    folder: BuildFolder, plan: BuildPlan, done: list[DoneShard], events: EventLog
) -> dict[str, Any]:
    made = [shard.shard for shard in done]
    missing = [shard for shard in range(plan.shards) if shard not in made]
    if (finished := _finished(folder, plan, done, missing)) is not None:
        return finished
    columns = ["key", "shard", "label", *plan.columns]
    columns += ["derived_from"] if plan.starts_from_images else []
    table = pl.concat([read_table(folder, shard, columns) for shard in made])
    chosen = verdicts(table, plan.recipe.select, plan.labels).select(
        "key", "shard", "label", "reason", "rule", "split"
    )
    # From here to the new manifest the folder is unfinished, and says so by having none.
    files.remove(folder.manifest)
    if not _holds_recipe(folder, plan):
        files.write_text(folder.recipe, plan.recipe.to_yaml())
    packed = pack(folder, chosen, plan.recipe.select)
    try:
        manifest = finalise(folder, plan, done, packed)
    except VerificationError:
        # The report shows rejected candidates too, whose bytes packing does not read.
        check_contents(folder, done)
        raise
    events.emit("packed", samples=_count(manifest), rejected=table.height - _count(manifest))
    return manifest


def _finished(
    folder: BuildFolder, plan: BuildPlan, done: list[DoneShard], missing: list[int]
) -> dict[str, Any] | None:
    """Return the manifest if the folder holds all of this build, byte by byte; None if it must be packed.

    Raises:
        CorruptShardError: A candidate shard is damaged.
    """
    fingerprints = {"generation": plan.fingerprint, "selection": plan.selection_fingerprint}
    try:
        manifest = read_manifest(folder)
    except VerificationError:
        return None
    if manifest["fingerprints"] != fingerprints or manifest["quarantined"] != missing:
        return None
    check_contents(folder, done)
    # An earlier version made fewer pages.
    listed = all(page.name in manifest["files"] for page in folder.pages)
    whole = listed and _holds_recipe(folder, plan) and not any(check_files(folder, manifest))
    return manifest if whole else None


def _holds_recipe(folder: BuildFolder, plan: BuildPlan) -> bool:
    return folder.recipe.is_file() and folder.recipe.read_bytes() == plan.recipe.to_yaml().encode()


def _count(manifest: dict[str, Any]) -> int:
    return sum(split["samples"] for split in manifest["splits"].values())
