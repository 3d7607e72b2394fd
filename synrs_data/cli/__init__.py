"""The command line. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from synrs_data import __version__
from synrs_data.cli import build, evidence, inventory

app = typer.Typer(
    name="synrs-data",
    help="Build synthetic remote-sensing datasets with diffusion models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command("build")(build.build)
app.command("plan")(build.plan)
app.command("select")(build.select)
app.command("status")(evidence.status)
app.command("verify")(evidence.verify)
app.command("preview")(evidence.preview)
app.command("list")(inventory.list_known)
app.command("doctor")(inventory.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"synrs-data {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Build synthetic remote-sensing datasets with diffusion models."""


def main() -> None:
    """Run the command line; a user's mistake gets one message and its exit code, no traceback."""
    from synrs_data.errors import SynrsError

    try:
        app()
    except SynrsError as error:
        typer.secho(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.secho("stopped; finished shards are kept, the same command goes on from here", err=True)
        sys.exit(130)
