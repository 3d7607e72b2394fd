"""Networks from a file of weights: any that spandrel knows, and the compact one that this package trains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions
from synrs_data.evaluate.super_resolution.upscalers import Image, UpscalerRecord, as_baseline, check_scale
from synrs_data.models.weights_file import WeightsFile, locate_file

if TYPE_CHECKING:
    from synrs_data.evaluate.super_resolution.network import ResidualNetwork
    from synrs_data.models.spandrel_model import Upscaler as SpandrelUpscaler


class SpandrelOptions(BaselineOptions):
    """Options of `spandrel`."""

    model: str = Field(description="File of weights, folder that holds one, or Hub id.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id; pin a commit.")
    file: str | None = Field(None, min_length=1, description="Which file, where the model holds several.")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Type of weights and activations."
    )
    tile: int | None = Field(
        None, ge=8, description="Side of tiles in low-resolution pixels; by default whole images."
    )
    overlap: int = Field(16, ge=0, description="Low-resolution pixels around what is kept of a tile.")
    seed: int = Field(0, ge=0, description="For the few networks that draw noise.")

    @model_validator(mode="after")
    def _keeps_some_of_a_tile(self) -> SpandrelOptions:
        if self.tile is not None and self.tile <= 2 * self.overlap:
            raise ValueError(f"`tile: {self.tile}` is all overlap: it must be more than {2 * self.overlap}")
        return self


class Spandrel:
    """Any super-resolution network that spandrel knows: Real-ESRGAN, SwinIR, HAT and some forty more.

    Args:
        options: What to load.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: ClassVar[type[BaseModel]] = SpandrelOptions

    def __init__(self, options: SpandrelOptions, device: str) -> None:
        self._options, self._device = options, device
        self.name = plain_name(options.file or options.model, "spandrel")

    @cached_property
    def _weights(self) -> WeightsFile:
        options = self._options
        with as_baseline("spandrel"):
            return locate_file(options.model, revision=options.revision, file=options.file)

    @cached_property
    def _network(self) -> SpandrelUpscaler:
        from synrs_data.models.spandrel_model import Upscaler

        options = self._options
        with as_baseline("spandrel"):
            return Upscaler(
                self._weights.path,
                device=self._device,
                dtype=options.dtype,
                tile=options.tile,
                overlap=options.overlap,
            )

    def record(self) -> UpscalerRecord:
        """Return model, architecture and digest; see `Upscaler.record`."""
        options = self._options
        return UpscalerRecord(
            name=self.name,
            method="spandrel",
            model=options.model,
            weights_sha256=self._weights.sha256(),
            preprocessing={
                "architecture": self._network.architecture,
                "tags": list(self._network.tags),
                "revision": self._weights.revision,
                "license": self._weights.license,
                "dtype": options.dtype,
                "tile": options.tile,
                "overlap": options.overlap if options.tile is not None else None,
                "seed": options.seed,
            },
            trained_on=options.trained_on,
        )

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Yield each image made larger, each alone; see `Upscaler.enlarge`."""
        check_scale(self._network.scale, scale, self._options.model)
        for image in images:
            try:
                with as_baseline("spandrel"):
                    yield self._network.upscale(image, seed=self._options.seed)
            except MemoryError as error:
                height, width = image.shape[:2]
                raise UserError(
                    f"the device has too little memory for an image of {width} x {height} pixels: {error}",
                    where="the baseline 'spandrel'",
                    fix=f"set `tile` to less than {self._options.tile or max(height, width)}, or take a larger device",
                ) from error


class ResidualOptions(BaselineOptions):
    """Options of `residual`."""

    file: str = Field(min_length=1, description="Safetensors file that `save_network` wrote.")


class Residual:
    """The compact residual network, from its file.

    Args:
        options: Which file.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: ClassVar[type[BaseModel]] = ResidualOptions

    def __init__(self, options: ResidualOptions, device: str) -> None:
        self._options, self._device = options, device
        self._path = Path(options.file)
        self.name = plain_name(options.file, "residual")

    @cached_property
    def _network(self) -> ResidualNetwork:
        from synrs_data.evaluate.super_resolution.network import load_network

        return load_network(self._path, self._device)

    def record(self) -> UpscalerRecord:
        """Return configuration and digest; see `Upscaler.record`."""
        network = self._network.options.model_dump(mode="json")
        return UpscalerRecord(
            name=self.name,
            method="residual",
            model=self._options.file,
            weights_sha256=files.sha256(self._path),
            preprocessing={"network": network, "dtype": "float32"},
            trained_on=self._options.trained_on,
        )

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Yield each image made larger; see `Upscaler.enlarge`."""
        check_scale(self._network.options.scale, scale, self._options.file)
        for image in images:
            yield self._network.enlarge(image)


def plain_name(path: str, default: str) -> str:
    """Return the last part of a path or Hub id without its ending, in letters, digits, dots and dashes."""
    last = path.rstrip("/").rpartition("/")[2]
    stem = Path(last).stem if Path(last).suffix in (".pth", ".pt", ".ckpt", ".safetensors") else last
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or default
