"""`status`, `verify` and `preview`: what there is, and whether it is what was promised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="Build folder.")]


def status(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show progress, rate, rejections by reason and failures, also of a build that was killed."""
    import json

    from synrs_data.build.status import read_status

    found = read_status(folder)
    typer.echo(json.dumps(found.as_dict()) if as_json else found.text())


def verify(folder: Folder) -> None:
    """Check every byte, sample and table of a finished build; exit 3 if anything differs."""
    from synrs_data.errors import VerificationError
    from synrs_data.shards.folder import BuildFolder
    from synrs_data.shards.manifest import read_manifest
    from synrs_data.shards.manifest import verify as check

    build = BuildFolder(folder)
    manifest = read_manifest(build)
    faults = 0
    for fault in check(build):
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
