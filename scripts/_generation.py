"""Images from `eurosat-tiny` in chunks that several processes share and a restart keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from _captions import Appearance, Vocabulary, caption
from _eurosat import CLASSES, Pool, save_atomic
from diffusers import StableDiffusionPipeline
from torch import Tensor

CHUNK = 50


def load_pipeline(folder: Path, device: torch.device) -> StableDiffusionPipeline:
    """The stock pipeline in fp32, silent."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def render(
    pipeline: StableDiffusionPipeline, prompts: list[str], *, steps: int, guidance: float, seed: int
) -> Tensor:
    """uint8 images (n, 3, 64, 64); one CPU generator an image."""
    generators = [torch.Generator().manual_seed(seed * 100_003 + i) for i in range(len(prompts))]
    arrays = pipeline(
        prompts, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="np",
        height=64, width=64,
    ).images  # fmt: skip
    return torch.from_numpy((arrays * 255).round().astype(np.uint8)).permute(0, 3, 1, 2).contiguous()


def class_prompts(pool: Pool, looks: list[Appearance], label: int, count: int, seed: int) -> list[str]:
    """Captions as in training, with the words of random images of the class in `pool`."""
    rng = np.random.default_rng((seed, label))
    members = np.flatnonzero(pool.labels.numpy() == label)
    return [caption(CLASSES[label], looks[int(rng.choice(members))], rng).text for _ in range(count)]


def generate_set(
    model: Path, pool: Pool, folder: Path, *, per_class: int, steps: int, guidance: float, rank: int, ranks: int,
    device: torch.device,
) -> None:  # fmt: skip
    """Write `folder/<chunk>-<class>.pt` for each chunk of 50 images; process `rank` of `ranks` takes every n-th."""
    pipeline, vocabulary = load_pipeline(model, device), Vocabulary()
    looks = [vocabulary.measure(image) for image in pool.images]
    jobs = [(chunk, label) for chunk in range(per_class // CHUNK) for label in range(len(CLASSES))]
    for number, (chunk, label) in enumerate(jobs):
        path = folder / f"{chunk:03d}-{label}.pt"
        if number % ranks != rank or path.exists():
            continue
        prompts = class_prompts(pool, looks, label, CHUNK, seed=chunk)
        images = render(pipeline, prompts, steps=steps, guidance=guidance, seed=number)
        save_atomic({"images": images, "prompts": prompts}, path)


def load_set(folder: Path) -> Pool:
    """All whole rounds of chunks (equal images for every class); the names are the prompts."""
    chunks = sorted({path.stem.split("-")[0] for path in folder.glob("*-*.pt")})
    images, labels, prompts = [], [], []
    for chunk in chunks:
        paths = [folder / f"{chunk}-{label}.pt" for label in range(len(CLASSES))]
        if not all(path.exists() for path in paths):
            break
        for label, path in enumerate(paths):
            part = torch.load(path, weights_only=True)
            images.append(part["images"])
            labels.append(torch.full((len(part["images"]),), label))
            prompts += part["prompts"]
    if not images:
        raise SystemExit(f"{folder}: no complete round of generated chunks; run `generate` first")
    return Pool(torch.cat(images), torch.cat(labels), tuple(prompts))
