"""What a build makes and costs, from one warm batch that is timed and thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synrs_data.build.environment import choose_devices, device_class
from synrs_data.build.plan import BuildPlan, digests_of, make, write_captions
from synrs_data.build.worker import ShardWorker
from synrs_data.recipe import Recipe
from synrs_data.shards.folder import BuildFolder

_TIMED = 3


def estimate(recipe: Recipe, *, device: str, workers: int | None) -> Iterator[str]:
    """Yield lines that say what a build makes and costs on this machine.

    Args:
        recipe: A completed recipe.
        device: "auto", "cpu" or "cuda".
        workers: Worker processes to reckon with; None for one a GPU or CPU core.
    """
    plan = BuildPlan(recipe, write_captions(recipe), digests_of(recipe))
    unique = len({(caption.text, caption.label) for caption in plan.captions})
    yield f"{recipe.name}: {recipe.candidates} images of {len(plan.labels.labels)} labels in {plan.shards} shards"
    uses = recipe.candidates / len(plan.captions)
    yield f"captions: {len(plan.captions)} in the book, {unique} unique; each is used {uses:.1f} times"
    devices = choose_devices(device, workers, plan.shards)
    times, size = _time_batches(plan, devices[0])
    per_image = sorted(times)[len(times) // 2]
    low, high = (_hours(plan, seconds, len(devices)) for seconds in (min(times), max(times)))
    yield f"disk: about {2 * size * recipe.candidates / 2**30:.3f} GiB (candidates and packed shards)"
    yield (
        f"time: about {_hours(plan, per_image, len(devices)):.2f} hours ({low:.2f} to {high:.2f}) with {len(devices)} "
        f"workers on {device_class(devices[0])}: {1000 * per_image:.0f} ms an image in each worker, "
        f"median of {_TIMED} warm batches of one worker alone"
    )


def _hours(plan: BuildPlan, seconds: float, workers: int) -> float:
    return seconds * plan.recipe.candidates / workers / 3600


def _time_batches(plan: BuildPlan, device: str) -> tuple[list[float], float]:
    """Return seconds an image of each timed batch, and bytes an image on disk."""
    batches: list[dict[str, Any]] = []

    def report(event: str, **fields: Any) -> None:
        if event == "batch":
            batches.append(fields)

    with TemporaryDirectory() as place:
        folder = BuildFolder(Path(place))
        folder.candidates.mkdir()
        batch = make("generators", plan.recipe.generator).batch_size
        batch = min(batch, plan.recipe.shard_size, plan.recipe.candidates)
        # Shards of one batch each: the first warms up, the others are timed.
        count = batch * (_TIMED + 1)
        trial = replace(
            plan, recipe=plan.recipe.model_copy(update={"candidates": count, "shard_size": batch})
        )
        worker = ShardWorker(trial, folder, device, report)
        for shard in range(trial.shards):
            worker.run_shard(shard)
        size = folder.candidate_tar(0).stat().st_size / batch
    return [(event["generate_s"] + event["score_s"]) / event["images"] for event in batches[1:]], size
