"""`list` and `doctor`: what synrs-data knows, and what this machine has."""

from __future__ import annotations

from typing import Annotated

import typer

_KINDS = (
    "recipes",
    "generators",
    "captions",
    "degradations",
    "filters",
    "labels",
    "templates",
    "models",
    "baselines",
    "protocols",
    "benchmarks",
)


def list_known(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(_KINDS)}; all by default.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="With recipes: print their JSON Schema.")] = False,
) -> None:
    """List recipes, methods with their options, label sets, template sets, embedded models and benchmarks."""
    import json

    from synrs_data import inventory
    from synrs_data.errors import UserError
    from synrs_data.evaluate.benchmark import describe as describe_benchmarks
    from synrs_data.resources import suggestion

    if kind is not None and kind not in _KINDS:
        raise UserError(f"there is no list of '{kind}'", fix=suggestion(kind, list(_KINDS), what="list"))
    if schema:
        typer.echo(json.dumps(inventory.recipe_schema(), indent=2))
        return
    for name in [kind] if kind else _KINDS:
        typer.echo(f"{name}:")
        for line in describe_benchmarks() if name == "benchmarks" else inventory.describe(name):
            typer.echo(f"  {line}")


def doctor() -> None:
    """Say what this machine has, what is missing, and the command that mends it."""
    from synrs_data.inventory import examine

    for check in examine():
        mark = typer.style("ok     ", fg="green") if check.fine else typer.style("missing", fg="yellow")
        typer.echo(f"{mark} {check.what}")
        if not check.fine:
            typer.echo(f"        {check.fix}")
