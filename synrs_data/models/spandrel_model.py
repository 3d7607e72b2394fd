"""Run any super-resolution network that spandrel knows on 8-bit RGB images, whole or in tiles.

Weights are safetensors, or pickles that hold tensors alone (torch's `weights_only=True`): no code of a file is run,
so TorchScript is refused. spandrel tells the network by its tensors, and runs one image at a time by contract.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, WeightsError
from synrs_data.models.memory import memory_errors

Dtype = Literal["float32", "float16", "bfloat16"]

_WHOLE = "download the model again, whole"


@dataclass(frozen=True, slots=True)
class Window:
    """A tile along one axis.

    Attributes:
        start: First pixel that is read.
        stop: The pixel after the last that is read.
        first: First pixel whose result is kept.
        last: The pixel after the last whose result is kept.
    """

    start: int
    stop: int
    first: int
    last: int


def windows(side: int, tile: int | None, overlap: int, step: int = 1) -> list[Window]:
    """Return the tiles along an axis, their kept parts side by side.

    What is kept lies at least `overlap` pixels from the border of its tile, except at the border of the image, so
    that a network which sees no further than that gives the same as on the whole image.

    Args:
        side: Pixels of the axis.
        tile: Pixels of a tile; None for the whole axis.
        overlap: Pixels around what is kept, less than half a tile.
        step: Tiles begin at multiples of it; the last one may be so much longer.
    """
    if tile is None or side <= tile:
        return [Window(0, side, 0, side)]
    end = (side - tile) // step * step
    starts = [*range(0, end, (tile - 2 * overlap) // step * step), end]
    # Neighbours meet in the middle of what both have read.
    seams = [(start + before + tile) // 2 for before, start in pairwise(starts)]
    stops = [*(start + tile for start in starts[:-1]), side]
    return [Window(*each) for each in zip(starts, stops, [0, *seams], [*seams, side], strict=True)]


class Upscaler:
    """A super-resolution network on a device.

    Args:
        path: File of weights.
        device: "cpu", "cuda", "cuda:1".
        dtype: Type of weights and activations, of those that the network supports.
        tile: Side of the tiles in pixels of the source; None for whole images.
        overlap: Pixels of the source around what is kept of a tile, less than half a tile.

    Attributes:
        scale: Factor of width and height.
        architecture: spandrel's name of the network.
        tags: What spandrel says of its size.

    Raises:
        MissingExtraError: spandrel is not installed.
        WeightsError: The file is damaged or unsafe, of no known network, or would be loaded in part.
        RecipeError: The network does not support the dtype, or tiles are too small for it.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        dtype: Dtype = "float32",
        tile: int | None = None,
        overlap: int = 16,
    ) -> None:
        try:
            import spandrel
        except ModuleNotFoundError as error:
            if error.name != "spandrel":
                raise
            raise MissingExtraError("running super-resolution networks", "sr") from error
        import torch

        state = spandrel.canonicalize_state_dict(_read(path))
        network = _network(state, path)
        _refuse_partial(state, network, path)
        _check_channels(network, path)
        self.scale = int(network.scale)
        self.architecture = str(network.architecture.name)
        self.tags = tuple(str(tag) for tag in network.tags)
        try:
            network.to(device, getattr(torch, dtype))
        except spandrel.UnsupportedDtypeError as error:
            raise RecipeError(
                f"{self.architecture} does not support {dtype}", where="generator", fix="set `dtype: float32`"
            ) from error
        network.eval()
        # Before spandrel cuts infinities to 0 and 1.
        network.model.register_forward_hook(self._check_finite)
        self._network, self._device, self._dtype = network, device, dtype
        self._tile, self._overlap = tile, overlap
        # Networks that take pixels by blocks see other blocks in tiles that begin elsewhere.
        self._step = int(network.size_requirements.multiple_of)
        if tile is not None and tile - 2 * overlap < self._step:
            raise RecipeError(
                f"a tile of {tile} pixels with {overlap} around what is kept leaves less than the {self._step} "
                f"that {self.architecture} takes at a time",
                where="generator",
                fix="raise `tile` or lower `overlap`",
            )

    def upscale(self, image: NDArray[np.uint8], *, seed: int = 0) -> NDArray[np.uint8]:
        """Return one image made larger, (height * scale, width * scale, 3).

        The same image and seed give the same bytes on a device class, whatever was run before.

        Args:
            image: RGB, (height, width, 3), 0 to 255. Sides that the network cannot take are padded, and the padding
                is cut from the result.
            seed: Seed of the few networks that draw noise.

        Raises:
            MemoryError: The device has too little memory.
            RecipeError: The network gives values that are not finite, as float16 may.
        """
        import torch

        height, width = image.shape[:2]
        large = np.empty((height * self.scale, width * self.scale, 3), dtype=np.uint8)
        devices = [self._device] if self._device.startswith("cuda") else []
        with memory_errors(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            for row, column in self._tiles(height, width):
                part = self._run(image[row.start : row.stop, column.start : column.stop])
                top, left = (row.first - row.start) * self.scale, (column.first - column.start) * self.scale
                place = large[
                    row.first * self.scale : row.last * self.scale,
                    column.first * self.scale : column.last * self.scale,
                ]
                place[:] = part[top : top + place.shape[0], left : left + place.shape[1]]
        return large

    def _tiles(self, height: int, width: int) -> Iterator[tuple[Window, Window]]:
        for row in windows(height, self._tile, self._overlap, self._step):
            for column in windows(width, self._tile, self._overlap, self._step):
                yield row, column

    def _check_finite(self, module: Any, args: Any, result: Any) -> None:
        import torch

        if isinstance(result, torch.Tensor) and not torch.isfinite(result).all():
            raise RecipeError(
                f"{self.architecture} gives values that are not finite in {self._dtype}",
                where="generator",
                fix="set `dtype: float32`",
            )

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        import torch

        pixels = torch.from_numpy(np.array(image)).to(self._device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            result: Any = self._network(pixels.to(getattr(torch, self._dtype)) / 255)
            # As Real-ESRGAN writes its images (realesrgan/utils.py, enhance).
            levels = (result[0].float() * 255).round().to(torch.uint8)
        found: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
        return found


def _read(path: Path) -> dict[str, Any]:
    """Return what a file holds; runs nothing of it."""
    from safetensors import SafetensorError

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "the weights are a pickle that holds more than tensors, and no code from outside is run",
            where=str(path),
            fix="get the model as safetensors",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsError(
            f"weights cannot be read: {_first_line(error)}", where=str(path), fix=_WHOLE
        ) from error
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise WeightsError("holds no tensors by name", where=str(path), fix="give a file of weights")
    return state


def _network(state: dict[str, Any], path: Path) -> Any:
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        network = ModelLoader("cpu").load_from_state_dict(state)
    except UnsupportedModelError as error:
        raise WeightsError(
            "is of no network that spandrel knows",
            where=str(path),
            fix="choose a model of one of the architectures that spandrel lists",
        ) from error
    except Exception as error:
        # What raises is the code of one of some forty architectures, guessing sizes from tensors.
        raise WeightsError(
            f"spandrel cannot load this model: {_first_line(error)}", where=str(path), fix=_WHOLE
        ) from error
    if not isinstance(network, ImageModelDescriptor):
        raise WeightsError(
            f"is a {network.architecture.name}, which needs a mask with each image",
            where=str(path),
            fix="choose a super-resolution model",
        )
    return network


def _refuse_partial(state: dict[str, Any], network: Any, path: Path) -> None:
    """Raise if a tensor of the file is nowhere in the network: some loaders leave out what they do not know.

    Tensors are compared by contents, because loaders rename them.
    """
    loaded = {_digest(tensor) for tensor in network.model.state_dict().values()}
    lost = sorted(
        name
        for name, tensor in state.items()
        if getattr(tensor, "is_floating_point", bool)() and _digest(tensor) not in loaded
    )
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise WeightsError(
            f"{network.architecture.name} would drop {len(lost)} tensors: {', '.join(lost[:3])}{more}",
            where=str(path),
            fix="choose a model that spandrel loads whole; in part it would give other images",
        )


def _digest(tensor: Any) -> tuple[tuple[int, ...], bytes]:
    values = tensor.detach().float().contiguous().numpy()
    return tuple(tensor.shape), hashlib.blake2b(values.tobytes(), digest_size=16).digest()


def _check_channels(network: Any, path: Path) -> None:
    if (network.input_channels, network.output_channels) != (3, 3):
        raise WeightsError(
            f"{network.architecture.name} makes {network.output_channels} channels of {network.input_channels}, "
            "not RGB of RGB",
            where=str(path),
            fix="choose a model of colour images",
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
