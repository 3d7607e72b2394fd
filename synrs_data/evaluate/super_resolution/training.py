"""Train the compact residual network on pairs of images, for a fixed number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.build.environment import make_deterministic
from synrs_data.errors import UserError

if TYPE_CHECKING:
    from synrs_data.evaluate.super_resolution.network import ResidualNetwork

Image = NDArray[np.uint8]


class NetworkOptions(BaseModel):
    """Size of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: Literal[2, 3, 4, 8] = Field(4, description="What becomes of one pixel along a side.")
    channels: int = Field(32, ge=4, le=256, description="Channels of every hidden layer.")
    blocks: int = Field(8, ge=1, le=64, description="Residual blocks of two convolutions.")


class TrainingOptions(BaseModel):
    """How the network is trained; no step looks at test images, and the last weights are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(1000, ge=1, description="Updates; the same in every arm.")
    batch: int = Field(8, ge=1, description="Crops a step.")
    crop: int = Field(24, ge=4, description="Side of a crop in low-resolution pixels.")
    learning_rate: float = Field(1e-3, gt=0, description="Of the first step; it falls to 0 as a cosine.")
    channels: int = Field(32, ge=4, le=256, description="Channels of every hidden layer.")
    blocks: int = Field(8, ge=1, le=64, description="Residual blocks of two convolutions.")


def train(
    pairs: Sequence[tuple[Image, Image]],
    scale: int,
    options: TrainingOptions,
    *,
    seed: int,
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> ResidualNetwork:
    """Return a network trained on pairs.

    Mean absolute error, Adam with betas 0.9 and 0.999, random aligned crops with flips and quarter turns (EDSR, Lim et
    al., CVPRW 2017, section 4.2). Every crop comes from a pair that is drawn with equal chance. On a CPU the same
    pairs, options and seed give the same weights to the last bit, with the same version of torch.

    Args:
        pairs: Low and high resolution, (height, width, 3) and (height * scale, width * scale, 3), 0 to 255.
        scale: 2, 3, 4 or 8.
        options: How.
        seed: Of the first weights and of the crops.
        device: "cpu", "cuda", "cuda:1".
        report: Told of step and loss (mean absolute error of levels from 0 to 1) every hundredth of the steps.

    Raises:
        UserError: There are no pairs, or the images of one do not fit each other or are smaller than a crop.
    """
    check_pairs(pairs, scale, options.crop)
    make_deterministic()
    import torch

    from synrs_data.evaluate.super_resolution.network import ResidualNetwork

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResidualNetwork(
            NetworkOptions.model_validate(
                {"scale": scale, "channels": options.channels, "blocks": options.blocks}
            )
        )
    network.to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    every = max(1, options.steps // 100)
    for step, (low, high) in enumerate(_batches(pairs, scale, options, seed)):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * (1 + math.cos(math.pi * step / options.steps)) / 2
        loss = torch.nn.functional.l1_loss(network(_tensor(low, device)), _tensor(high, device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if report is not None and (step + 1) % every == 0:
            report(step + 1, float(loss.detach()))
    return network.eval()


def check_pairs(pairs: Sequence[tuple[Image, Image]], scale: int, crop: int) -> None:
    """Raise unless all pairs can be trained on.

    Raises:
        UserError: There are no pairs, or the images of one do not fit each other or are smaller than a crop.
    """
    if not pairs:
        raise UserError("there are no pairs to train on", fix="give at least one pair of images")
    for number, (low, high) in enumerate(pairs):
        height, width = low.shape[:2]
        if high.shape[:2] != (height * scale, width * scale):
            raise UserError(
                f"the images of pair {number} have {width} x {height} and {high.shape[1]} x {high.shape[0]} pixels, "
                f"which is not a scale of {scale}",
                fix="give pairs of the benchmark's scale",
            )
        if min(height, width) < crop:
            raise UserError(
                f"the low-resolution image of pair {number} has {width} x {height} pixels, less than a crop of {crop}",
                fix=f"set `crop` to at most {min(height, width)}, or give larger images",
            )


def _batches(
    pairs: Sequence[tuple[Image, Image]], scale: int, options: TrainingOptions, seed: int
) -> Iterator[tuple[list[Image], list[Image]]]:
    """Yield the crops of each step."""
    random = np.random.default_rng([seed, 1])
    for _ in range(options.steps):
        low, high = [], []
        for _ in range(options.batch):
            small, large = pairs[int(random.integers(len(pairs)))]
            top, left = (int(random.integers(size - options.crop + 1)) for size in small.shape[:2])
            turn = int(random.integers(8))
            low.append(_turned(_cut(small, top, left, options.crop, 1), turn))
            high.append(_turned(_cut(large, top, left, options.crop, scale), turn))
        yield low, high


def _cut(image: Image, top: int, left: int, side: int, scale: int) -> Image:
    return image[top * scale : (top + side) * scale, left * scale : (left + side) * scale]


def _turned(image: Image, turn: int) -> Image:
    """Return one of the eight symmetries of a square."""
    image = np.rot90(image, turn % 4)
    return image[:, ::-1] if turn >= 4 else image


def _tensor(images: Sequence[Image], device: str) -> Any:
    import torch

    stacked = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(stacked).to(device).float() / 255
