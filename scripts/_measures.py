"""Distances between sets of features, and what one picture of many images looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def frechet(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of two Gaussians fitted to features (n, d) (Heusel et al. 2017, equation 6)."""
    a, b = first.double(), second.double()
    covariances = [torch.cov(part.T) for part in (a, b)]
    # The eigenvalues of the product of two covariances are real and not negative; rounding may say otherwise.
    eigenvalues = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0)
    trace = covariances[0].trace() + covariances[1].trace() - 2 * eigenvalues.sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + trace)


def kernel_distance(
    first: Tensor, second: Tensor, *, subsets: int = 50, size: int = 500, seed: int = 0
) -> tuple[float, float]:
    """KID (Binkowski et al. 2018): unbiased MMD with the cubic kernel, mean and deviation over subsets."""
    dice, values = torch.Generator().manual_seed(seed), []
    for _ in range(subsets):
        x, y = (part[torch.randperm(len(part), generator=dice)[:size]].double() for part in (first, second))
        xx, yy, xy = ((p @ q.T / p.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (len(x) * (len(x) - 1))
        values.append(float(within - 2 * xy.mean()))
    return float(np.mean(values)), float(np.std(values))


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance of each query to its nearest reference, and that reference's index."""
    parts = [torch.cdist(part, references).min(1) for part in queries.split(500)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def grid(rows: list[Tensor], path: Path, scale: int = 2, gap: int = 2) -> None:
    """PNG of rows of uint8 images (n, 3, h, w), enlarged without smoothing."""
    lines = []
    for row in rows:
        cells = [
            np.pad(cell.permute(1, 2, 0).numpy(), ((0, gap), (0, gap), (0, 0)), constant_values=255)
            for cell in row
        ]
        lines.append(np.concatenate(cells, axis=1))
    width = max(line.shape[1] for line in lines)
    padded = [
        np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines
    ]
    sheet = np.concatenate(padded, axis=0).repeat(scale, 0).repeat(scale, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, optimize=True)
