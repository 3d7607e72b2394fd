"""What `bench_embedded.py report` measures over finished images, and the pages that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from _captions import TEMPLATES, Vocabulary, caption
from _cards import machine, versions, write_measured
from _eurosat import CLASSES, LABELS, REPO, Pool, load_pool, tuning_split
from _generation import load_set
from _measures import frechet, grid, kernel_distance, nearest
from _probe import Probe, probe_features
from torch import Tensor
from torch.nn import functional as F

FEATURES = "penultimate features (128) of the small CNN trained on pool `real`, seed 0"


def _scores(work: Path) -> dict[str, dict[str, Any]]:
    """Mean and spread over seeds of every arm that was run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(work.glob("score-*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(value["arm"], []).append(value)
    return {
        arm: {
            "images": runs[0]["images"], "steps": runs[0]["steps"], "seeds": len(runs),
            "top1": float(np.mean([run["top1"] for run in runs])),
            "spread": float(np.std([run["top1"] for run in runs])),
        }
        for arm, runs in found.items()
    }  # fmt: skip


def _distances(probe: Probe, sets: dict[str, Tensor], device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """Distances of `generated` and `test` to pool `real`, and how near both lie to the generator's training images."""
    features = {name: probe_features(probe, images, device) for name, images in sets.items()}
    result: dict[str, Any] = {}
    for name in ("generated", "test"):
        mean, spread = kernel_distance(features[name], features["real"])
        result[name] = {
            "n": len(features[name]), "frechet": frechet(features[name], features["real"]),
            "kid": mean, "kid_spread": spread,
        }  # fmt: skip
        distance, index = nearest(features[name], features["generator"])
        quantiles = torch.quantile(distance, torch.tensor([0.01, 0.05, 0.5])).tolist()
        result[name]["nearest"] = dict(zip(("1%", "5%", "median"), quantiles, strict=True))
        if name == "generated":
            closest = distance.argsort()[:10]
            pairs = torch.stack([closest, index[closest]])
    return result, pairs


def _words(generated: Pool) -> dict[str, Any]:
    """For each word that captions said: how often it came true, and how often it would have if words did nothing.

    The captions' words come from real images, so `dark` is asked more of dark classes; the second figure is therefore
    the share among generated images of the same classes.
    """
    vocabulary, result = Vocabulary(), {}
    looks = [vocabulary.measure(image) for image in generated.images]
    luma = (generated.images.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1).mean((1, 2))
    said = [set(prompt.removesuffix(".").split(", ")[1:]) for prompt in generated.names]
    for part in ("brightness", "colour", "texture"):
        for word in getattr(vocabulary, part):
            true = torch.tensor([getattr(look, part) == word for look in looks])
            asked = torch.tensor([word in words for words in said])
            if not asked.any():
                continue
            same_classes = [
                true[generated.labels == label].float().mean() for label in generated.labels[asked]
            ]
            result[word] = {
                "part": part, "images": int(asked.sum()), "agree": float(true[asked].float().mean()),
                "ignored": float(torch.stack(same_classes).mean()), "mean_luma": float(luma[asked].mean()),
            }  # fmt: skip
    return result


@torch.no_grad()
def _clip(folder: Path, test: Pool, device: torch.device) -> dict[str, float]:
    """Zero-shot top-1 over the templates, and image-to-caption recall over the whole pool."""
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    images = torch.cat([
        model.encode_image(part.float().div(127.5).sub(1).to(device), normalize=True).cpu()
        for part in test.images.split(200)
    ])  # fmt: skip
    prompts = [template.format(label=words) for words in LABELS.values() for template in TEMPLATES]
    text = model.encode_text(tokenizer(prompts).to(device), normalize=True).cpu()
    classes = F.normalize(text.view(len(CLASSES), len(TEMPLATES), -1).mean(1), dim=-1)
    top1 = float(((images @ classes.T).argmax(1) == test.labels).float().mean())
    vocabulary, rng = Vocabulary(), np.random.default_rng(0)
    texts = [
        caption(CLASSES[int(label)], vocabulary.measure(image), rng).text
        for image, label in zip(test.images, test.labels, strict=True)
    ]
    captions = torch.cat([
        model.encode_text(tokenizer(texts[i : i + 200]).to(device), normalize=True).cpu()
        for i in range(0, len(texts), 200)
    ])  # fmt: skip
    ranked = (images @ captions.T).topk(5, dim=1).indices
    # Two images may have the same caption: any copy of one's own text counts.
    hits = torch.tensor([[texts[int(j)] == texts[i] for j in row] for i, row in enumerate(ranked)])
    return {
        "zero_shot_top1": top1,
        "recall@1": float(hits[:, 0].float().mean()),
        "recall@5": float(hits.any(1).float().mean()),
        "distinct_captions": len(set(texts)),
        "n": len(texts),
    }


def collect(data: Path, work: Path, clip: Path, device: torch.device) -> dict[str, Any]:
    """All figures; writes `work/figures.json` and the two pictures."""
    generated, test, real = load_set(work / "generated"), load_pool(data, "test"), load_pool(data, "real")
    train, _ = tuning_split(data)
    probe = Probe().to(device)
    probe.load_state_dict(torch.load(work / "probe-real-0.pt", weights_only=True, map_location=device))
    sets = {
        "generated": generated.images,
        "test": test.images,
        "real": real.images,
        "generator": train.images,
    }
    distances, pairs = _distances(probe.eval(), sets, device)
    figures = {
        "scores": _scores(work), "distances": distances, "clip": _clip(clip, test, device),
        "words": _words(generated),
    }  # fmt: skip
    pictures = REPO / "docs" / "images"
    rows = []
    for label in range(len(CLASSES)):
        own, other = (pool.images[pool.labels == label] for pool in (generated, test))
        rows.append(torch.cat([own[:8], torch.full((1, 3, 64, 64), 255, dtype=torch.uint8), other[:8]]))
    grid(rows, pictures / "embedded_samples.png")
    grid([generated.images[pairs[0]], train.images[pairs[1]]], pictures / "embedded_nearest.png")
    (work / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _score_rows(scores: dict[str, dict[str, Any]]) -> str:
    rows = ["| trained on | images | seeds | top-1 on `test` | share of real |", "|---|---|---|---|---|"]
    base = scores["real"]["top1"]
    for arm, value in scores.items():
        spread = f" ± {value['spread']:.3f}" if value["seeds"] > 1 else ""
        top1 = f"{value['top1']:.3f}{spread}"
        rows.append(
            f"| {arm} | {value['images']:,} | {value['seeds']} | {top1} | {value['top1'] / base:.3f} |"
        )
    return "\n".join(rows)


def _distance_rows(distances: dict[str, Any]) -> str:
    rows = [
        "| set | n | Fréchet to `real` | KID to `real` | nearest training image: 1 %, 5 %, median |",
        "|---|---|---|---|---|",
    ]
    for name, value in distances.items():
        near = ", ".join(f"{part:.2f}" for part in value["nearest"].values())
        kid = f"{value['kid']:.4f} ± {value['kid_spread']:.4f}"
        rows.append(f"| {name} | {value['n']:,} | {value['frechet']:.3f} | {kid} | {near} |")
    return "\n".join(rows)


def _word_rows(words: dict[str, Any]) -> str:
    rows = ["| word | images | came true | if words did nothing | mean luma |", "|---|---|---|---|---|"]
    for word, value in words.items():
        shares = f"{value['agree']:.2f} | {value['ignored']:.2f}"
        rows.append(f"| {word} | {value['images']} | {shares} | {value['mean_luma']:.0f} |")
    return "\n".join(rows)


def write_documents(
    figures: dict[str, Any], work: Path, embedded: Path, *, steps: int, guidance: float, device: str
) -> None:
    """Write `docs/embedded-models.md` and the measured parts of both cards."""
    sampling = f"{steps} sampling steps (DPM-Solver++ 2M), guidance scale {guidance}"
    conditions = f"{machine(device)}; {versions()}; {sampling}."
    real = figures["scores"]["real"]
    diffusion = f"""Classification accuracy score: a CNN of five convolutions, {real["steps"]} steps of 64,
the same augmentation for every arm, tested on the 3,600 images of pool `test`; spread is the deviation over seeds.
`reconstructed` is pool `real` through the autoencoder.

{_score_rows(figures["scores"])}

Distances in the {FEATURES}. `test` is the floor: real images against real images. KID over 50 subsets of 500. A nearest
distance well below that of `test` would mean copied training images.

{_distance_rows(figures["distances"])}

Words besides the class, in the captions of the same generated images: how often the measured word is the one asked
for, and how often it is among all generated images of the same classes (what it would be if words did nothing):

{_word_rows(figures["words"])}

Conditions: {conditions}"""
    clip = figures["clip"]
    encoder = f"""| measure | value |
|---|---|
| zero-shot top-1, pool `test`, mean of {len(TEMPLATES)} templates | {clip["zero_shot_top1"]:.4f} |
| image-to-text recall@1, {clip["n"]:,} captions, {clip["distinct_captions"]:,} distinct | {clip["recall@1"]:.4f} |
| image-to-text recall@5 | {clip["recall@5"]:.4f} |

The captions name a class and a few coarse words, so many of them are true of many images and recall is low by nature.
Templates: {"; ".join(f"`{template}`" for template in TEMPLATES)}. Conditions: {machine(device)}; {versions()}."""
    write_measured(embedded / "eurosat-tiny", diffusion)
    write_measured(embedded / "eurosat-tiny-clip", encoder)
    tuning = work / "tune.jsonl"
    lines = (
        [json.loads(line) for line in tuning.read_text(encoding="utf-8").splitlines()]
        if tuning.exists()
        else []
    )
    tuned = ""
    if lines:
        rows = [
            f"| {x['guidance']} | {x['steps']} | {x['images']} | {x['held_out_top1']:.3f} |" for x in lines
        ]
        tuned = "\n".join([
            "Guidance on the held-out tenth of pool `generator`, with few images: a few points are noise.", "",
            "| guidance scale | steps | images | top-1 on held-out |", "|---|---|---|---|", *rows,
        ])  # fmt: skip
    page = f"""# The embedded models, measured

`scripts/bench_embedded.py report` writes this page. Both models were trained on pool `generator` of EuroSAT only.

## eurosat-tiny

{diffusion}

![Per class, eight generated images (left) and eight real images of pool test (right)](images/embedded_samples.png)

One row a class, in alphabetical order of the class names; left generated, right real (pool `test`).

![Generated images (above) and their nearest training images (below)](images/embedded_nearest.png)

The ten generated images (above) that lie nearest to a training image (below).

{tuned}

## eurosat-tiny-clip

{encoder}
"""
    (REPO / "docs" / "embedded-models.md").write_text(page, encoding="utf-8")
