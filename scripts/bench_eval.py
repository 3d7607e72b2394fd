"""Measure `eval run` against LAION's clip_benchmark, the cache of features, and the bootstrap; prints ratios.

    python scripts/bench_eval.py [--images 5000] [--repeats 3] [--only NAME] [--threads 1]

Both programs score the same model zero-shot on the same tar of images with the same prompts, as commands of their own
from an empty cache. The images are those of `eurosat-mini`, turned, flipped and encoded again until there are enough.
Alternatives take turns, so that a slow minute of the machine hits all. CPU seconds are those of all processes of a
command. Results go to docs/benchmarks.md with versions and device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _bench_eval import CLIP_BENCHMARK, MODELS, Task, Times, command, commands, write_model, write_task

FEW = 10
PACKAGES = ("synrs-data", "clip_benchmark", "open_clip_torch", "torch", "torchvision", "numpy", "pillow")


def against_clip_benchmark(place: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Time both commands on all images and on ten; the difference is what images cost beyond the start."""
    model = write_model(place, chosen.model)
    many, few = (write_task(place / str(n), images=n, edge=chosen.edge) for n in (chosen.images, FEW))
    times: dict[str, list[Times]] = {}
    scores = {}
    for repeat in range(chosen.repeats):
        for name, task in (("all", many), ("few", few)):
            for program, arguments in commands(task, model, place / f"{name}-{repeat}").items():
                took = command(arguments, threads=chosen.threads, folder=place)
                times.setdefault(f"{program} {name}", []).append(took)
                scores[f"{program} {name}"] = task.score(program, place / f"{name}-{repeat}")
                print(f"{program}, {name}, repeat {repeat}: {took}", file=sys.stderr, flush=True)
    found: dict[str, Any] = {
        "images": chosen.images,
        "model": chosen.model,
        "edge": chosen.edge,
        "top1": scores,
    }
    for clock in ("wall", "cpu"):
        values = {name: [getattr(each, clock) for each in runs] for name, runs in times.items()}
        found[f"{clock} seconds"] = {name: rounded(each) for name, each in values.items()}
        for size in ("all", "few"):
            pairs = zip(values[f"{CLIP_BENCHMARK} {size}"], values[f"synrs-data {size}"], strict=True)
            found[f"{clock} of {size}, times ours"] = spread([their / our for their, our in pairs])
        # A start is measured with every repeat; its median is steadier than each one.
        their, our = (
            [each - statistics.median(values[f"{program} few"]) for each in values[f"{program} all"]]
            for program in (CLIP_BENCHMARK, "synrs-data")
        )
        found[f"{clock} beyond the start, times ours"] = spread(
            [a / b for a, b in zip(their, our, strict=True)]
        )
    return found


def cached_features(place: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Time the scoring of all images with one set of prompts, then with another one from the cache; one process."""
    from synrs_data.evaluate import load_classification
    from synrs_data.evaluate.data import open_data
    from synrs_data.evaluate.feature_cache import FeatureCache
    from synrs_data.evaluate.run import make_baseline

    folder = write_model(place, chosen.model)
    ways: dict[str, Callable[[], Task]] = {
        "first": lambda: write_task(place / "first", images=chosen.images, edge=chosen.edge),
        "second": lambda: write_task(
            place / "first", images=chosen.images, edge=chosen.edge, prompts="rs-basic"
        ),
    }
    tasks = {name: write() for name, write in ways.items()}
    seconds: dict[str, list[Times]] = {}
    for repeat in range(chosen.repeats):
        cache = FeatureCache(place / f"cache-{repeat}")
        for name, task in tasks.items():
            benchmark = load_classification(str(task.benchmark))
            data = open_data(benchmark)
            # A new baseline, so that nothing but the model and the cache outlives the first scoring.
            baseline = make_baseline(f"open-clip:model={folder}", "cpu")
            baseline.record(benchmark)
            started = Times(time.perf_counter(), time.process_time())
            baseline.score(benchmark, data, cache)
            ended = Times(time.perf_counter(), time.process_time())
            seconds.setdefault(name, []).append(Times(ended.wall - started.wall, ended.cpu - started.cpu))
    found: dict[str, Any] = {"images": chosen.images, "goal": "at least 20"}
    for clock in ("wall", "cpu"):
        first, second = ([getattr(each, clock) for each in seconds[name]] for name in ("first", "second"))
        found[f"{clock} seconds"] = {"first": rounded(first), "second": rounded(second)}
        ratios = [slow / fast for slow, fast in zip(first, second, strict=True)]
        found[f"{clock} of the first, times the second"] = spread(ratios)
    return found


def bootstrap(place: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Time 1,000 replicates over 10,000 predictions: an interval, one over five seeds, and a difference of those."""
    import numpy as np

    from synrs_data.evaluate.statistics import interval, interval_over_seeds, paired_over_seeds, top1

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 10_000)
    first, second = (rng.random((5, 10_000)) < share for share in (0.8, 0.82))
    ways: dict[str, Callable[[], Any]] = {
        "one seed": lambda: interval(labels, first[0], 10, top1, seed=0, replicates=1000),
        "five seeds": lambda: interval_over_seeds(labels, first, 10, top1, seed=0, replicates=1000),
        "difference, five seeds": lambda: paired_over_seeds(
            labels, first, second, 10, top1, seed=0, replicates=1000
        ),
    }
    found: dict[str, Any] = {"predictions of a seed": 10_000, "replicates": 1000, "goal": "under 2 s"}
    for name, way in ways.items():
        way()
        walls, cpus = [], []
        for _ in range(max(5, chosen.repeats)):
            started = Times(time.perf_counter(), time.process_time())
            way()
            walls.append(time.perf_counter() - started.wall)
            cpus.append(time.process_time() - started.cpu)
        found[name] = {"wall s": spread(walls), "cpu s": spread(cpus)}
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and most."""
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def rounded(values: list[float]) -> list[float]:
    """Return seconds as they are printed."""
    return [round(value, 2) for value in values]


def main() -> None:
    """Run the benchmarks and print their results as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000, help="images to score")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="what scores them")
    parser.add_argument("--edge", type=int, default=64, help="pixels that the images are resized to")
    parser.add_argument("--threads", type=int, default=0, help="of torch, for all; 0 for one a core")
    parser.add_argument("--only", help="the name of one benchmark")
    chosen = parser.parse_args()
    benchmarks = {CLIP_BENCHMARK: against_clip_benchmark, "cache": cached_features, "bootstrap": bootstrap}
    if chosen.threads:
        # Before torch is imported, for what runs in this process.
        os.environ["OMP_NUM_THREADS"] = str(chosen.threads)
    device = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": chosen.threads,
    }
    print(json.dumps(device | {name: version(name) for name in PACKAGES} | {"load": os.getloadavg()[0]}))
    for name, run in benchmarks.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as place:
                print(json.dumps({name: run(Path(place), chosen)}), flush=True)


if __name__ == "__main__":
    main()
