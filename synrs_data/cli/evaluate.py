"""`eval run`, `eval verify` and `eval schema`: score baselines, compute a result again, say what a result holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synrs_data.cli.echo import say

if TYPE_CHECKING:
    from synrs_data.evaluate import Result
    from synrs_data.evaluate.protocols import TrainingProtocol
    from synrs_data.evaluate.results import ArmValue

app = typer.Typer(
    no_args_is_help=True, help="Measure models, and what synthetic data is worth, on benchmarks."
)

_ZERO_SHOT = "zero-shot"


@app.callback()
def _evaluate() -> None:
    """Measure models, and what synthetic data is worth, on benchmarks."""


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
    protocol: Annotated[
        str,
        typer.Option(
            help="zero-shot, linear-probe, knn, classifier-tuning or from-scratch; options as NAME:KEY=VALUE,..."
        ),
    ] = _ZERO_SHOT,
    synthetic: Annotated[
        str | None,
        typer.Option(
            help="Synthetic images or pairs: folder of a finished build, or hf://datasets/USER/NAME[@REV][/CONFIG]."
        ),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="What to train on, with commas: real, real@16, synthetic, mixed@16x2, more-real@16x2, "
            "flip-crop@16x2, cutout@16x2, cutmix@16x2. Default: real, with --synthetic also synthetic, mixedx1 and "
            "flip-cropx1."
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="How many seeds every arm is trained with.")
    ] = 5,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the benchmark's images lie: folder, tars, parquet shards or hf://datasets/...; of retrieval "
            "a folder, with the captions."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the result, of several: of their folders. Default: out/eval/BENCHMARK/...",
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of saved features. Default: the user's cache.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    bootstrap_seed: Annotated[int, typer.Option(min=0, help="Seed of the confidence intervals.")] = 0,
    keep_outputs: Annotated[
        bool, typer.Option("--keep-outputs", help="Of super-resolution: keep the images that are made.")
    ] = False,
) -> None:
    """Score baselines on a benchmark, and write result.json and predictions.parquet for each.

    Without `--protocol` models are scored zero-shot. With one, a classifier is trained on every arm and seed; an
    interrupted run goes on where it was when it is started again. Super-resolution needs no protocol: its baseline
    compact-sr is trained on every arm and seed, the others are measured as they are.
    """
    from synrs_data.errors import UserError
    from synrs_data.evaluate import Retrieval, SuperResolution, evaluate, load_benchmark
    from synrs_data.evaluate.arms import parse_arms
    from synrs_data.evaluate.retrieval_run import evaluate_retrieval
    from synrs_data.evaluate.run import make_baseline

    found = load_benchmark(benchmark)
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"there is no device '{device}'", fix="give auto, cpu or cuda")
    if isinstance(found, SuperResolution):
        from synrs_data.cli.super_resolution import run_pairs

        if protocol != _ZERO_SHOT or features or cache is not None:
            raise UserError(
                "super-resolution has no protocol and no features",
                fix="leave `--protocol`, `--features` and `--cache` out; the baseline compact-sr is trained on arms",
            )
        run_pairs(
            found,
            baseline or (),
            out,
            arms=arms,
            seeds=seeds,
            data=data,
            synthetic=synthetic,
            device=device,
            bootstrap_seed=bootstrap_seed,
            keep_outputs=keep_outputs,
        )
        return
    if keep_outputs:
        raise UserError(f"{found.task} makes no images to keep", fix="leave `--keep-outputs` out")
    # Every name and option is checked before the first model runs.
    trained = _protocol(protocol, device)
    chosen = parse_arms(arms) if arms is not None else ()
    texts = _baselines(baseline, features, trained)
    baselines = [make_baseline(text, device) for text in texts]
    if isinstance(found, Retrieval) and (trained or chosen or synthetic is not None):
        raise UserError(
            "retrieval trains nothing, so it has no protocol, no arms and no synthetic images",
            fix="leave `--protocol`, `--arms` and `--synthetic` out",
        )
    names = [each.name if trained is None else f"{each.name}-{trained.name}" for each in baselines]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"two baselines are called '{repeated[0]}'", fix="evaluate them in two runs with two `--out`"
        )
    root = out or Path("out", "eval", found.id)
    for number, (name, each) in enumerate(zip(names, baselines, strict=True)):
        folder = root if out and len(baselines) == 1 else root / name
        if isinstance(found, Retrieval):
            result = evaluate_retrieval(
                found, each, folder, data=data, cache=cache, device=device, bootstrap_seed=bootstrap_seed
            )
        else:
            result = evaluate(
                found,
                each,
                folder,
                protocol=trained,
                synthetic=synthetic,
                arms=chosen,
                seeds=seeds,
                data=data,
                cache=cache,
                device=device,
                bootstrap_seed=bootstrap_seed,
                report=lambda line: say(line, err=True),
            )
        for line in _zero_shot_rows(result, heading=number == 0) if trained is None else _arm_rows(result):
            say(line)
        say(f"  {_domain(result)}; {folder / 'result.json'}")
        if result.synthetic and (made := result.synthetic.leaks.derived_from_train):
            say(
                f"  {made} of {result.synthetic.images} synthetic images were made from real images of the benchmark: "
                "arms of fewer shots may owe them more real images than they name"
            )


@app.command("verify")
def verify(
    result: Annotated[Path, typer.Argument(help="Folder of a result, or its result.json.")],
    benchmark: Annotated[
        str | None,
        typer.Option("--benchmark", help="File of the benchmark, if it is none of the shipped ones."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the images lie, if no pinned table of the benchmark lists its test; of retrieval always; of "
            "super-resolution to measure kept outputs again."
        ),
    ] = None,
) -> None:
    """Compute every number of a result again from its predictions; exit 3 if anything differs."""
    from synrs_data.errors import UserError, VerificationError
    from synrs_data.evaluate import SuperResolution, differences, load_benchmark, read_result
    from synrs_data.evaluate.benchmark import benchmarks
    from synrs_data.evaluate.super_resolution.results import is_super_resolution, read_super_resolution

    said = read_super_resolution(result) if is_super_resolution(result) else read_result(result)
    if benchmark is None and said.benchmark.id not in benchmarks():
        raise UserError(
            f"its benchmark '{said.benchmark.id}' is none of the shipped ones",
            where=str(result),
            fix="give `--benchmark FILE`",
        )
    found = load_benchmark(benchmark or said.benchmark.id)
    if found.task != said.benchmark.task:
        raise VerificationError(
            f"is a result of {said.benchmark.task}, the benchmark '{found.id}' is of {found.task}",
            where=str(result),
            fix="give the benchmark that it is of",
        )
    if isinstance(found, SuperResolution):
        from synrs_data.cli.super_resolution import verify_pairs

        faults, summary = verify_pairs(result, found, data)
    else:
        faults = list(differences(result, found, data))
        metrics = sum(len(arm.metrics) for arm in said.arms)
        summary = f"{said.predictions.rows} predictions and {metrics} metrics of {said.baseline.name} are as they say"
    for fault in faults:
        say(fault)
    if faults:
        raise VerificationError(
            f"{len(faults)} differences", where=str(result), fix="run `synrs-data eval run` again"
        )
    say(summary)


@app.command("schema")
def schema(
    task: Annotated[
        str, typer.Option(help="classification, retrieval or super-resolution.")
    ] = "classification",
) -> None:
    """Print the JSON Schema of result.json: one for classification and retrieval, one for super-resolution."""
    import json

    from synrs_data.errors import UserError
    from synrs_data.evaluate.benchmark import TASKS
    from synrs_data.evaluate.results import result_schema
    from synrs_data.evaluate.super_resolution.results import TASK, super_resolution_schema
    from synrs_data.resources import suggestion

    if task not in TASKS:
        raise UserError(f"there is no task '{task}'", fix=suggestion(task, list(TASKS), what="task"))
    typer.echo(json.dumps(super_resolution_schema() if task == TASK else result_schema(), indent=2))


def _protocol(text: str, device: str) -> TrainingProtocol | None:
    """Return the protocol that a user named; None for zero-shot."""
    from synrs_data.build.environment import choose_devices
    from synrs_data.errors import RecipeError
    from synrs_data.evaluate.protocols import PROTOCOLS, make_protocol
    from synrs_data.resources import suggestion

    if text == _ZERO_SHOT:
        return None
    name = text.partition(":")[0]
    if name not in PROTOCOLS:
        raise RecipeError(
            f"unknown protocol '{name}'", fix=suggestion(name, [_ZERO_SHOT, *PROTOCOLS], what="protocol")
        )
    return make_protocol(text, choose_devices(device, 1, 1)[0])


def _baselines(
    baseline: list[str] | None, features: list[str] | None, protocol: TrainingProtocol | None
) -> list[str]:
    from synrs_data.errors import UserError

    texts = list(baseline or [])
    if features and "features" in texts:
        # `--baseline features --features FILE` means that file once.
        texts.remove("features")
    texts += [f"features:file={file}" for file in features or []]
    if not texts and protocol is not None and protocol.inputs == "images":
        return ["pixels"]
    if not texts:
        raise UserError("there is nothing to evaluate", fix="give `--baseline NAME` or `--features FILE`")
    return texts


def _zero_shot_rows(result: Result, *, heading: bool) -> list[str]:
    """Return a line for each metric, in per cent."""
    metrics = result.arms[0].metrics
    width = max(14, *(len(metric.name) for metric in metrics))
    head = ("baseline", "metric".ljust(width), "value", "95 % interval", "n", "chance")
    rows = [_row(*head)] if heading else []
    return rows + [
        _row(
            result.baseline.name,
            metric.name.ljust(width),
            f"{metric.value * 100:.2f}",
            _interval(metric.interval.low, metric.interval.high),
            str(result.n),
            f"{metric.chance * 100:.2f}",
        )
        for metric in metrics
    ]


def _row(name: str, metric: str, value: str, interval: str, n: str, chance: str) -> str:
    return f"{name:28}  {metric}  {value:>6}  {interval:>15}  {n:>6}  {chance:>6}"


def _arm_rows(result: Result) -> list[str]:
    """Return a line for each arm: the benchmark's first metric in per cent, and its difference to real images."""
    first = result.arms[0].metrics[0]
    interval = "95 % interval"
    seeds = f"{len(result.seeds)} seed{'s' if len(result.seeds) > 1 else ''}"
    return [
        f"{result.baseline.name}, {result.protocol.name} on {result.benchmark.id}: {first.name} in per cent, "
        f"{seeds}, {result.n} test images, chance {first.chance * 100:.2f}",
        _arm_row("arm", "real", "synthetic", "copies", first.name, interval, "difference", interval, "P(>0)"),
        *(_arm_line(arm) for arm in result.arms),
    ]


