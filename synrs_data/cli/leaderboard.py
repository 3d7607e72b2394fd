"""`leaderboard`: submit results, verify and add submissions, export scores for a model's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.leaderboard.submission import Package
    from synrs_data.leaderboard.verify import Report

app = typer.Typer(
    no_args_is_help=True, help="Submissions that prove their scores, and the page that ranks them."
)


@app.callback()
def _leaderboard() -> None:
    """Submissions that prove their scores, and the page that ranks them."""


@app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the submission, made new.")],
    result: Annotated[
        list[Path], typer.Option("--result", help="Folder that `eval run` wrote; may be repeated.")
    ],
) -> None:
    """Begin a submission: copy results into a folder, with a submission.yaml to fill in."""
    from synrs_data.leaderboard.start import begin

    typer.echo(f"fill in {begin(folder, result)}")


@app.command("submit")
def submit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with submission.yaml and results/.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="USER/RESULTS", help="Results repository on the Hub. Without it: only verify."
        ),
    ] = None,
) -> None:
    """Verify a submission here, then open a pull request with it on a results repository."""
    if to is None:
        verify(str(folder))
        typer.echo("nothing was sent: give `--to USER/RESULTS`")
        return
    from synrs_data.cli.publish import _keep_quiet, _Lines
    from synrs_data.leaderboard.submit import submit as run

    _keep_quiet()
    done = run(folder, to, listeners=[_Lines()])
    for flag in done.flags:
        typer.echo(f"flag {flag}")
    if done.number is None:
        typer.echo(f"{done.id} is already there: {done.url}")
    else:
        typer.echo(f"{'proposed' if done.made else 'already proposed'} {done.id}: {done.url}")


@app.command("verify")
def verify(
    place: Annotated[
        str,
        typer.Argument(
            metavar="DIR|PR",
            help="Folder of a submission, hf://datasets/USER/RESULTS@refs/pr/N, or "
            "hf://datasets/USER/RESULTS/submissions/ID.",
        ),
    ],
) -> None:
    """Recompute every score of a submission and name each rule that it breaks; writes nothing."""
    from synrs_data.image_sources.hub import parse_address

    address = parse_address(place)
    if address is None:
        from synrs_data.leaderboard.submission import open_package, read_folder
        from synrs_data.leaderboard.verify import verify as check

        package = open_package(read_folder(Path(place)), where=place)
        report = check(package)
    else:
        from synrs_data.leaderboard.add import verify_proposal
        from synrs_data.leaderboard.remote import open_session

        with open_session(address.name, token=None, waits=None) as session:
            _, package, report = verify_proposal(session, address)
    _say(package, report)
    report.check(place)


@app.command("add")
def add(
    place: Annotated[
        str,
        typer.Argument(
            metavar="DIR|PR",
            help="hf://datasets/USER/RESULTS@refs/pr/N, or the folder of a submission with `--to FOLDER`.",
        ),
    ],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Local results repository.")
    ] = None,
    accept_flag: Annotated[
        list[str] | None,
        typer.Option("--accept-flag", metavar="F01", help="Flag that you have looked at; may be repeated."),
    ] = None,
) -> None:
    """Add a submission to its results repository, as its maintainer: verifies again, and adds just what it verified."""
    from synrs_data.errors import UserError
    from synrs_data.image_sources.hub import parse_address
    from synrs_data.leaderboard.add import add_folder, add_proposal
    from synrs_data.leaderboard.rules import FLAGS
    from synrs_data.resources import suggestion

    accepted = accept_flag or []
    if unknown := next((flag for flag in accepted if flag not in FLAGS), None):
        raise UserError(f"there is no flag '{unknown}'", fix=suggestion(unknown, list(FLAGS), what="flag"))
    address = parse_address(place)
    if (address is None) != (to is not None):
        what = "needs `--to FOLDER`" if address is None else "goes into its own repository"
        raise UserError(f"the submission {what}", where=place, fix="see `synrs-data leaderboard add --help`")
    if address is None:
        assert to is not None
        done = add_folder(Path(place), to, accept=accepted)
    else:
        from synrs_data.cli.publish import _keep_quiet, _Lines

        _keep_quiet()
        done = add_proposal(address, accept=accepted, listeners=[_Lines()])
    typer.echo(f"{'added' if done.made else 'already added'} {done.id}: {done.place}")


@app.command("render")
def render(
    results: Annotated[
        str,
        typer.Argument(
            metavar="RESULTS", help="Results repository: a folder, or hf://datasets/USER/NAME[@REV]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the site.")] = Path(
        "out/leaderboard"
    ),
) -> None:
    """Build the page of a results repository: a static site for a Space, any web server, or no server at all."""
    from synrs_data.leaderboard.collect import read_board
    from synrs_data.leaderboard.render import render as run

    board = read_board(results, report=lambda line: typer.echo(line, err=True))
    index = run(board, out)
    rows = [row for benchmark in board.benchmarks for row in benchmark.rows]
    submissions = len({row.submission for row in rows})
    typer.echo(f"{index}: {submissions:,} submissions with {len(rows):,} scores")


@app.command("export")
def export(
    results: Annotated[
        str,
        typer.Argument(metavar="RESULTS", help="Results repository: a folder, or hf://datasets/USER/NAME."),
    ],
    submission: Annotated[str, typer.Argument(metavar="ID", help="Submission with scores of a model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("out", "export"),
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="BENCHMARK=USER/NAME",
            help="The benchmark's dataset on the Hub, which .eval_results need; may be repeated.",
        ),
    ] = None,
) -> None:
    """Write the model-index and the .eval_results files of a model's verified scores."""
    from synrs_data.leaderboard.collect import read_board
    from synrs_data.leaderboard.export import export as run

    board = read_board(results, report=lambda line: typer.echo(line, err=True))
    named = dict(text.partition("=")[::2] for text in dataset or [])
    for path in run(board, submission, out, datasets=named):
        typer.echo(str(path))


def _say(package: Package, report: Report) -> None:
    """Print scores, broken rules and flags."""
    from synrs_data.leaderboard.rules import visible
    from synrs_data.leaderboard.scores import arms_of

    for number, result in enumerate(package.results):
        name, protocol = result.baseline.name, visible(result.protocol.name)
        typer.echo(f"results/{number}: {name}, {protocol} on {result.benchmark.id}")
        factor = 1 if result.benchmark.task == "super-resolution" else 100
        for arm in arms_of(result):
            metric = arm.metrics[0]
            if metric.value is None or metric.interval is None:
                continue
            ends = f"{metric.interval.low * factor:.2f} to {metric.interval.high * factor:.2f}"
            typer.echo(f"  {visible(arm.name):24}  {metric.name}  {metric.value * factor:6.2f}  {ends}")
    for finding in report.findings:
        typer.echo(f"broken {finding}")
    for flag in report.flags:
        typer.echo(f"flag {flag}")
    if not report.findings:
        typer.echo(f"{package.id}: every number follows from {report.rows:,} predictions")
