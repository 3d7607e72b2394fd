"""Measure `synrs-data build` against the loop that users write today, and its own overhead; prints ratios.

    python scripts/bench_build.py [--images 256] [--repeats 3] [--only NAME]

Every figure is the median of repeats in one run on one machine; ratios compare alternatives of that run, because
machines differ and are noisy. Results go to docs/benchmarks.md with versions and device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
MODEL = REPOSITORY / "synrs_data" / "models" / "embedded" / "eurosat-tiny"
STEPS, GUIDANCE = 10, 4.0

LOOP = """
import json, sys, torch
from pathlib import Path
from diffusers import StableDiffusionPipeline
model, out, steps, guidance = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
pipeline = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, requires_safety_checker=False)
pipeline.set_progress_bar_config(disable=True)
out.mkdir()
rows = []
for index, caption in enumerate(json.load(sys.stdin)):
    seed = torch.Generator().manual_seed(index)
    image = pipeline(caption, num_inference_steps=steps, guidance_scale=guidance, generator=seed).images[0]
    image.save(out / f"{index:06d}.png")
    rows.append({"file_name": f"{index:06d}.png", "text": caption})
(out / "metadata.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
from datasets import load_dataset
print(len(load_dataset("imagefolder", data_dir=str(out), split="train")))
"""

IMPORTS = "import synrs_data.cli, synrs_data.build.run, synrs_data.cli.progress, synrs_data.report, synrs_data.recipe"


def recipe(**changes: Any) -> dict[str, Any]:
    """Return a recipe of painted images with some keys changed."""
    values: dict[str, Any] = {
        "name": "bench",
        "license": "mit",
        "labels": "eurosat",
        "candidates": 100,
        "captions": {"method": "language-enhancement", "sentences_per_label": 50},
        "generator": {"method": "paint", "size": 64, "batch_size": 16},
        "filters": [],
    }
    return values | changes


def command(arguments: list[str], *, text: str = "", threads: int | None = None) -> tuple[float, float]:
    """Run Python with arguments; return seconds and peak MiB of the largest process."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests" / "plugin"), "HF_HUB_OFFLINE": "1"}
    environment.pop("OMP_NUM_THREADS", None)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    started = time.perf_counter()
    # A process of its own, so that the peak is that of this command alone.
    watcher = (
        "import resource, subprocess, sys;"
        "code = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", watcher, *arguments],
        input=text, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{arguments} failed:\n{done.stderr}")
    return time.perf_counter() - started, float(done.stdout)


def build(values: dict[str, Any], place: Path, *options: str) -> tuple[float, float]:
    """Build a recipe with the command line; return seconds and peak MiB."""
    file = place.with_suffix(".json")
    file.write_text(json.dumps(values))
    return command(["-m", "synrs_data", "build", str(file), "--out", str(place), *options])


def events(place: Path) -> list[dict[str, Any]]:
    """Return the events of a build."""
    return [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]


