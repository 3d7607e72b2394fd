"""Autoencoder of `eurosat-tiny`: 64x64 RGB to 16x16 latents, sharp enough for a classifier to learn from.

L1 alone blurs, and a classifier trained on blurred images fails on real ones. So the loss also compares features of a
CNN trained on the same domain and Fourier amplitudes, and the decoder ends its training against a patch discriminator.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _eurosat import Budget, Log, Pool, dihedral, random_dihedral, save_atomic, to_float, to_uint8
from _probe import Probe, accuracy
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

LATENTS = 6
BATCH = 4
#: Side of the crops of the first part of joint training: on a CPU, many small steps beat few large ones, and every
#: pixel is a sample. The last part sees whole images, so that the group norms meet their statistics.
CROP, WHOLE_FROM = 32, 0.75


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


def build_discriminator() -> nn.Sequential:
    """Patch discriminator that sees 22x22 pixels: texture, not layout."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(3, 32, 4, 2, 1)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(32, 64, 4, 2, 1)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(64, 64, 3, 1, 1)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(64, 1, 1)),
    )  # fmt: skip


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


def cache_latents(model: AutoencoderKL, pool: Pool, work: Path) -> Tensor:
    """Latents under all eight symmetries (n, 8, LATENTS, 16, 16) in fp16, kept in `work/latents/`.

    Decoder and diffusion both train on them. Two processes at once share the encoding: each takes what is missing.
    """
    parts = []
    for kind in range(8):
        path = work / "latents" / f"{kind}.pt"
        if not path.exists():
            save_atomic(encode(model, dihedral(pool.images, kind)).half(), path)
        parts.append(torch.load(path, weights_only=True))
    return torch.stack(parts, dim=1)


def psnr(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of uint8 images, over all pixels together."""
    return float(-10 * (first.float() - second.float()).div(255).square().mean().log10())


def train_autoencoder(
    train: Pool,
    tuning: Pool,
    probe: Probe,
    *,
    work: Path,
    minutes: float,
    seed: int,
    device: torch.device,
    stage: str,
) -> None:
    """Train and leave `work/<stage>.pt`; stage `joint` trains all, stage `decoder` the decoder on frozen latents."""
    model = build_autoencoder().to(device)
    adversarial = stage == "decoder"
    critic = build_discriminator().to(device)
    if adversarial:
        model.load_state_dict(torch.load(work / "joint.pt", weights_only=True)["model"])
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    latents = cache_latents(model, train, work) if adversarial else None
    probe = probe.to(device).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], betas=(0.9, 0.99), weight_decay=1e-4
    )
    critic_optimizer = torch.optim.AdamW(critic.parameters(), lr=4e-4, betas=(0.5, 0.99))
    checkpoint, step, budget = work / f"{stage}.pt", 0, Budget(minutes)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        critic.load_state_dict(state["critic"])
        optimizer.load_state_dict(state["optimizer"])
        step, budget = state["step"], Budget(minutes, state["spent"])
    log, saved = Log(work / f"{stage}.jsonl"), budget.spent
    while budget.fraction < 1.0:
        dice = torch.Generator().manual_seed(seed * 1_000_003 + step)
        index = torch.randint(len(train), (BATCH,), generator=dice)
        if latents is None:
            real = random_dihedral(to_float(train.images[index]), dice).to(device)
            if budget.fraction < WHOLE_FROM:
                top, left = torch.randint(64 - CROP + 1, (2,), generator=dice).tolist()
                real = real[..., top : top + CROP, left : left + CROP]
            posterior = model.encode(real).latent_dist
            code, divergence = posterior.sample(), posterior.kl().mean() / posterior.mean[0].numel()
        else:
            kind = step % 8
            real = dihedral(to_float(train.images[index]), kind).to(device)
            # Sampled latents are never exact; a little noise keeps the decoder from depending on exactness.
            code = latents[index, kind].float().to(device)
            code, divergence = (
                code + 0.05 * torch.randn(code.shape, generator=dice).to(device),
                torch.zeros(()),
            )
        fake = model.decode(code).sample
        pixels, features = (fake - real).abs().mean(), perceptual(probe, fake, real)
        spectrum = amplitude(fake, real)
        reconstruction = pixels + 0.15 * features + 0.5 * spectrum
        loss = reconstruction + 1e-4 * divergence.to(device)
        fooled = torch.zeros(())
        if adversarial:
            fooled = -critic(fake).mean()
            last = model.decoder.conv_out.weight
            wanted, given = (
                torch.autograd.grad(part, last, retain_graph=True)[0].norm()
                for part in (reconstruction, fooled)
            )
            ramp = min(1.0, budget.fraction / 0.15)
            # Adaptive weight of VQGAN (Esser et al. 2021, equation 7).
            loss = loss + 0.4 * ramp * (wanted / (given + 1e-4)).clamp(max=10).detach() * fooled
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(1.5e-3 if not adversarial else 8e-4)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if adversarial:
            hinge = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake.detach())).mean()
            critic_optimizer.zero_grad(set_to_none=True)
            hinge.backward()
            critic_optimizer.step()
        step += 1
        if step % 100 == 0:
            log.write(
                step=step, minutes=budget.spent, l1=pixels.item(), features=features.item(), spectrum=spectrum.item(),
                kl=divergence.item(), fooled=fooled.item(),
            )  # fmt: skip
        if budget.fraction >= 1.0 or budget.spent - saved > 1.9:
            saved = budget.spent
            parts = {"model": model, "critic": critic, "optimizer": optimizer}
            state = {name: part.state_dict() for name, part in parts.items()}
            save_atomic({**state, "step": step, "spent": saved}, checkpoint)
            some = tuning.images[:300]
            again = decode(model, encode(model, some))
            score = accuracy(probe, again, tuning.labels[:300], device)
            log.write(step=step, minutes=saved, psnr=psnr(again, some), real_probe_top1=score)
    if not adversarial:
        normalise_latents(model, train)
        state = torch.load(checkpoint, weights_only=True)
        save_atomic({**state, "model": model.state_dict()}, checkpoint)
