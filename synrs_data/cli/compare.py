"""`eval compare`: results of one benchmark side by side, with paired differences, curves and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synrs_data.cli.echo import say


def compare(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of results of one benchmark, or their result.json.")
    ],
    baseline_arm: Annotated[
        str,
        typer.Option(
            "--baseline-arm",
            help="What arms are compared with: real, or a control such as flip-crop, of the same shots; or one arm "
            "such as real@16.",
        ),
    ] = "real",
    metric: Annotated[
        str | None, typer.Option(help="Metric of the benchmark. Default: its first, often top1.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write. Default: out/compare/BENCHMARK.")
    ] = None,
    bootstrap_seed: Annotated[int, typer.Option(min=0, help="Seed of the confidence intervals.")] = 0,
) -> None:
    """Compare results: a table, curves over ratio and shots, differences of classes, and what the intervals say.

    Every number is computed again from the predictions. Results may be of several synthetic sets, protocols, baselines
    and seeds, but of one task hash.
    """
    from synrs_data.evaluate.compare import compare as compute
    from synrs_data.evaluate.compare_report import lines, write_comparison
    from synrs_data.evaluate.plots import check_plots

    check_plots()
    found = compute(
        results,
        metric=metric,
        baseline_arm=baseline_arm,
        bootstrap_seed=bootstrap_seed,
        report=lambda line: say(line, err=True),
    )
    folder = out or Path("out", "compare", found.benchmark.id)
    page = write_comparison(found, folder)[0]
    for line in lines(found):
        say(line)
    say(str(page))
