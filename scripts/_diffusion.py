"""Denoiser of `eurosat-tiny`: a small U-Net and a small CLIP text encoder, trained together on cached latents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from _autoencoder import LATENTS, load_autoencoder
from _captions import Appearance, caption
from _eurosat import CLASSES, Budget, Log, save_atomic
from _tokenizer import CONTEXT
from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

BATCH = 32  # of each process
#: Steps that processes take alone before their weights are averaged (local SGD: Stich, ICLR 2019); averaging gradients
#: at every step left two cores idle for half of the time.
AVERAGE_EVERY = 25
PEAK_RATE = 1e-3
EMPTY_SHARE = 0.1
EMA_DECAY = 0.999
#: The one noise schedule of training and of the shipped scheduler; its last step is noise alone (alpha 5e-5).
NOISE = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


def build_unet() -> UNet2DConditionModel:
    """U-Net over 16x16 latents, 7.0 M parameters; the words act at 8x8 and, in the middle, at 4x4."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENTS,
        out_channels=LATENTS,
        layers_per_block=1,
        block_out_channels=(48, 96, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Two layers, width 128."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        projection_dim=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


class Denoiser(nn.Module):
    """Both trained parts, so that one optimizer, one average and one checkpoint hold them."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet = build_unet()
        self.text_encoder = build_text_encoder(tokenizer)

    def forward(self, noisy: Tensor, steps: Tensor, tokens: Tensor) -> Tensor:
        """Predicted velocity of noisy latents."""
        return self.unet(noisy, steps, self.text_encoder(tokens).last_hidden_state).sample


class _Float32GroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input.float(), self.num_groups, self.weight, self.bias, self.eps)


def speed_up(model: Denoiser) -> None:
    """Make bf16 autocast worth its name on a CPU: the bf16 kernels of attention and group norm are slower than fp32's.

    With both replaced a core trains 1.8 times as many samples a second as in fp32; the weights are unchanged.
    """
    model.unet.set_attn_processor(AttnProcessor())
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            module.__class__ = _Float32GroupNorm


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Cached latents (n, kinds, LATENTS, 16, 16), class indices and measured words."""

    latents: Tensor
    labels: Tensor
    looks: list[Appearance]


def new_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """The optimizer of both trained parts; its rate follows the clock."""
    return torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.01)


def _average_weights(model: nn.Module, ranks: int) -> None:
    weights = [parameter.data for parameter in model.parameters()]
    flat = torch.cat([weight.flatten() for weight in weights])
    dist.all_reduce(flat)
    parts = flat.div_(ranks).split([weight.numel() for weight in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.copy_(part.view_as(weight))


def _agree(value: bool, ranks: int) -> bool:
    """Rank 0's answer, because two clocks differ by a step."""
    if ranks == 1:
        return value
    flag = torch.tensor([float(value)])
    dist.broadcast(flag, 0)
    return bool(flag.item())


def train_diffusion(
    data: TrainingSet, tokenizer: CLIPTokenizer, *, work: Path, minutes: float, seed: int, device: torch.device,
    rank: int, ranks: int,
) -> None:  # fmt: skip
    """Train until the budget is spent; `work/diffusion.pt` holds model, average and optimizer."""
    torch.manual_seed(seed)
    model = Denoiser(tokenizer).to(device, memory_format=torch.channels_last).train()
    speed_up(model)
    average = Denoiser(tokenizer).to(device).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimizer = new_optimizer(model)
    schedule = DDPMScheduler(**NOISE)
    checkpoint, step, budget = work / "diffusion.pt", 0, Budget(minutes)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, budget = state["step"], Budget(minutes, state["spent"])
    log = Log(work / "diffusion.jsonl") if rank == 0 else None
    saved, running, share = budget.spent, 0.0, BATCH
    done = False
    while not done:
        key = (seed, rank, step)
        rng, dice = (
            np.random.default_rng(key),
            torch.Generator().manual_seed((seed * 64 + rank) * 10_000_019 + step),
        )
        index = torch.randint(len(data.labels), (share,), generator=dice)
        clean = data.latents[index, torch.randint(data.latents.shape[1], (share,), generator=dice)].float()
        texts = [
            ""
            if rng.random() < EMPTY_SHARE
            else caption(CLASSES[int(data.labels[i])], data.looks[int(i)], rng).text
            for i in index
        ]
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
        ).input_ids
        noise = torch.randn(clean.shape, generator=dice)
        # Stratified steps: the same uniform mean with less variance in the loss.
        steps = (
            ((torch.arange(share) + torch.rand(share, generator=dice)) * (1000 / share)).long().clamp(max=999)
        )
        noisy, target = schedule.add_noise(clean, noise, steps), schedule.get_velocity(clean, noise, steps)
        noisy = noisy.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            velocity = model(noisy, steps.to(device), tokens.to(device))
        loss = F.mse_loss(velocity.float(), target.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(PEAK_RATE)
        optimizer.step()
        step += 1
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        running = float(loss.detach()) if running == 0.0 else 0.98 * running + 0.02 * float(loss.detach())
        if log is not None and step % 50 == 0:
            log.write(step=step, minutes=budget.spent, loss=running, ranks=ranks)
        if step % AVERAGE_EVERY:
            continue
        if ranks > 1:
            _average_weights(model, ranks)
        done = _agree(budget.fraction >= 1.0, ranks)
        if log is not None and (done or budget.spent - saved > 1.9):
            saved = budget.spent
            parts = {"model": model, "average": average, "optimizer": optimizer}
            state = {name: part.state_dict() for name, part in parts.items()}
            save_atomic({**state, "step": step, "spent": saved}, checkpoint)


def export_pipeline(work: Path, tokenizer: CLIPTokenizer, out: Path) -> None:
    """Write a stock `StableDiffusionPipeline` folder: averaged weights, fp16, a scheduler that is good in 20 steps."""
    decoder = work / "decoder.pt"
    denoiser = Denoiser(tokenizer)
    denoiser.load_state_dict(torch.load(work / "diffusion.pt", weights_only=True)["average"])
    StableDiffusionPipeline(
        vae=load_autoencoder(decoder if decoder.exists() else work / "joint.pt").half(),
        text_encoder=denoiser.text_encoder.half(),
        tokenizer=tokenizer,
        unet=denoiser.unet.half(),
        scheduler=DPMSolverMultistepScheduler(**NOISE, timestep_spacing="trailing", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(out)
    for weights in out.rglob("*.safetensors"):
        weights.chmod(0o644)
    # transformers loads in the dtype that this file names, diffusers in fp32: a plain load would mix the two.
    config = out / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float32"}, indent=2) + "\n")
