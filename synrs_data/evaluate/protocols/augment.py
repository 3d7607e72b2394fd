"""Classic augmentation: flips with crops, Cutout and CutMix, all drawn from a generator and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["flip-crop", "cutout"]

AREA = (0.5, 1.0)
"""Share of the image that a crop keeps. ImageNet's 0.08 leaves 18 of 64 pixels, too few to see a class by."""

RATIO = (3 / 4, 4 / 3)
"""Width by height of a crop (Szegedy et al. 2015, Going deeper with convolutions, section 6)."""

CUTOUT = 0.5
"""Side of Cutout's square by that of the image: 16 of 32 pixels (DeVries & Taylor 2017, section 4.1, CIFAR-10)."""

_AT_ONCE = 256


def augment(images: NDArray[np.uint8], kind: Kind, seed: int) -> NDArray[np.uint8]:
    """Return one augmented copy of each image; the same for the same images, kind and seed.

    CutMix is not among the kinds: its copies have two labels. `from-scratch` does it while it trains.

    Args:
        images: (n, height, width, 3), RGB.
        kind: "flip-crop", as `flip_crop`; "cutout", as `cutout`, filled with the mean colour of these images.
        seed: Of all that is drawn.
    """
    import torch

    random, parts = np.random.default_rng(seed), [np.empty((0, *images.shape[1:]), dtype=np.uint8)]
    if not len(images):
        return parts[0]
    mean = images.mean(axis=(0, 1, 2)).astype(np.float32)[:, None, None]
    for start in range(0, len(images), _AT_ONCE):
        batch = torch.from_numpy(
            images[start : start + _AT_ONCE].transpose(0, 3, 1, 2).astype(np.float32) - mean
        )
        found = flip_crop(batch, random) if kind == "flip-crop" else cutout(batch, random)
        values = np.rint(found.numpy() + mean).clip(0, 255).astype(np.uint8)
        parts.append(values.transpose(0, 2, 3, 1))
    return np.concatenate(parts)


def flip_crop(images: Tensor, random: np.random.Generator) -> Tensor:
    """Return each image in a random one of its eight orientations, cropped at random and resized to its size.

    Scenes from above have no upright side, so turns by 90 degrees keep a label as flips do; images that are not square
    are flipped alone. Crops are those of RandomResizedCrop, with `AREA` and `RATIO`; resizing is bilinear.

    Args:
        images: (n, channels, height, width).
        random: What draws.
    """
    import torch
    from torch.nn import functional

    count, square = len(images), images.shape[2] == images.shape[3]
    area = random.uniform(*AREA, count)
    ratio = np.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1]), count))
    size = np.minimum(np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1), 1)
    centre = random.uniform(-1, 1, (count, 2)) * (1 - size)
    turns = np.zeros((count, 2, 2))
    swap = random.integers(0, 2, count) if square else np.zeros(count, dtype=np.int64)
    signs = random.choice([-1.0, 1.0], (count, 2))
    rows = np.arange(count)
    for axis in (0, 1):
        turns[rows, axis, axis ^ swap] = signs[:, axis]
    matrices = np.concatenate([size[:, :, None] * turns, centre[:, :, None]], axis=2).astype(np.float32)
    grid = functional.affine_grid(
        torch.from_numpy(matrices).to(images.device), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def cutout(images: Tensor, random: np.random.Generator) -> Tensor:
    """Return each image with a square of zeros, centred on a random pixel and cut off at the borders.

    DeVries & Taylor 2017, section 3.2, and uoguelph-mlrg/Cutout, util/cutout.py. Zeros are the mean colour of images
    that were centred before.

    Args:
        images: (n, channels, height, width).
        random: What draws.
    """
    import torch

    count, _, height, width = images.shape
    half = max(1, round(CUTOUT * min(height, width))) // 2
    inside = []
    for side in (height, width):
        centres, places = random.integers(0, side, (count, 1)), np.arange(side)
        inside.append((places >= centres - half) & (places < centres + half))
    kept = torch.from_numpy(~(inside[0][:, :, None] & inside[1][:, None, :])).to(images.device)
    return images * kept[:, None]


def cutmix(images: Tensor, random: np.random.Generator) -> tuple[Tensor, NDArray[np.int64], float]:
    """Return a batch in which one rectangle of each image is that of another, which one, and the share that is left.

    Yun et al. 2019, section 3.1 with alpha 1, and clovaai/CutMix-PyTorch, train.py: the share of the area is uniform,
    the centre too, the rectangle is cut off at the borders, and the label's share is that of the pixels left.

    Args:
        images: (n, channels, height, width).
        random: What draws.

    Returns:
        The images; for each, the index of the image that its rectangle is from; the weight of its own label, 0 to 1.
    """
    import torch

    count, _, height, width = images.shape
    side = math.sqrt(1 - random.beta(1.0, 1.0))
    partners = random.permutation(count)
    bounds = []
    for length in (height, width):
        centre, half = int(random.integers(length)), int(length * side) // 2
        bounds.append(slice(max(0, centre - half), min(length, centre + half)))
    mixed = images.clone()
    mixed[:, :, bounds[0], bounds[1]] = images[torch.from_numpy(partners).to(images.device)][
        :, :, bounds[0], bounds[1]
    ]
    cut = (bounds[0].stop - bounds[0].start) * (bounds[1].stop - bounds[1].start)
    return mixed, partners, 1 - cut / (height * width)
