"""A compact residual network for super-resolution, and its file. It imports torch: import it inside functions.

EDSR's blocks without batch normalisation (Lim et al., "Enhanced deep residual networks for single image
super-resolution", CVPRW 2017, figure 2c) on the low-resolution grid, one sub-pixel convolution at the end (Shi et al.,
"Real-time single image and video super-resolution", CVPR 2016), on top of a fixed bicubic enlargement (Kim et al.,
VDSR, CVPR 2016, section 3.1, "residual learning"). The last convolution begins at zero: an untrained network is
bicubic interpolation.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from synrs_data import files
from synrs_data.errors import UserError, WeightsError
from synrs_data.evaluate.super_resolution.training import NetworkOptions
from synrs_data.models.memory import memory_errors

FORMAT = "synrs-data residual network 1"

_MIDDLE = 0.5
"""Taken from levels of 0 to 1, so that what the convolutions see lies about zero."""


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.second(torch.relu(self.first(x)))
        return found


class ResidualNetwork(nn.Module):
    """The network.

    Args:
        options: Its size and scale.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.head = nn.Conv2d(3, options.channels, 3, padding=1)
        self.body = nn.Sequential(*(_Block(options.channels) for _ in range(options.blocks)))
        self.tail = nn.Conv2d(options.channels, 3 * options.scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(options.scale)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias if self.tail.bias is not None else torch.empty(0))

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        """Return images made larger, (n, 3, height * scale, width * scale).

        Args:
            low: RGB of 0 to 1, (n, 3, height, width).
        """
        features = self.head(low - _MIDDLE)
        detail = self.shuffle(self.tail(features + self.body(features)))
        # With `antialias`, torch takes Keys' kernel with a = -0.5, as Pillow does, and not a = -0.75.
        plain = nn.functional.interpolate(
            low, scale_factor=self.options.scale, mode="bicubic", antialias=True
        )
        found: torch.Tensor = plain + detail
        return found

    def enlarge(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return one image made larger, (height * scale, width * scale, 3), halves rounded to even.

        Args:
            image: RGB, (height, width, 3), 0 to 255.

        Raises:
            UserError: The device has too little memory.
        """
        device = self.head.weight.device
        pixels = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)[None].float() / 255
        try:
            with memory_errors(), torch.inference_mode():
                levels = (self(pixels)[0].clamp(0, 1) * 255).round().to(torch.uint8)
        except MemoryError as error:
            raise UserError(
                f"the device has too little memory for an image of {image.shape[1]} x {image.shape[0]} pixels: {error}",
                fix="cut the test images into tiles, or take a larger device",
            ) from error
        found: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
        return found

    def digest(self) -> str:
        """Return the sha256 over the names and values of all weights."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            found.update(f"{name} {tuple(tensor.shape)}\n".encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def save_network(path: Path, network: ResidualNetwork, **about: Any) -> None:
    """Write a network as safetensors, with its configuration in the metadata.

    Args:
        path: The file.
        network: What to save.
        about: What else to keep, such as the options of its training: values of JSON.

    Raises:
        BuildFolderError: The file cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # One entry: safetensors writes several in an order that changes from run to run.
    said = {"format": FORMAT, "network": network.options.model_dump(mode="json"), **about}
    files.make_folder(path.parent)
    files.write_bytes(path, save(tensors, {"synrs-data": json.dumps(said, sort_keys=True)}))


def load_network(path: Path, device: str = "cpu") -> ResidualNetwork:
    """Read a network that `save_network` wrote.

    Raises:
        WeightsError: There is none, or the file is damaged, of something else, or lacks weights.
    """
    from safetensors import SafetensorError, safe_open

    fix = "give a file that `save_network` of synrs_data.evaluate.super_resolution.network wrote"
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("synrs-data", "{}")
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot be read as safetensors: {error}", where=str(path), fix=fix) from error
    try:
        said = json.loads(text)
        if said.get("format") != FORMAT:
            raise WeightsError(f"is no file of the format '{FORMAT}'", where=str(path), fix=fix)
        network = ResidualNetwork(NetworkOptions.model_validate(said["network"]))
        network.load_state_dict(tensors)
    except (ValueError, KeyError, AttributeError, ValidationError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(
            f"its weights are not those of its configuration: {reason}", where=str(path), fix=fix
        ) from error
    return network.to(device).eval()
