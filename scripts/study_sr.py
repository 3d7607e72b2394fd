"""The study of docs/study-sr.md: what synthetic pairs are worth to a small network on UC Merced, x4.

    python scripts/study_sr.py builds     the synthetic pairs
    python scripts/study_sr.py run        40 trainings of half a minute of one core; started again it goes on
    python scripts/study_sr.py pictures   some pairs and outputs, which are in the work folder alone
    python scripts/study_sr.py report     figures and page, from the results alone

Results are in docs/study/sr, a folder for each baseline, and `synrs-data eval verify` computes each again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from synrs_data.evaluate.arms import parse_arm
from synrs_data.evaluate.benchmark import SuperResolution, load_benchmark
from synrs_data.evaluate.super_resolution.compact import make_sr_baseline
from synrs_data.evaluate.super_resolution.pair_run import PairRun, Places
from synrs_data.evaluate.super_resolution.run import evaluate_super_resolution

REPO = Path(__file__).resolve().parents[1]
RESULTS = REPO / "docs/study/sr"
DEFAULT_DATA = REPO / "../shared/data/ucmerced/sr_hr_lossless"
DEFAULT_WORK = Path("out/study-sr")

BENCHMARK = "ucmerced-x4"
RECIPE = "eurosat-tiny-bicubic-x4"
# A crop of 16 is the whole of a synthetic low-resolution image: every arm sees crops of the same size.
COMPACT = "compact-sr:steps=800,crop=16"
ARMS = (
    "real@4", "mixed@4x4", "mixed@4x16", "more-real@4x1", "real", "synthetic", "mixedx1", "mixedx6",
)  # fmt: skip
SEEDS = 5

Data = Annotated[Path, typer.Option(help="Tiles of UC Merced without loss, in the folders of their classes.")]
Work = Annotated[Path, typer.Option(help="Where the build and unfinished runs are kept.")]
Results = Annotated[Path, typer.Option(help="Where results are.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def builds(work: Work = DEFAULT_WORK, workers: Annotated[int, typer.Option(min=1)] = 2) -> None:
    """Build the synthetic pairs."""
    command = ["build", RECIPE, "--out", str(work / "pairs"), "--device", "cpu", "--workers", str(workers)]
    subprocess.run([sys.executable, "-m", "synrs_data", *command], check=True)


@app.command()
def run(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    results: Results = RESULTS,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, of one thread each.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Fewer, to end what has not been finished.")] = SEEDS,
) -> None:
    """Train and test every arm and seed, seed by seed; what is finished stays."""
    benchmark = load_benchmark(BENCHMARK)
    assert isinstance(benchmark, SuperResolution)
    for name in ("bicubic", "lanczos"):
        evaluate_super_resolution(
            benchmark, make_sr_baseline(name, "cpu"), work / name, places=Places(str(data)), device="cpu",
            keep_outputs=True,
        )  # fmt: skip
    # The conditions are written before the first worker looks at them.
    opened = _opened(data, work, seeds)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(_finish, data, work, seeds, name, seed)
            for seed, name in product(opened.seeds, opened.names)
        ]
        for done in as_completed(waiting):
            typer.echo(done.result())
    evaluate_super_resolution(
        benchmark,
        make_sr_baseline(COMPACT, "cpu"),
        work / "compact-sr",
        places=Places(str(data), str(work / "pairs")),
        arms=[parse_arm(name) for name in ARMS],
        seeds=seeds,
        device="cpu",
        keep_outputs=True,
    )
    for name in ("bicubic", "lanczos", "compact-sr"):
        (results / name).mkdir(parents=True, exist_ok=True)
        for file in ("predictions.parquet", "result.json"):
            shutil.copyfile(work / name / file, results / name / file)
        typer.echo(f"{results / name}; outputs in {work / name / 'outputs'}")


_RUNS: dict[int, PairRun] = {}


def _finish(data: Path, work: Path, seeds: int, name: str, seed: int) -> str:
    """Finish an arm and seed in a worker, which opens the run once."""
    run = _RUNS.setdefault(os.getpid(), _RUNS.get(os.getpid()) or _opened(data, work, seeds))
    start = time.process_time()
    _, kept = run.finish(name, seed)
    return f"{name}, seed {seed}: " + (
        "kept from before" if kept else f"{time.process_time() - start:.0f} s of one core"
    )


def _opened(data: Path, work: Path, seeds: int) -> PairRun:
    benchmark = load_benchmark(BENCHMARK)
    assert isinstance(benchmark, SuperResolution)
    return PairRun(
        benchmark,
        make_sr_baseline(COMPACT, "cpu"),
        work / "compact-sr",
        places=Places(str(data), str(work / "pairs")),
        arms=[parse_arm(name) for name in ARMS],
        seeds=seeds,
        device="cpu",
        keep_outputs=True,
    )


@app.command()
def pictures(data: Data = DEFAULT_DATA, work: Work = DEFAULT_WORK) -> None:
    """Draw what the network learns from and what it makes of a tile."""
    from _study_sr_page import draw_pictures

    typer.echo(str(draw_pictures(data, work)))


@app.command()
def report(results: Results = RESULTS) -> None:
    """Draw the figures and write the page."""
    from _study_sr_page import write

    for path in write(results):
        typer.echo(str(path))


if __name__ == "__main__":
    app()