def _arm_line(arm: ArmValue) -> str:
    metric, counts = arm.metrics[0], arm.counts
    difference = metric.difference
    compared = ("", "", "")
    if difference is not None:
        compared = (
            f"{difference.value * 100:+.2f}",
            f"{difference.interval.low * 100:+.2f} to {difference.interval.high * 100:+.2f}",
            f"{difference.above_zero:.3f}",
        )
    return _arm_row(
        arm.name,
        str(counts.real),
        str(counts.synthetic),
        str(counts.copies),
        f"{metric.value * 100:.2f}",
        _interval(metric.interval.low, metric.interval.high),
        *compared,
    )


def _arm_row(*cells: str) -> str:
    widths = (18, 6, 9, 6, 6, 15, 10, 17, 5)
    name, *numbers = cells
    padded = (f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=True))
    return "  ".join([f"{name:{widths[0]}}", *padded]).rstrip()


def _interval(low: float, high: float) -> str:
    return f"{low * 100:.2f} to {high * 100:.2f}"


def _domain(result: Result) -> str:
    trained = result.baseline.trained_on
    if trained is None:
        return "trained on: not declared"
    where = "in-domain" if result.baseline.in_domain else "out of domain"
    return f"{where} (trained on {', '.join(trained) or 'nothing'})"
