"""Measure the two embedded models; every stage is its own command, resumes, and may run beside another.

    python scripts/bench_embedded.py generate --rank 0 --ranks 2     (and --rank 1 beside it)
    python scripts/bench_embedded.py score real 0          (arms: real, generated, reconstructed; seeds 0, 1, 2)
    python scripts/bench_embedded.py report

`tune` compares guidance scales on the held-out tenth of pool `generator`; the pools `real` and `test` take no part.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from _autoencoder import decode, encode
from _bench_report import collect, write_documents
from _cards import GUIDANCE, STEPS
from _eurosat import DEFAULT_DATA, EMBEDDED, Pool, load_pool, save_atomic, tuning_split
from _generation import generate_set, load_pipeline, load_set
from _probe import accuracy, train_probe

app = typer.Typer(add_completion=False, no_args_is_help=True)
Data = Annotated[Path, typer.Option(help="Folder with pools.csv")]
Work = Annotated[Path, typer.Option(help="Generated images, scores and their logs")]
Model = Annotated[Path, typer.Option(help="Folder of eurosat-tiny")]
DEFAULT_WORK = Path("build/bench-embedded")
torch.set_num_threads(1)


class Arm(StrEnum):
    """What the small CNN is trained on; it is always tested on the real pool `test`."""

    real = "real"
    generated = "generated"
    reconstructed = "reconstructed"


@app.command()
def generate(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    model: Model = EMBEDDED / "eurosat-tiny",
    per_class: int = 500,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    rank: int = 0,
    ranks: int = 1,
    device: str = "cpu",
) -> None:
    """Generate images of every class with captions as in training."""
    words, _ = tuning_split(data)
    generate_set(
        model,
        words,
        work / "generated",
        per_class=per_class,
        steps=steps,
        guidance=guidance,
        rank=rank,
        ranks=ranks,
        device=torch.device(device),
    )


@app.command()
def tune(
    guidances: list[float],
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    model: Model = EMBEDDED / "eurosat-tiny",
    per_class: int = 50,
    steps: int = STEPS,
    probe_steps: int = 300,
    device: str = "cpu",
) -> None:
    """Classification accuracy score of a small set for each guidance, on held-out images of pool `generator`."""
    train, held_out = tuning_split(data)
    for guidance in guidances:
        folder = work / f"tune-{steps}-{guidance}"
        options = {"per_class": per_class, "steps": steps, "guidance": guidance, "rank": 0, "ranks": 1}
        generate_set(model, train, folder, **options, device=torch.device(device))
        images = load_set(folder)
        probe = train_probe(
            images.images, images.labels, steps=probe_steps, seed=0, device=torch.device(device)
        )
        score = accuracy(probe, held_out.images, held_out.labels, torch.device(device))
        result = {
            "guidance": guidance,
            "steps": steps,
            "images": len(images),
            "held_out_top1": round(score, 4),
        }
        with (work / "tune.jsonl").open("a", encoding="utf-8") as log:
            print(json.dumps(result), file=log)
        print(result)


def _training_images(arm: Arm, data: Path, work: Path, model: Path, device: torch.device) -> Pool:
    if arm is Arm.generated:
        return load_set(work / "generated")
    pool = load_pool(data, "real")
    if arm is Arm.real:
        return pool
    autoencoder = load_pipeline(model, device).vae
    return Pool(decode(autoencoder, encode(autoencoder, pool.images)), pool.labels, pool.names)


@app.command()
def score(
    arm: Arm,
    seed: int,
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    model: Model = EMBEDDED / "eurosat-tiny",
    steps: int = 800,
    device: str = "cpu",
) -> None:
    """Train the small CNN on one arm and test it on pool `test`: the same steps and augmentation for every arm."""
    place = torch.device(device)
    images = _training_images(arm, data, work, model, place)
    test = load_pool(data, "test")
    probe = train_probe(images.images, images.labels, steps=steps, seed=seed, device=place)
    top1 = accuracy(probe, test.images, test.labels, place)
    save_atomic(probe.state_dict(), work / f"probe-{arm}-{seed}.pt")
    value = {"arm": str(arm), "seed": seed, "images": len(images), "steps": steps, "top1": top1}
    (work / f"score-{arm}-{seed}.json").write_text(json.dumps(value) + "\n", encoding="utf-8")
    print(value)


@app.command()
def report(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    embedded: Annotated[Path, typer.Option()] = EMBEDDED,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    device: str = "cpu",
) -> None:
    """Collect scores, measure distances and the CLIP model, write `docs/embedded-models.md`, pictures and cards."""
    figures = collect(data, work, embedded / "eurosat-tiny-clip", torch.device(device))
    write_documents(figures, work, embedded, steps=steps, guidance=guidance, device=device)


if __name__ == "__main__":
    app()
