"""Autoencoder of `eurosat-tiny`: 64x64 RGB to 16x16 latents, sharp enough for a classifier to learn from.

L1 alone blurs, and a classifier trained on blurred images fails on real ones. So the loss also compares features of a
CNN trained on the same domain and Fourier amplitudes, and the decoder goes on alone with more weight on both.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _eurosat import Budget, Log, Pool, dihedral, random_dihedral, save_atomic, to_float, to_uint8
from _probe import Probe, accuracy
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

LATENTS = 6
BATCH = 8
#: Side of the crops of the first part of joint training: on a CPU, many small steps beat few large ones, and every
#: pixel is a sample. The last part sees whole images, so that the group norms meet their statistics.
CROP, WHOLE_FROM = 32, 0.75
#: Symmetries whose latents are cached: all eight.
KINDS = tuple(range(8))


def build_autoencoder() -> AutoencoderKL:
    """0.65 M parameters; the narrow full-resolution stage is what makes it affordable on a CPU."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        force_upcast=False,
    )


def load_autoencoder(checkpoint: Path) -> AutoencoderKL:
    """The autoencoder of a checkpoint of `train_autoencoder`, frozen."""
    model = build_autoencoder()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    return model.eval().requires_grad_(False)


def perceptual(probe: Probe, fake: Tensor, real: Tensor) -> Tensor:
    """Squared distance of channel-normalised feature maps, summed over the blocks (as LPIPS, without its weights)."""
    with torch.no_grad():
        wanted = probe.maps(real)
    pairs = zip(probe.maps(fake), wanted, strict=True)
    return sum(
        (F.normalize(a, dim=1, eps=1e-3) - F.normalize(b, dim=1, eps=1e-3)).square().sum(1).mean()
        for a, b in pairs
    )


def amplitude(fake: Tensor, real: Tensor) -> Tensor:
    """L1 between Fourier amplitudes: what blur removes, whatever its phase."""
    return (
        (torch.fft.rfft2(fake, norm="ortho").abs() - torch.fft.rfft2(real, norm="ortho").abs()).abs().mean()
    )


def normalise_latents(model: AutoencoderKL, pool: Pool) -> None:
    """Fold mean 0 and deviation 1 a channel into the 1x1 convolutions beside the latents, exactly.

    `StableDiffusionPipeline` knows one scaling factor and no shift, so the weights carry both.
    """
    latents = encode(model, pool.images[::3])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    with torch.no_grad():
        before, after = model.quant_conv, model.post_quant_conv
        log_variance_shift = 2 * deviation.log()
        before.weight[:LATENTS] /= deviation[:, None, None, None]
        before.bias[:LATENTS] = (before.bias[:LATENTS] - mean) / deviation
        before.bias[LATENTS:] -= log_variance_shift
        after.bias += (after.weight[:, :, 0, 0] * mean).sum(1)
        after.weight *= deviation[None, :, None, None]


@torch.no_grad()
def encode(model: AutoencoderKL, images: Tensor) -> Tensor:
    """Latent modes of uint8 images (n, LATENTS, 16, 16), on the CPU."""
    return torch.cat(
        [model.encode(to_float(part).to(model.device)).latent_dist.mode().cpu() for part in images.split(20)]
    )


@torch.no_grad()
def decode(model: AutoencoderKL, latents: Tensor) -> Tensor:
    """uint8 images of latents."""
    return torch.cat(
        [to_uint8(model.decode(part.to(model.device)).sample).cpu() for part in latents.split(100)]
    )


def cache_latents(model: AutoencoderKL, pool: Pool, work: Path, first: int = 0) -> Tensor:
    """Latents under the symmetries of `KINDS` (n, kinds, LATENTS, 16, 16) in fp16, kept in `work/latents/`.

    Processes that begin with different symmetries, `first`, share the work.
    """
    paths = [work / "latents" / f"{kind}.pt" for kind in KINDS]
    for kind in KINDS[first:] + KINDS[:first]:
        if not paths[kind].exists():
            save_atomic(encode(model, dihedral(pool.images, kind)).half(), paths[kind])
    return torch.stack([torch.load(path, weights_only=True) for path in paths], dim=1)


