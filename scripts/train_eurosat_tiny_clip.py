"""Train `eurosat-tiny-clip`, a small open_clip model, on the EuroSAT pool `generator`.

    python scripts/train_eurosat_tiny_clip.py --minutes 25

Runs on one thread or a GPU, resumes from `--work`, and writes the `local-dir:` folder, card included.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open_clip
import torch
import typer
from _captions import TEMPLATES, Appearance, Caption, Vocabulary, caption, corpus
from _cards import clip_card
from _eurosat import (
    CLASSES,
    DEFAULT_DATA,
    EMBEDDED,
    LABELS,
    Budget,
    Log,
    Pool,
    random_dihedral,
    random_shift,
    save_atomic,
    to_float,
    tuning_split,
)  # fmt: skip
from _tokenizer import CONTEXT, save_tokenizer, train_tokenizer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 64
PEAK_RATE = 1.5e-3


def configuration(vocabulary: int) -> dict[str, Any]:
    """`open_clip_config.json` of the model."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 24, "patch_size": None},
            "text_cfg": {
                "context_length": CONTEXT, "vocab_size": vocabulary, "hf_tokenizer_name": "local",
                "width": 128, "heads": 4, "layers": 2,
            },
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"},
    }  # fmt: skip


def build(config: dict[str, Any]) -> nn.Module:
    """The model of a configuration, with random weights."""
    model_config = dict(config["model_cfg"])
    text = {key: value for key, value in model_config["text_cfg"].items() if key != "hf_tokenizer_name"}
    return open_clip.CLIP(model_config["embed_dim"], model_config["vision_cfg"], text)


def truth(labels: Tensor, looks: list[Appearance], captions: list[Caption]) -> Tensor:
    """Matrix (images, captions) that is 1 where the caption is true of the image.

    Classes and words repeat within a batch, so the diagonal alone would call true captions wrong.
    """
    true = labels[:, None] == labels[None, :]
    for part in ("brightness", "colour", "texture"):
        have = np.array([getattr(look, part) for look in looks])
        said = np.array([getattr(item.said, part) for item in captions])
        true &= torch.from_numpy((have[:, None] == said[None, :]) | (said[None, :] == ""))
    return true.float()


def contrastive(image: Tensor, text: Tensor, scale: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy both ways against all true pairs (UniCL, Yang et al. 2022, section 3.2)."""
    logits = scale * image @ text.T
    rows = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    columns = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (rows + columns) / 2


def jitter(images: Tensor, dice: torch.Generator) -> Tensor:
    """Mild gain per image and channel; more would make the measured words untrue."""
    gain = 1 + 0.06 * (torch.rand(len(images), 1, 1, 1, generator=dice) - 0.5)
    tint = 1 + 0.04 * (torch.rand(len(images), 3, 1, 1, generator=dice) - 0.5)
    return ((images + 1) * gain * tint - 1).clamp(-1, 1)


@torch.no_grad()
def zero_shot(model: nn.Module, tokenizer: Any, pool: Pool, device: torch.device) -> float:
    """Top-1 with the mean embedding of all templates a class."""
    model.eval()
    weights = []
    for label in CLASSES:
        tokens = tokenize(tokenizer, [template.format(label=LABELS[label]) for template in TEMPLATES])
        weights.append(F.normalize(model.encode_text(tokens.to(device), normalize=True).mean(0), dim=0))
    classes = torch.stack(weights).T
    guesses = [
        (model.encode_image(to_float(part).to(device)) @ classes).argmax(1).cpu()
        for part in pool.images.split(200)
    ]
    model.train()
    return float((torch.cat(guesses) == pool.labels).float().mean())


def tokenize(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token ids (n, CONTEXT), as `open_clip.get_tokenizer` makes them."""
    return tokenizer(
        texts, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
    ).input_ids


def export(model: nn.Module, config: dict[str, Any], tokenizer: Any, folder: Path) -> None:
    """Write the `local-dir:` folder, weights in fp16 and last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(tokenizer, folder)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    temporary = folder / ".weights.tmp"
    save_file(state, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    temporary.replace(folder / "open_clip_model.safetensors")


def main(
    data: Annotated[Path, typer.Option(help="Folder with pools.csv")] = DEFAULT_DATA,
    minutes: Annotated[float, typer.Option(help="Budget over all runs")] = 25.0,
    seed: int = 0,
    device: str = "cpu",
    work: Annotated[Path, typer.Option(help="Checkpoints and logs")] = Path("build/eurosat-tiny-clip"),
    out: Annotated[Path, typer.Option(help="Model folder")] = EMBEDDED / "eurosat-tiny-clip",
) -> None:
    """Train until the budget is spent, then export and write the card."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    place = torch.device(device)
    train, tuning = tuning_split(data)
    vocabulary = Vocabulary()
    looks = [vocabulary.measure(image) for image in train.images]
    tokenizer = train_tokenizer(corpus(vocabulary))
    config = configuration(len(tokenizer))
    model = build(config).to(place, memory_format=torch.channels_last).train()
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": kept, "weight_decay": 0.0}]
    )
    checkpoint, step, budget = work / "checkpoint.pt", 0, Budget(minutes)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, budget = state["step"], Budget(minutes, state["spent"])
    log, saved = Log(work / "log.jsonl"), budget.spent
    while True:
        rng = np.random.default_rng((seed, step))
        dice = torch.Generator().manual_seed(seed * 1_000_003 + step)
        index = torch.randint(len(train), (BATCH,), generator=dice)
        labels, seen = train.labels[index], [looks[int(i)] for i in index]
        captions = [caption(CLASSES[int(k)], look, rng) for k, look in zip(labels, seen, strict=True)]
        names = [str(rng.choice(TEMPLATES)).format(label=words) for words in LABELS.values()]
        images = jitter(random_shift(random_dihedral(to_float(train.images[index]), dice), dice), dice)
        image = model.encode_image(images.to(place, memory_format=torch.channels_last), normalize=True)
        tokens = tokenize(tokenizer, [item.text for item in captions] + names).to(place)
        text = model.encode_text(tokens, normalize=True)
        scale = model.logit_scale.exp().clamp(max=100)
        pairs = contrastive(image, text[:BATCH], scale, truth(labels, seen, captions).to(place))
        classes = F.cross_entropy(scale * image @ text[BATCH:].T, labels.to(place), label_smoothing=0.05)
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(PEAK_RATE)
        optimizer.zero_grad(set_to_none=True)
        (pairs + classes).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            log.write(step=step, minutes=budget.spent, pairs=float(pairs), classes=float(classes))
        done = budget.fraction >= 1.0
        if done or budget.spent - saved > 1.5:
            saved = budget.spent
            values = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomic({**values, "step": step, "spent": saved}, checkpoint)
            score = zero_shot(model, tokenizer, tuning, place)
            log.write(step=step, minutes=saved, held_out_zero_shot=score)
            export(model.eval(), config, tokenizer, out)
            model.train()
            clip_card(
                out,
                step=step,
                minutes=saved,
                budget=minutes,
                images=len(train),
                held_out=score,
                device=device,
            )
        if done:
            return


if __name__ == "__main__":
    typer.run(main)
