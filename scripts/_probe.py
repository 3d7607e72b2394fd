"""The small CNN that measures images: classification score, perceptual loss and feature space."""

from __future__ import annotations

import torch
from _eurosat import CLASSES, random_dihedral, random_shift, to_float
from torch import Tensor, nn
from torch.nn import functional as F


def _block(before: int, after: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class Probe(nn.Module):
    """Five convolutions, 64x64 RGB in -1..1 to ten logits; 0.25 M parameters, 22 M multiply-adds."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([
            _block(3, 24, 5, 2),
            _block(24, 48, 3, 2),
            _block(48, 64, 3, 1),
            _block(64, 96, 3, 2),
            _block(96, 128, 3, 1),
        ])  # fmt: skip
        self.head = nn.Linear(128, len(CLASSES))

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature map after every block."""
        result = []
        for block in self.blocks:
            images = block(images)
            result.append(images)
        return result

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features (n, 128)."""
        return self.maps(images)[-1].mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 10)."""
        return self.head(self.features(images))


def train_probe(images: Tensor, labels: Tensor, *, steps: int, seed: int, device: torch.device) -> Probe:
    """Train on uint8 images for a fixed number of steps of 64, so that every arm costs the same.

    Adam with a one-cycle rate, dihedral symmetries and shifts, label smoothing 0.05.
    """
    torch.manual_seed(seed)
    dice = torch.Generator().manual_seed(seed)
    model = Probe().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    model.train()
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < 64:
            order = torch.cat([order, torch.randperm(len(images), generator=dice)])
        index, order = order[:64], order[64:]
        batch = random_shift(random_dihedral(to_float(images[index]), dice), dice)
        logits = model(batch.to(device, memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels[index].to(device), label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def probe_features(model: Probe, images: Tensor, device: torch.device) -> Tensor:
    """Penultimate features of uint8 images, in batches, on the CPU."""
    return torch.cat([model.features(to_float(part).to(device)).cpu() for part in images.split(200)])


@torch.no_grad()
def accuracy(model: Probe, images: Tensor, labels: Tensor, device: torch.device) -> float:
    """Top-1 on uint8 images, 0 to 1."""
    guesses = torch.cat([model(to_float(part).to(device)).argmax(1).cpu() for part in images.split(200)])
    return float((guesses == labels).float().mean())
