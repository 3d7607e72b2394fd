"""Finish a build: card, report and, last of all, the manifest."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from synrs_data import __version__, files
from synrs_data.build.candidates import DoneShard, done_shards
from synrs_data.build.drawn import drawn_parameters
from synrs_data.build.plan import BuildPlan
from synrs_data.build.state import read_plan, read_recipe
from synrs_data.errors import VerificationError
from synrs_data.recipe_file import complete
from synrs_data.report import BuildFacts, render_card, render_croissant, render_report, samples_picture
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import MANIFEST_FORMAT, check_files, manifest_text, read_manifest


def finalise(
    folder: BuildFolder, plan: BuildPlan, done: list[DoneShard], packed: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write samples.jpg, README.md, croissant.json, report.html and manifest.json and return the manifest.

    Nothing in them depends on the clock or on how often the build was interrupted.

    Args:
        folder: The build folder, packed.
        plan: The build.
        done: The shards that were packed from.
        packed: What `pack` wrote.
    """
    facts = gather_facts(folder, plan, done)
    files.write_bytes(folder.samples, samples_picture(folder, facts))
    files.write_text(folder.card, render_card(folder, facts))
    files.write_text(folder.report, render_report(folder, facts))
    final = {name: _digest(folder.root / name) for name in packed}
    tars = {name: digest for name, digest in final.items() if name.endswith(".tar")}
    tables = f"{folder.metadata.name}/*.parquet"
    files.write_text(folder.croissant, render_croissant(facts, tars, tables))
    documents = (folder.recipe, folder.state, folder.captions, *folder.pages)
    final |= {path.relative_to(folder.root).as_posix(): _digest(path) for path in documents}
    splits: dict[str, dict[str, int]] = {}
    for entry in (packed[name] for name in tars):
        split = splits.setdefault(entry["split"], {"samples": 0, "shards": 0})
        split["samples"] += entry["samples"]
        split["shards"] += 1
    manifest = {
        "format": MANIFEST_FORMAT,
        "software": f"synrs-data {__version__}",
        "name": plan.recipe.name,
        "task": plan.recipe.task,
        "fingerprints": facts.fingerprints,
        "candidates": sum(shard.samples for shard in done),
        "splits": splits,
        "labels": plan.labels.names,
        "image_format": plan.recipe.image.format,
        **({"extra_fields": list(facts.extra_fields)} if facts.extra_fields else {}),
        "scores": facts.columns,
        "generator": facts.generator,
        "environments": facts.environments,
        "quarantined": facts.quarantined,
        **({"unreadable": list(facts.unreadable)} if facts.unreadable else {}),
        "files": {
            name: final[name] | ({"samples": packed[name]["samples"]} if name in packed else {})
            for name in sorted(final, key=PurePosixPath)
        },
    }
    files.write_text(folder.manifest, manifest_text(manifest))
    return manifest


def _digest(path: Path) -> dict[str, Any]:
    return {"sha256": files.sha256(path), "bytes": path.stat().st_size}


def gather_facts(folder: BuildFolder, plan: BuildPlan, done: list[DoneShard]) -> BuildFacts:
    """Return what card and report tell of a packed build."""
    tables = [pl.read_parquet(path) for path in sorted(folder.metadata.glob("*.parquet"))]
    environments: list[dict[str, str]] = []
    for shard in done:
        if shard.environment not in environments:
            environments.append(shard.environment)
    made = {shard.shard for shard in done}
    packed, rejected = pl.concat(tables), pl.read_parquet(folder.rejects)
    return BuildFacts(
        recipe=plan.recipe,
        labels=plan.labels,
        packed=packed,
        rejected=rejected,
        generator=done[0].generator,
        environments=environments,
        fingerprints={"generation": plan.fingerprint, "selection": plan.selection_fingerprint},
        quarantined=[shard for shard in range(plan.shards) if shard not in made],
        columns=plan.columns,
        extra_fields=plan.extra_fields,
        unreadable=tuple(sorted({name for shard in done for name in shard.unreadable})),
        compared={name: count for shard in done for name, count in shard.compared.items()},
        drawn=tuple(drawn_parameters([packed, rejected], plan.recipe.degradation)),
    )


def facts_of_folder(folder: BuildFolder) -> BuildFacts:
    """Return the facts of a finished build from its folder alone.

    Raises:
        VerificationError: The build is not finished, or one of its files is damaged.
    """
    # The pages may be damaged or gone: they are what is made from these facts.
    pages = tuple(f"{path.name}: " for path in folder.pages)
    for fault in check_files(folder, read_manifest(folder)):
        if not fault.startswith(pages):
            raise VerificationError(fault, where=str(folder.root), fix="run `synrs-data build` on it again")
    recipe = complete(read_recipe(folder), folder=folder.root, where=str(folder.recipe))
    plan = read_plan(folder, recipe)
    done = done_shards(folder, plan.shards, plan.fingerprint)
    if not done:
        raise VerificationError(
            "there are no candidates", where=str(folder.candidates), fix="run `synrs-data build` on it again"
        )
    return gather_facts(folder, plan, done)
