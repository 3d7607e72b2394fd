"""The model cards of the two embedded models: what they are, what they were trained on, how."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

#: The sampling settings of the benchmark and the cards.
STEPS, GUIDANCE = 10, 2.0
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NEWLINE = "\n"
UNMEASURED = "Not measured yet: `python scripts/bench_embedded.py` writes this part."
DATA = """Pool `generator` of EuroSAT (RGB): 7,200 Sentinel-2 images of 64x64 pixels, 10 m a pixel, 720 for each of ten
classes; a tenth of them, by hash of the file name, was held out for tuning. The pools `real` and `test` were never
seen. EuroSAT: Helber, Bischke, Dengel, Borth, IEEE JSTARS 2019, MIT licence; contains modified Copernicus Sentinel
data."""


def versions() -> str:
    """Versions of the packages that shape the numbers."""
    names = ("torch", "diffusers", "transformers", "open_clip_torch", "safetensors")
    return ", ".join(f"{name} {version(name)}" for name in names)


def machine(device: str) -> str:
    """The device in words."""
    if device != "cpu":
        return device
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return f"CPU ({match.group(1).strip() if match else 'unknown'}), one thread a process, fp32"


def measured(folder: Path) -> str:
    """The measured part of the card that is there, so that a new training run does not hide it silently."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    return text.split(BEGIN)[1].split(END)[0].strip() if BEGIN in text and END in text else UNMEASURED


def write_measured(folder: Path, markdown: str) -> None:
    """Replace the measured part of a card."""
    card = folder / "README.md"
    head, rest = card.read_text(encoding="utf-8").split(BEGIN)
    card.write_text(f"{head}{BEGIN}\n{markdown.strip()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _last(log: Path, key: str) -> dict[str, float]:
    """The last line of a JSONL log that has `key`."""
    lines = (
        [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    )
    return next(
        (line for line in reversed(lines) if key in line), {"step": 0, "minutes": 0.0, key: float("nan")}
    )


def _write(folder: Path, front: str, body: str) -> None:
    text = f"---\n{front.strip()}\n---\n\n{body.strip()}\n\n## Measured\n\n{BEGIN}\n{UNMEASURED}\n{END}\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def clip_card(
    folder: Path, *, step: int, minutes: float, budget: float, images: int, held_out: float, device: str
) -> None:
    """Card of `eurosat-tiny-clip`; a fresh export has no measured part until the benchmark has run."""
    early = "" if minutes >= budget else f"\n**Early checkpoint: {minutes:.0f} of {budget:.0f} minutes.**\n"
    front = "license: mit\nlibrary_name: open_clip\npipeline_tag: zero-shot-image-classification\ntags:\n"
    front += "- remote-sensing\n- eurosat\n- sentinel-2\n- clip"
    _write(
        folder,
        front,
        f"""# eurosat-tiny-clip
{early}
A small image and text encoder (64x64 RGB, 128 dimensions) for filters and scores on a machine without a network.
`open_clip.create_model_and_transforms("local-dir:<folder>")` and `open_clip.get_tokenizer("local-dir:<folder>")`
load it. It knows the ten EuroSAT classes and the words of `builders/vocab/appearance.yaml`, nothing else.

## Training

- Data: {DATA}
- Image tower: ModifiedResNet, one block a stage, width 24; text tower: 2 layers, width 128, own byte-level BPE
  vocabulary.
- Loss: contrastive; every caption that is true of an image counts as its positive; plus the ten class prompts.
- {step} steps of 64 (trained on {images} images), {minutes:.0f} minutes on {machine(device)}.
- Zero-shot top-1 on the held-out tenth of the pool: {held_out:.3f}.
- {versions()}.
- `python scripts/train_eurosat_tiny_clip.py --minutes {budget:.0f}`""",
    )


def diffusion_card(folder: Path, work: Path, *, device: str, early: bool, note: str) -> None:
    """Card of `eurosat-tiny`, with the steps and minutes that the logs in `work` tell."""
    runs = [
        f"  - last, {part}: {last['step']} steps in {last['minutes']:.0f} minutes"
        for part, key in (("joint", "psnr"), ("decoder", "psnr"), ("diffusion", "loss"))
        if (last := _last(work / f"{part}.jsonl", key))["step"]
    ]
    warning = "\n**Early checkpoint: training goes on.**\n" if early else ""
    told = f"\n- {note}" if note else ""
    front = "license: mit\nlibrary_name: diffusers\npipeline_tag: text-to-image\ntags:\n"
    front += "- remote-sensing\n- eurosat\n- sentinel-2\n- stable-diffusion"
    _write(
        folder,
        front,
        f"""# eurosat-tiny
{warning}
A small text-to-image latent diffusion model, 64x64 RGB, for tests, examples and benchmarks on a machine without a GPU
or a network. `diffusers.StableDiffusionPipeline.from_pretrained(<folder>)` loads it. It knows the ten EuroSAT classes
and the words of `builders/vocab/appearance.yaml`. Defaults: {STEPS} steps, guidance scale {GUIDANCE}.

It is a fixture and an example, not a generator to build a dataset for publication with: see the pictures and figures
below and in `docs/embedded-models.md`.

## Training

- Data: {DATA}
- Autoencoder: 64x64x3 to 16x16x6, trained with L1, features of a CNN trained on the same pool, and Fourier
  amplitudes; then the decoder alone. The weights give the latents mean 0 and deviation 1.
- Denoiser: U-Net with 7.0 M parameters and a two-layer text encoder, trained together, v-prediction, cosine schedule,
  weights averaged (0.999). One caption in ten was empty, for classifier-free guidance.
- Runs:
{NEWLINE.join(runs)}
- Device: {machine(device).removesuffix(", fp32")}; two processes at most, other work beside them.
- {versions()}.{told}
- Commands: see the head of `scripts/train_eurosat_tiny.py`.""",
    )
