"""`eval run` and `eval verify`: score baselines on a benchmark, and compute a result again from its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synrs_data.cli.distance import distance

if TYPE_CHECKING:
    from synrs_data.evaluate import Result

app = typer.Typer(no_args_is_help=True, help="Measure models on benchmarks.")


@app.callback()
def _evaluate() -> None:
    """Measure models on benchmarks."""


app.command("distance")(distance)


@app.command("run")
def run(
    benchmark: Annotated[
        str, typer.Argument(help="Name of a benchmark (`synrs-data list benchmarks`), or a file.")
    ],
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", help="NAME, or NAME:KEY=VALUE,KEY=VALUE with options; may be repeated."),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--features", help="Saved features, a safetensors file; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the result, of several: of their folders. Default: out/eval/BENCHMARK."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the confidence intervals.")] = 0,
) -> None:
    """Score baselines on a benchmark; write result.json and predictions.parquet for each."""
    from synrs_data.errors import UserError
    from synrs_data.evaluate import evaluate, load_benchmark
    from synrs_data.evaluate.run import make_baseline

    found = load_benchmark(benchmark)
    texts = list(baseline or [])
    if features and "features" in texts:
        # `--baseline features --features FILE` means that file once.
        texts.remove("features")
    texts += [f"features:file={file}" for file in features or []]
    if not texts:
        raise UserError("there is nothing to evaluate", fix="give `--baseline NAME` or `--features FILE`")
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"there is no device '{device}'", fix="give auto, cpu or cuda")
    # Every name and option is checked before the first model runs.
    baselines = [make_baseline(text, device) for text in texts]
    names = [each.name for each in baselines]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"two baselines are called '{repeated[0]}'", fix="evaluate them in two runs with two `--out`"
        )
    root = out or Path("out", "eval", found.id)
    for each in baselines:
        folder = root if out and len(baselines) == 1 else root / each.name
        result = evaluate(found, each, folder, device=device, seed=seed)
        if each is baselines[0]:
            typer.echo(_row("baseline", "metric", "value", "95 % interval", "n", "chance"))
        for line in _rows(result):
            typer.echo(line)
        typer.echo(f"  {_domain(result)}; {folder / 'result.json'}")


@app.command("verify")
def verify(
    result: Annotated[Path, typer.Argument(help="Folder of a result, or its result.json.")],
    benchmark: Annotated[
        str | None,
        typer.Option("--benchmark", help="File of the benchmark, if it is none of the shipped ones."),
    ] = None,
) -> None:
    """Compute every number of a result again from its predictions; exit 3 if anything differs."""
    from synrs_data.errors import UserError, VerificationError
    from synrs_data.evaluate import differences, load_benchmark, read_result
    from synrs_data.evaluate.benchmark import benchmarks

    said = read_result(result)
    if benchmark is None and said.benchmark.id not in benchmarks():
        raise UserError(
            f"its benchmark '{said.benchmark.id}' is none of the shipped ones",
            where=str(result),
            fix="give `--benchmark FILE`",
        )
    faults = list(differences(result, load_benchmark(benchmark or said.benchmark.id)))
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise VerificationError(
            f"{len(faults)} differences", where=str(result), fix="run `synrs-data eval run` again"
        )
    typer.echo(
        f"{said.n} predictions and {len(said.metrics)} metrics of {said.baseline.name} are as they say"
    )


def _rows(result: Result) -> list[str]:
    """Return a line for each metric, in per cent."""
    return [
        _row(
            result.baseline.name,
            metric.name,
            f"{metric.value * 100:.2f}",
            f"{metric.interval.low * 100:.2f} to {metric.interval.high * 100:.2f}",
            str(result.n),
            f"{metric.chance * 100:.2f}",
        )
        for metric in result.metrics
    ]


def _row(name: str, metric: str, value: str, interval: str, n: str, chance: str) -> str:
    return f"{name:28}  {metric:14}  {value:>6}  {interval:>15}  {n:>6}  {chance:>6}"


def _domain(result: Result) -> str:
    trained = result.baseline.trained_on
    if trained is None:
        return "trained on: not declared"
    where = "in-domain" if result.baseline.in_domain else "out of domain"
    return f"{where} (trained on {', '.join(trained) or 'nothing'})"
