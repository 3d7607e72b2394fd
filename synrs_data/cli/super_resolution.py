"""What `eval run` and `eval verify` do for a benchmark of super-resolution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from synrs_data.evaluate.benchmark import SuperResolution
    from synrs_data.evaluate.super_resolution.results import ImageMetricValue, PairArm, SuperResolutionResult

_METRIC_ROW = (28, 22, 10, 20, 6)
_ARM_ROW = (18, 6, 9, 9, 9, 8, 18, 10, 20, 5)


def run_pairs(
    benchmark: SuperResolution,
    texts: Sequence[str],
    out: Path | None,
    *,
    arms: str | None,
    seeds: int,
    data: str | None,
    synthetic: str | None,
    device: str,
    bootstrap_seed: int,
    keep_outputs: bool,
) -> None:
    """Score the baselines that a user named, and print a table for each."""
    from synrs_data.errors import UserError
    from synrs_data.evaluate.arms import parse_arms
    from synrs_data.evaluate.super_resolution.compact import CompactSr, make_sr_baseline
    from synrs_data.evaluate.super_resolution.pair_run import Places
    from synrs_data.evaluate.super_resolution.run import evaluate_super_resolution

    # Every name and option is checked before the first model runs.
    chosen = parse_arms(arms) if arms is not None else ()
    baselines = [make_sr_baseline(text, device) for text in texts]
    if not baselines:
        raise UserError("there is nothing to evaluate", fix="give `--baseline NAME`, such as bicubic")
    names = [each.name for each in baselines]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"two baselines are called '{repeated[0]}'", fix="evaluate them in two runs with two `--out`"
        )
    if not any(isinstance(each, CompactSr) for each in baselines) and (chosen or synthetic is not None):
        raise UserError(
            "none of the baselines is trained here, so there are no arms and no synthetic pairs",
            fix="give `--baseline compact-sr`",
        )
    root = out or Path("out", "eval", benchmark.id)
    for each in baselines:
        trained = isinstance(each, CompactSr)
        folder = root if out and len(baselines) == 1 else root / each.name
        result = evaluate_super_resolution(
            benchmark,
            each,
            folder,
            places=Places(data, synthetic if trained else None),
            arms=chosen if trained else (),
            seeds=seeds,
            device=device,
            bootstrap_seed=bootstrap_seed,
            keep_outputs=keep_outputs,
            report=lambda line: typer.echo(line, err=True),
        )
        for line in _arm_rows(result) if trained else _metric_rows(result):
            typer.echo(line)
        typer.echo(f"  {_domain(result)}; {folder / 'result.json'}")


def verify_pairs(path: Path, benchmark: SuperResolution, data: str | None) -> tuple[list[str], str]:
    """Return the differences of a result, and a sentence on what was computed again."""
    from synrs_data.evaluate.super_resolution.results import read_super_resolution
    from synrs_data.evaluate.super_resolution.verify import find_pair_faults, measured_again

    said = read_super_resolution(path)
    faults = [fault.text for fault in find_pair_faults(path, benchmark, data)]
    numbers = sum(len(arm.metrics) for arm in said.arms)
    again = measured_again(path, said, data=data is not None or benchmark.dataset.path is not None)
    outputs = f"{again} kept outputs measured again" if again else "no output measured again"
    if said.outputs and not again:
        outputs += " (give `--data`, and the folder `outputs`)"
    return faults, (
        f"{said.predictions.rows} rows of values and {numbers} metrics of {said.baseline.name} are as they say, "
        f"{outputs}"
    )


def _metric_rows(result: SuperResolutionResult) -> list[str]:
    """Return a line for each metric of a baseline that is not trained here."""
    return [
        _row(_METRIC_ROW, "baseline", "metric", "value", "95 % interval", "n"),
        *(
            _row(_METRIC_ROW, result.baseline.name, metric.name, *_value(metric), str(metric.n))
            for metric in result.arms[0].metrics
        ),
    ]


def _arm_rows(result: SuperResolutionResult) -> list[str]:
    """Return a line for each arm and metric, metrics one below the other."""
    seeds = f"{len(result.seeds)} seed{'s' if len(result.seeds) > 1 else ''}"
    rows = [f"{result.baseline.name} on {result.benchmark.id}: {seeds}, {result.n} test images"]
    interval = "95 % interval"
    for number, metric in enumerate(result.arms[0].metrics):
        rows += [
            f"{metric.name}, {metric.direction} is better",
            _row(
                _ARM_ROW, "arm", "real", "Mpixels", "synthetic", "Mpixels", "value", interval, "difference",
                interval, "P(>0)",
            ),
            *(_arm_row(arm, arm.metrics[number]) for arm in result.arms),
        ]  # fmt: skip
    return rows


def _arm_row(arm: PairArm, metric: ImageMetricValue) -> str:
    counts, compared = arm.counts, ("", "", "")
    if (difference := metric.difference) is not None:
        low, high = difference.interval.low, difference.interval.high
        compared = (
            f"{difference.value:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            f"{difference.above_zero:.3f}",
        )
    return _row(
        _ARM_ROW,
        arm.name,
        str(counts.real),
        f"{counts.real_pixels / 1e6:.2f}",
        str(counts.synthetic),
        f"{counts.synthetic_pixels / 1e6:.2f}",
        *_value(metric),
        *compared,
    )


def _value(metric: ImageMetricValue) -> tuple[str, str]:
    if metric.value is None or metric.interval is None:
        return "not defined", ""
    return f"{metric.value:.3f}", f"{metric.interval.low:.3f} to {metric.interval.high:.3f}"


def _row(widths: Sequence[int], name: str, *cells: str) -> str:
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
    return "  ".join([f"{name:{widths[0]}}", *padded]).rstrip()


def _domain(result: SuperResolutionResult) -> str:
    trained = result.baseline.trained_on
    if trained is None:
        return "trained on: not declared"
    if not trained:
        return "trained on nothing" + (" but its arms" if result.protocol.options else "")
    where = "in-domain" if result.baseline.in_domain else "out of domain"
    return f"{where} (trained on {', '.join(trained)})"
