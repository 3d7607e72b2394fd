"""`status`, `verify`, `rebuild` and `preview`: what there is, and whether it is what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.hub.rebuild import Rebuilt
    from synrs_data.shards.folder import BuildFolder

Folder = Annotated[Path, typer.Argument(help="Build folder.")]
Build = Annotated[
    str,
    typer.Argument(help="Build folder, or hf://datasets/USER/NAME[@REVISION][/CONFIG]."),
]

_HUB = "hf://"


def status(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show progress, rate, rejections by reason and failures, also of a build that was killed."""
    import json

    from synrs_data.build.status import read_status

    found = read_status(folder)
    typer.echo(json.dumps(found.as_dict()) if as_json else found.text())


def verify(
    build: Build,
    redo_lr: Annotated[
        bool,
        typer.Option(
            "--redo-lr", help="Also make each low-resolution image again from its pair and JSON, and compare."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="Where --redo-lr runs: auto, cpu or cuda.")] = "auto",
) -> None:
    """Check every byte, sample and table of a finished build, here or on the Hub; exit 3 if anything differs."""
    from itertools import chain

    from synrs_data.errors import VerificationError
    from synrs_data.shards.folder import BuildFolder
    from synrs_data.shards.manifest import read_manifest
    from synrs_data.shards.manifest import verify as check

    if build.startswith(_HUB):
        _verify_published(build, redo_lr=redo_lr)
        return
    folder = BuildFolder(Path(build))
    manifest = read_manifest(folder)
    faults = _tell(chain(check(folder), _redo(folder, device) if redo_lr else ()))
    if faults:
        raise VerificationError(
            f"{faults} faults",
            where=build,
            fix=f"copy it again, or `synrs-data build {folder.recipe} --out {build}`, which makes what is damaged anew",
        )
    samples = sum(split["samples"] for split in manifest["splits"].values())
    typer.echo(f"{len(manifest['files'])} files and {samples} samples are as promised")


def _verify_published(address: str, *, redo_lr: bool) -> None:
    from synrs_data.cli.progress import show
    from synrs_data.errors import UserError, VerificationError
    from synrs_data.hub.dataset import open_dataset
    from synrs_data.hub.verify import PublishedCheck

    if redo_lr:
        raise UserError(
            "`--redo-lr` needs a copy of the build on this machine",
            where=address,
            fix="fetch it with `hf download USER/NAME --repo-type dataset --local-dir DIR` and verify DIR/CONFIG",
        )
    with show(0, as_json=False) as listener, _no_endless_silence(address):
        dataset = open_dataset(address, listeners=[listener])
        check = PublishedCheck(dataset)
        faults = _tell(check.faults())
    if faults:
        raise VerificationError(
            f"{faults} faults",
            where=dataset.where,
            fix="publish the build again, or tell the owner of the dataset; do not use it as it is",
        )
    configs = ", ".join(name or "at the root" for name in check.configs)
    typer.echo(
        f"{check.files} files and {check.samples} samples are as promised ({configs}) at commit {dataset.commit}"
    )


def _no_endless_silence(address: str) -> AbstractContextManager[None]:
    """Return a block in which the Hub is not waited for without end, if it is asked at all."""
    if not address.startswith(_HUB):
        return nullcontext()
    from synrs_data.hub.session import Waits, check_endpoint
    from synrs_data.hub.silence import no_longer_than

    check_endpoint()
    return no_longer_than(Waits().silence_s)


def _tell(faults: Iterable[str]) -> int:
    """Print faults as they are found and return how many there are."""
    count = 0
    for fault in faults:
        count += 1
        typer.echo(fault)
    return count


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


def rebuild(
    build: Build,
    shard: Annotated[int, typer.Option(min=0, help="Number of the packed shard in its split.")],
    split: Annotated[str | None, typer.Option(help="Split; the first by default.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Where a source lies, such as generator.images=PATH."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; one a GPU or CPU core.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep what is generated here, and go on with it; temporary by default."),
    ] = None,
) -> None:
    """Make one shard of a finished build again from its recipe and compare; exit 3 if it should be equal and is not."""
    from synrs_data.cli.build import choice
    from synrs_data.cli.progress import show
    from synrs_data.hub.origin import open_origin
    from synrs_data.hub.rebuild import rebuild as make_again

    chosen = choice("--device", device, "auto", "cpu", "cuda")
    with show(0, as_json=False) as listener, _no_endless_silence(build):
        result = make_again(
            open_origin(build, listeners=[listener]),
            shard,
            split=split,
            overrides=overrides or [],
            out=out,
            device=chosen,
            workers=workers,
            listeners=[listener],
        )
    _conclude(result, build)


def _conclude(result: Rebuilt, build: str) -> None:
    from synrs_data.errors import VerificationError
    from synrs_data.hub.compare import MAX_TOLERANCE, MEAN_TOLERANCE, SCORE_TOLERANCE

    shards = ", ".join(str(number) for number in result.candidates)
    typer.echo(f"{result.name}: made again from the candidate shards {shards}")
    for difference in result.environments:
        typer.echo(difference)
    found = result.comparison
    if found is None:
        typer.echo(f"the same bytes: {result.sha256}")
        return
    _tell(found.faults)
    if not result.environments:
        raise VerificationError(
            f"{len(found.faults)} of {found.samples} samples differ, by the same versions and class of device",
            where=f"{build}, {result.name}",
            fix="`synrs-data verify` says whether the shard is the one that was built; if it is, tell us",
        )
    typer.echo(
        f"other bytes; pixels differ by {found.pixel_mean:.3g} in the mean and up to {found.pixel_max} of 255 "
        f"(allowed in an image: {MEAN_TOLERANCE:g} and {MAX_TOLERANCE}), "
        f"scores by up to {found.score_max:.2g} (allowed: {SCORE_TOLERANCE:g})"
    )
    if found.faults:
        raise VerificationError(
            f"{len(found.faults)} of {found.samples} samples differ by more than other versions or devices explain",
            where=f"{build}, {result.name}",
            fix="rebuild it with the versions and the class of device that are named above",
        )
    typer.echo(f"all {found.samples} samples are the same within the tolerance")


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