def against_the_loop(place: Path, images: int, repeats: int) -> dict[str, Any]:
    """Time one prompt at a time into PNG files and `datasets`, against `build` with the same model and steps."""
    generator = {
        "method": "diffusers", "model": str(MODEL), "steps": STEPS, "guidance_scale": GUIDANCE, "batch_size": 16,
    }  # fmt: skip
    values = recipe(
        candidates=images, shard_size=max(16, images // 4), generator=generator, image={"format": "png"}
    )
    loops, builds = [], []
    for repeat in range(repeats):
        builds.append(build(values, place / f"build-{repeat}")[0])
        book = (place / f"build-{repeat}" / "captions.jsonl").read_text().splitlines()
        texts = [json.loads(book[index % len(book)])["text"] for index in range(images)]
        arguments = ["-c", LOOP, str(MODEL), str(place / f"loop-{repeat}"), str(STEPS), str(GUIDANCE)]
        loops.append(command(arguments, text=json.dumps(texts))[0])
    ratio = statistics.median(a / b for a, b in zip(loops, builds, strict=True))
    return {
        "images": images,
        "loop_s": loops,
        "build_s": builds,
        "build is faster by": ratio,
        "goal": "at least 3",
    }


def overhead(place: Path, images: int, repeats: int) -> dict[str, Any]:
    """Share of a build's wall time that is neither the generator's (loading included) nor the filters'."""
    filters = [{"method": name} for name in ("quality", "clip-agreement", "clip-score", "near-duplicate")]
    generator = {
        "method": "diffusers",
        "model": str(MODEL),
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        "batch_size": 16,
    }
    selection = {"thresholds": {"clip_agreement_p": None, "quality_entropy": None, "quality_clipped": None}}
    values = recipe(candidates=images, generator=generator, filters=filters, select=selection)
    shares = []
    for repeat in range(repeats):
        build(values, place / f"overhead-{repeat}", "--engine", "inline")
        found = events(place / f"overhead-{repeat}")
        wall = found[-1]["time"] - found[0]["time"]
        inside = sum(event.get(key, 0) for event in found for key in ("load_s", "generate_s", "score_s"))
        shares.append(1 - inside / wall)
    return {
        "images": images,
        "share outside": shares,
        "median": statistics.median(shares),
        "goal": "at most 0.05",
    }


def selecting(place: Path, images: int, repeats: int) -> dict[str, Any]:
    """Candidates a minute that `select` judges and packs again, process start included."""
    values = recipe(
        candidates=images, shard_size=1000, filters=[{"method": "quality"}, {"method": "near-duplicate"}]
    )
    build(values, place / "select")
    rates = []
    for repeat in range(repeats):
        arguments = ["-m", "synrs_data", "select", str(place / "select"), "--set"]
        seconds, _ = command([*arguments, f"select.samples_per_shard={1000 + repeat}"])
        rates.append(images / seconds * 60)
    return {
        "candidates": images,
        "per minute": rates,
        "median": statistics.median(rates),
        "goal": "at least 20000",
    }


def resuming(place: Path, repeats: int) -> dict[str, Any]:
    """Seconds that a finished build needs to say so, beyond importing."""
    values = recipe(candidates=2000, shard_size=100)
    build(values, place / "resume")
    beyond = []
    for _ in range(repeats):
        imports, _ = command(["-c", IMPORTS])
        whole, _ = build(values, place / "resume")
        beyond.append(whole - imports)
    return {"seconds beyond imports": beyond, "median": statistics.median(beyond), "goal": "under 3"}


def memory(place: Path, repeats: int) -> dict[str, Any]:
    """Peak memory of 1,000 shards of 8 images against 10."""
    peaks: dict[int, list[float]] = {10: [], 1000: []}
    for repeat in range(repeats):
        for shards, found in peaks.items():
            values = recipe(candidates=8 * shards, shard_size=8, select={"samples_per_shard": 1000})
            values["generator"] |= {"batch_size": 8}
            found.append(build(values, place / f"memory-{shards}-{repeat}", "--engine", "inline")[1])
    ratio = statistics.median(many / few for few, many in zip(peaks[10], peaks[1000], strict=True))
    return {"peak MiB by shards": peaks, "1000 shards against 10": ratio, "goal": "about 1"}


def main() -> None:
    """Run the benchmarks and print their results as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256, help="images that the embedded model makes")
    parser.add_argument("--candidates", type=int, default=10_000, help="candidates that are selected again")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="the name of one benchmark")
    chosen = parser.parse_args()
    images, repeats = chosen.images, chosen.repeats
    benchmarks: dict[str, Callable[[Path], dict[str, Any]]] = {
        "loop": lambda place: against_the_loop(place, images, repeats),
        "overhead": lambda place: overhead(place, images, repeats),
        "select": lambda place: selecting(place, chosen.candidates, repeats),
        "resume": lambda place: resuming(place, repeats),
        "memory": lambda place: memory(place, repeats),
    }
    packages = {name: version(name) for name in ("synrs-data", "torch", "diffusers", "datasets", "polars")}
    print(
        json.dumps({"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), **packages})
    )
    for name, run in benchmarks.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as place:
                print(json.dumps({name: run(Path(place))}), flush=True)


if __name__ == "__main__":
    main()
