"""The command line. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import io
import signal
import sys

import typer

from synrs_data import __version__
from synrs_data.cli import (
    build,
    compare,
    distance,
    evaluate,
    evidence,
    inventory,
    leaderboard,
    models,
    publish,
)
from synrs_data.cli.echo import say

_STOPPED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

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
app.command("rebuild")(evidence.rebuild)
app.command("preview")(evidence.preview)
app.command("publish")(publish.publish)
app.command("list")(inventory.list_known)
app.command("doctor")(inventory.doctor)
app.add_typer(models.app, name="models")
app.add_typer(evaluate.app, name="eval")
app.add_typer(leaderboard.app, name="leaderboard")
evaluate.app.command("distance")(distance.distance)
evaluate.app.command("compare")(compare.compare)


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

    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that is ignored stays so: `nohup` means it.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets its number instead.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _refuse_bytes()
        app()
    except SynrsError as error:
        say(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        # Whatever the machine refuses (a name too long, a folder that went away) is no bug of ours.
        say(f"error: {error.filename}: {error.strerror}\n  → check this path and try again", err=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code in _STOPPED:
            typer.secho("stopped; what is finished is kept, the same command goes on from here", err=True)
        raise


def _stop(number: int, frame: object) -> None:
    """End as after Ctrl-C: an exception lets locks, workers and temporary files be given back."""
    sys.exit(128 + number)


def _refuse_bytes() -> None:
    from synrs_data.errors import UserError

    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"the argument {argument.encode(errors='backslashreplace').decode()} is not UTF-8",
                fix="rename the file or folder, or set LANG=C.UTF-8",
            ) from error
