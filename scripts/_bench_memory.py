"""What a batch needs of memory, and what making it in slices saves and costs.

A build halves a batch that runs out of memory (`ShardWorker._generate`), again and again. diffusers has slicing of its
own: of attention (one head or image at a time) and of the VAE (one image at a time).
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from _bench_measure import growth_mib, in_turns, ratio, spread
from _bench_models import requests

from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions


@dataclass(frozen=True)
class Job:
    """One batch, and how it is made.

    Attributes:
        options: Those of the generator `diffusers`.
        device: Where it runs.
        threads: Of the CPU.
        images: Images of the batch.
        parts: Slices of equal size that are made one after another, as a build does it.
        attention: Whether diffusers slices attention.
        vae: Whether diffusers slices the VAE.
    """

    options: DiffusersOptions
    device: str
    threads: int
    images: int
    parts: int = 1
    attention: bool = False
    vae: bool = False

    def run(self, generator: DiffusersGenerator) -> list[np.ndarray]:
        """Make the batch with a loaded generator."""
        pipeline = generator._pipeline
        pipeline.enable_attention_slicing() if self.attention else pipeline.disable_attention_slicing()
        pipeline.vae.use_slicing = self.vae
        ask = requests(self.images)
        size = self.images // self.parts
        return [
            image
            for start in range(0, self.images, size)
            for image in generator.generate(ask[start : start + size])
        ]


def memory_by_batch(job: Job, largest: int | None, repeats: int) -> list[dict[str, Any]]:
    """Return peak memory of batches of 1, 2, 4, ... images, up to `largest` or until memory runs out."""
    found: list[dict[str, Any]] = []
    images, one = 1, 1.0
    while largest is None or images <= largest:
        held, growth = _in_children(replace(job, images=images), repeats)
        if growth is None:
            return [*found, {"images": images, "out of memory": True}]
        one = growth["median"] if images == 1 else one
        times = round(growth["median"] / one, 2)
        found.append({"images": images, "held_mib": held, "growth_mib": growth, "times that of one": times})
        images *= 2
    return found


def slicing(job: Job, repeats: int) -> dict[str, dict[str, Any]]:
    """Return peak memory, speed and difference of the images of ways to make one batch, against the whole one."""
    ways = {
        "whole": job,
        "in halves": replace(job, parts=2),
        "in quarters": replace(job, parts=4),
        "attention slicing": replace(job, attention=True),
        "VAE slicing": replace(job, vae=True),
        "attention and VAE slicing": replace(job, attention=True, vae=True),
    }
    peaks = {name: _in_children(way, repeats)[1] for name, way in ways.items()}
    whole = peaks["whole"]
    if whole is None:
        raise SystemExit("the whole batch does not fit into memory: choose a smaller --batch")
    generator = DiffusersGenerator(job.options)
    generator.load(job.device)
    fitting = {name: way for name, way in ways.items() if peaks[name] is not None}
    images = {name: np.stack(way.run(generator)).astype(int) for name, way in fitting.items()}
    runs = {name: (lambda way=way: way.run(generator)) for name, way in fitting.items()}
    seconds = in_turns(runs, job.device, repeats)
    found: dict[str, dict[str, Any]] = {name: {"out of memory": True} for name in ways}
    for name in fitting:
        peak = peaks[name]
        assert peak is not None
        found[name] = {
            "growth_mib": peak,
            "of the whole batch's memory": round(peak["median"] / whole["median"], 3),
            "images a second": round(job.images / float(np.median(seconds[name])), 3),
            "of the whole batch's speed": ratio(seconds, name, "whole"),
            "largest difference of 255": int(np.abs(images[name] - images["whole"]).max()),
        }
    return found


def _in_children(job: Job, repeats: int) -> tuple[int, dict[str, float] | None]:
    """Return memory held and peak above it, in MiB, each repeat in a fresh process; no peak if memory runs out."""
    helds, growths = [], []
    # A GPU's allocator counts the same bytes each time.
    for _ in range(1 if job.device.startswith("cuda") else repeats):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(_measure, job).result()
        if measured is None:
            return 0, None
        helds.append(measured[0])
        growths.append(measured[1])
    return round(float(np.median(helds))), spread(growths)


def _measure(job: Job) -> tuple[float, float] | None:
    torch.set_num_threads(job.threads)
    generator = DiffusersGenerator(job.options)
    generator.load(job.device)
    try:
        # What libraries set up once is no part of a batch.
        replace(job, images=1, parts=1).run(generator)
        return growth_mib(lambda: job.run(generator), job.device)
    except MemoryError:
        return None
