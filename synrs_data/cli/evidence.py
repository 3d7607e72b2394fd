"""`status`, `verify` and `preview`: what there is, and whether it is what was promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.shards.folder import BuildFolder

Folder = Annotated[Path, typer.Argument(help="Build folder.")]


def status(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show progress, rate, rejections by reason and failures, also of a build that was killed."""
    import json

    from synrs_data.build.status import read_status

    found = read_status(folder)
    typer.echo(json.dumps(found.as_dict()) if as_json else found.text())


def verify(
    folder: Folder,
    redo_lr: Annotated[
        bool,
        typer.Option(
            "--redo-lr", help="Also make each low-resolution image again from its pair and JSON, and compare."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="Where --redo-lr runs: auto, cpu or cuda.")] = "auto",
) -> None:
    """Check every byte, sample and table of a finished build; exit 3 if anything differs."""
    from itertools import chain

    from synrs_data.errors import VerificationError
    from synrs_data.shards.folder import BuildFolder
    from synrs_data.shards.manifest import read_manifest
    from synrs_data.shards.manifest import verify as check

    build = BuildFolder(folder)
    manifest = read_manifest(build)
    faults = 0
    for fault in chain(check(build), _redo(build, device) if redo_lr else ()):
        faults += 1
        typer.echo(fault)
    if faults:
        raise VerificationError(
            f"{faults} faults",
            where=str(folder),
            fix=f"copy it again, or `synrs-data build {build.recipe} --out {folder}`, which makes what is damaged anew",
        )
    samples = sum(split["samples"] for split in manifest["splits"].values())
    typer.echo(f"{len(manifest['files'])} files and {samples} samples are as promised")


def _redo(build: BuildFolder, device: str) -> Iterator[str]:
    from synrs_data.build.environment import choose_devices, make_deterministic
    from synrs_data.build.pairs import redo_pairs
    from synrs_data.build.state import read_recipe
    from synrs_data.errors import RecipeError
    from synrs_data.recipe_file import complete

    recipe = complete(read_recipe(build), folder=build.root, where=str(build.recipe))
    if recipe.degradation is None:
        raise RecipeError(
            "this build has no pairs",
            where=str(build.root),
            fix="leave `--redo-lr` out: it is for `task: lr-hr`",
        )
    make_deterministic()
    yield from redo_pairs(build, recipe.degradation, choose_devices(device, 1, 1)[0])


def preview(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="HTML file; report.html in the build folder by default.")
    ] = None,
) -> None:
    """Write the HTML report of a build from what lies in its folder."""
    from synrs_data import files
    from synrs_data.build.finalise import facts_of_folder
    from synrs_data.report import render_report
    from synrs_data.shards.folder import BuildFolder

    build = BuildFolder(folder)
    target = out or build.report
    files.write_text(target, render_report(build, facts_of_folder(build)))
    typer.echo(str(target))
