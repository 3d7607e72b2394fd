"""Train `eurosat-tiny`, a small text-to-image diffusion model, on the EuroSAT pool `generator`.

    python scripts/train_eurosat_tiny.py probe
    python scripts/train_eurosat_tiny.py autoencoder --minutes 20
    python scripts/train_eurosat_tiny.py decoder --minutes 20
    torchrun --nproc_per_node 2 scripts/train_eurosat_tiny.py diffusion --minutes 60
    python scripts/train_eurosat_tiny.py export

To go on from the shipped weights instead, begin with `unpack` and then `diffusion`.

Every stage resumes from `--work`. A CPU process uses one thread: two processes beat two threads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import typer
from _autoencoder import KINDS, cache_latents, load_autoencoder, train_autoencoder
from _captions import Vocabulary, corpus
from _cards import diffusion_card
from _diffusion import Denoiser, TrainingSet, export_pipeline, new_optimizer, train_diffusion
from _eurosat import DEFAULT_DATA, EMBEDDED, save_atomic, tuning_split
from _probe import Probe, accuracy, train_probe
from _tokenizer import save_tokenizer, train_tokenizer
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

app = typer.Typer(add_completion=False, no_args_is_help=True)
Data = Annotated[Path, typer.Option(help="Folder with pools.csv")]
Work = Annotated[Path, typer.Option(help="Checkpoints and logs of all stages")]
Minutes = Annotated[float, typer.Option(help="Budget of the stage over all runs")]
DEFAULT_WORK = Path("build/eurosat-tiny")
torch.set_num_threads(1)


@app.command()
def probe(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    steps: int = 1200,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train the CNN whose features the autoencoder has to keep."""
    train, tuning = tuning_split(data)
    model = train_probe(train.images, train.labels, steps=steps, seed=seed, device=torch.device(device))
    print(f"held-out top-1 {accuracy(model, tuning.images, tuning.labels, torch.device(device)):.3f}")
    save_atomic(model.state_dict(), work / "probe.pt")


def _autoencoder(stage: str, data: Path, work: Path, minutes: float, seed: int, device: str) -> None:
    torch.manual_seed(seed)
    train, tuning = tuning_split(data)
    judge = Probe()
    judge.load_state_dict(torch.load(work / "probe.pt", weights_only=True))
    train_autoencoder(
        train,
        tuning,
        judge.eval(),
        work=work,
        minutes=minutes,
        seed=seed,
        device=torch.device(device),
        stage=stage,
    )


@app.command()
def autoencoder(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    minutes: Minutes = 20.0,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train encoder and decoder together, then give the latents unit variance."""
    _autoencoder("joint", data, work, minutes, seed, device)


@app.command()
def decoder(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    minutes: Minutes = 20.0,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Go on with the decoder alone; the latents stay as they are."""
    _autoencoder("decoder", data, work, minutes, seed, device)


@app.command()
def diffusion(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    minutes: Minutes = 60.0,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train the denoiser on latents of the frozen encoder; under `torchrun`, gradients are averaged over processes."""
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        dist.init_process_group("gloo")
    train, _ = tuning_split(data)
    vocabulary = Vocabulary()
    latents = cache_latents(
        load_autoencoder(work / "joint.pt").to(device), train, work, rank * len(KINDS) // ranks
    )
    looks = [vocabulary.measure(image) for image in train.images]
    train_diffusion(
        TrainingSet(latents, train.labels, looks), _tokenizer(work), work=work, minutes=minutes, seed=seed,
        device=torch.device(device), rank=rank, ranks=ranks,
    )  # fmt: skip
    if ranks > 1:
        dist.destroy_process_group()


def _tokenizer(work: Path) -> CLIPTokenizer:
    """The tokenizer of this work folder: a changed vocabulary file must not renumber the tokens of a checkpoint."""
    folder = work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(corpus(Vocabulary())), folder)
    return CLIPTokenizer.from_pretrained(folder)


@app.command()
def export(
    work: Work = DEFAULT_WORK,
    out: Annotated[Path, typer.Option(help="Model folder")] = EMBEDDED / "eurosat-tiny",
    device: Annotated[str, typer.Option(help="Device of the training, for the card")] = "cpu",
    early: Annotated[bool, typer.Option(help="Say in the card that training is not finished")] = False,
    note: Annotated[str, typer.Option(help="What the logs do not tell, for the card")] = "",
) -> None:
    """Write the `StableDiffusionPipeline` folder from the averaged weights, in fp16, and its card."""
    export_pipeline(work, _tokenizer(work), out)
    diffusion_card(out, work, device=device, early=early, note=note)


@app.command()
def unpack(
    work: Work = DEFAULT_WORK,
    model: Annotated[Path, typer.Option(help="Folder of eurosat-tiny")] = EMBEDDED / "eurosat-tiny",
) -> None:
    """Make a work folder from a model folder, so that `diffusion` trains on from its weights, with a new schedule."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    save_tokenizer(pipeline.tokenizer, work / "tokenizer")
    for name in ("joint.pt", "decoder.pt"):
        save_atomic({"model": pipeline.vae.state_dict()}, work / name)
    denoiser = Denoiser(pipeline.tokenizer)
    denoiser.unet.load_state_dict(pipeline.unet.state_dict())
    denoiser.text_encoder.load_state_dict(pipeline.text_encoder.state_dict())
    weights = denoiser.state_dict()
    optimizer = new_optimizer(denoiser).state_dict()
    state = {"model": weights, "average": weights, "optimizer": optimizer, "step": 0, "spent": 0.0}
    save_atomic(state, work / "diffusion.pt")


if __name__ == "__main__":
    app()
