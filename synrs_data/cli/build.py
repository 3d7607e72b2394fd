"""`build`, `plan` and `select`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_WHOLE = re.compile("[0-9]+")

Recipe = Annotated[str, typer.Argument(help="Path of a recipe, or the name of a shipped one.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as generator.steps=30."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object an event.")]


def build(
    recipe: Recipe,
    out: Annotated[Path | None, typer.Option(help="Build folder; out/NAME by default.")] = None,
    overrides: Set = None,
    engine: Annotated[str, typer.Option(help="local (worker processes) or inline (this process).")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; one a GPU or CPU core.")
    ] = None,
    shards: Annotated[str | None, typer.Option(metavar="A:B", help="Make only shards A to B-1.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[str, typer.Option(help="auto, never or require.")] = "auto",
    as_json: Json = False,
) -> None:
    """Generate, score, select and pack a dataset, or go on where an earlier run stopped."""
    from synrs_data.build.run import build as run
    from synrs_data.cli.progress import show
    from synrs_data.recipe_file import load_recipe

    chosen_device = choice("--device", device, "auto", "cpu", "cuda")
    chosen_resume = choice("--resume", resume, "auto", "never", "require")
    checked = load_recipe(recipe, overrides)
    folder = out or Path("out") / checked.name
    with show(checked.candidates, as_json=as_json) as listener:
        result = run(
            checked,
            folder,
            engine=engine,
            workers=workers,
            shards=_range(shards),
            device=chosen_device,
            resume=chosen_resume,  # type: ignore[arg-type]
            listeners=[listener],
        )
    _conclude(result, as_json=as_json)


def plan(
    recipe: Recipe,
    overrides: Set = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes to reckon with.")] = None,
) -> None:
    """Say what a build makes and costs, from one warm batch that is timed and thrown away."""
    from synrs_data.build.estimate import estimate
    from synrs_data.recipe_file import load_recipe

    checked = load_recipe(recipe, overrides)
    for line in estimate(checked, device=choice("--device", device, "auto", "cpu", "cuda"), workers=workers):
        typer.echo(line)


def select(
    folder: Annotated[Path, typer.Argument(help="Build folder.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A key below `select.`, such as select.per_label.max=20."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Select and pack the candidates again with other thresholds, quotas or splits; generates nothing."""
    from synrs_data.build.run import reselect
    from synrs_data.cli.progress import show

    with show(0, as_json=as_json) as listener:
        result = reselect(folder, overrides or [], listeners=[listener])
    _conclude(result, as_json=as_json)


def _conclude(result: object, *, as_json: bool) -> None:
    from synrs_data.build.run import BuildResult
    from synrs_data.errors import QuarantineError

    assert isinstance(result, BuildResult)
    root = result.folder.root
    if not as_json:
        if result.missing:
            typer.echo(
                f"{len(result.missing)} shards are still to be made; run the build without --shards to finish"
            )
        elif result.manifest is not None:
            splits = ", ".join(
                f"{name} {split['samples']}" for name, split in result.manifest["splits"].items()
            )
            total = sum(split["samples"] for split in result.manifest["splits"].values())
            typer.echo(f"{total} of {result.manifest['candidates']} candidates packed ({splits})")
            if unreadable := result.manifest.get("unreadable"):
                names = ", ".join(unreadable[:5]) + (", ..." if len(unreadable) > 5 else "")
                typer.echo(f"{len(unreadable)} source images cannot be used; others were taken: {names}")
            typer.echo(f"shards  {root / 'data'}\nreport  {result.folder.report}")
    if result.quarantined:
        raise QuarantineError(
            f"{len(result.quarantined)} shards failed in every try: {_numbers(result.quarantined)}",
            where=str(root),
            fix=f"`synrs-data status {root}` shows why; build again to try them again",
        )


def _numbers(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers[:10]) + (" ..." if len(numbers) > 10 else "")


def _range(text: str | None) -> tuple[int, int] | None:
    from synrs_data.errors import RecipeError

    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and _WHOLE.fullmatch(first) and _WHOLE.fullmatch(last)):
        raise RecipeError(
            f"`--shards {text}` is no range", fix="give A:B, for example 0:10 for the first ten shards"
        )
    return int(first), int(last)


def choice(option: str, value: str, *choices: str) -> str:
    """Return the value of an option if it is one of the choices."""
    from synrs_data.errors import RecipeError

    if value not in choices:
        raise RecipeError(
            f"`{option} {value}` is none of {', '.join(choices)}", fix=f"choose one of them for {option}"
        )
    return value