def psnr(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of uint8 images, over all pixels together."""
    return float(-10 * (first.float() - second.float()).div(255).square().mean().log10())


def _crop(batch: Tensor, side: int, top: int, left: int) -> Tensor:
    return batch[..., top : top + side, left : left + side]


class _Batches:
    """Batches of (images, cached latents or none): crops first, whole images at the end."""

    def __init__(self, train: Pool, latents: Tensor | None, seed: int) -> None:
        self._train, self._latents, self._seed = train, latents, seed

    def draw(self, step: int, fraction: float) -> tuple[Tensor, Tensor | None]:
        dice = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        index = torch.randint(len(self._train), (BATCH,), generator=dice)
        top, left = torch.randint((64 - CROP) // 4 + 1, (2,), generator=dice).tolist()
        whole = fraction >= WHOLE_FROM
        if self._latents is None:
            images, codes = random_dihedral(to_float(self._train.images[index]), dice), None
        else:
            kind = step % len(KINDS)
            images = dihedral(to_float(self._train.images[index]), KINDS[kind])
            codes = self._latents[index, kind].float()
            # Sampled latents are never exact; a little noise keeps the decoder from depending on exactness.
            codes = codes + 0.05 * torch.randn(codes.shape, generator=dice)
            codes = codes if whole else _crop(codes, CROP // 4, top, left)
        return images if whole else _crop(images, CROP, 4 * top, 4 * left), codes


def train_autoencoder(
    train: Pool, tuning: Pool, probe: Probe, *, work: Path, minutes: float, seed: int, device: torch.device, stage: str
) -> None:  # fmt: skip
    """Train and leave `work/<stage>.pt`; stage `joint` trains all, stage `decoder` the decoder on frozen latents."""
    model, joint = build_autoencoder().to(device), stage == "joint"
    if not joint:
        model.load_state_dict(torch.load(work / "joint.pt", weights_only=True)["model"])
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    batches = _Batches(train, None if joint else cache_latents(model, train, work), seed)
    probe = probe.to(device).requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=1e-4)
    checkpoint, step, budget = work / f"{stage}.pt", 0, Budget(minutes)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, budget = state["step"], Budget(minutes, state["spent"])
    log, saved = Log(work / f"{stage}.jsonl"), budget.spent
    while budget.fraction < 1.0:
        images, codes = (
            part if part is None else part.to(device) for part in batches.draw(step, budget.fraction)
        )
        divergence = torch.zeros((), device=device)
        if codes is None:
            posterior = model.encode(images).latent_dist
            codes, divergence = posterior.sample(), posterior.kl().mean() / posterior.mean[0].numel()
        fake = model.decode(codes).sample
        pixels, features = (fake - images).abs().mean(), perceptual(probe, fake, images)
        spectrum = amplitude(fake, images)
        weights = (0.15, 0.5) if joint else (0.3, 1.0)
        loss = pixels + weights[0] * features + weights[1] * spectrum + 1e-4 * divergence
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(1.5e-3 if joint else 1e-3)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        if step % 500 == 0:
            losses = {"l1": pixels.item(), "features": features.item(), "spectrum": spectrum.item()}
            log.write(step=step, minutes=budget.spent, **losses, kl=divergence.item())
        if budget.fraction >= 1.0 or budget.spent - saved > 1.9:
            saved = budget.spent
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomic({**state, "step": step, "spent": saved}, checkpoint)
            again = decode(model, encode(model, tuning.images[:300]))
            score = accuracy(probe, again, tuning.labels[:300], device)
            quality = psnr(again, tuning.images[:300])
            log.write(step=step, minutes=saved, psnr=quality, real_probe_top1=score)
    if joint:
        normalise_latents(model, train)
        state = torch.load(checkpoint, weights_only=True)
        save_atomic({**state, "model": model.state_dict()}, checkpoint)
