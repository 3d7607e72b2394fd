"""The generator `spandrel-upscale`: low-resolution images made larger by any network that spandrel knows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from synrs_data.errors import UserError
from synrs_data.generators.base import Image
from synrs_data.generators.upscaling import FromLowResolution, UpscaleOptions
from synrs_data.models.weights_file import WeightsFile, locate_file
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Request


class SpandrelUpscaleOptions(UpscaleOptions):
    """Options of the generator `spandrel-upscale`."""

    model: str = path_option(description="File of weights, folder that holds one, or Hub id.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id; pin a commit.")
    file: str | None = Field(None, min_length=1, description="Which file, where the model holds several.")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Type of weights and activations, of those that the network supports."
    )
    tile: int | None = Field(
        None, ge=8, description="Side of tiles in low-resolution pixels, for less memory; null: whole images."
    )
    overlap: int = Field(16, ge=0, description="Low-resolution pixels around what is kept of a tile.")

    @model_validator(mode="after")
    def _keeps_some_of_a_tile(self) -> SpandrelUpscaleOptions:
        if self.tile is not None and self.tile <= 2 * self.overlap:
            raise ValueError(f"`tile: {self.tile}` is all overlap: it must be more than {2 * self.overlap}")
        return self


class SpandrelUpscale(FromLowResolution):
    """Runs a super-resolution network on one low-resolution image a request, each alone: batches change no byte."""

    Options: ClassVar[type[UpscaleOptions]] = SpandrelUpscaleOptions

    def __init__(self, options: SpandrelUpscaleOptions) -> None:
        self._options = self._low = options

    @property
    def batch_size(self) -> int:
        """Images that are asked for together."""
        return self._options.batch_size

    @cached_property
    def _weights(self) -> WeightsFile:
        options = self._options
        return locate_file(options.model, revision=options.revision, file=options.file)

    def digest(self) -> str:
        """Return a sha256 over the weights and all low-resolution images."""
        return hashlib.sha256(f"{self._weights.sha256()} {self._images.digest()}".encode()).hexdigest()

    def load(self, device: str) -> GeneratorIdentity:
        """Load the network; see `Generator.load`.

        Raises:
            MissingExtraError: spandrel is not installed.
            RecipeError: The network is of another scale or does not support the dtype.
        """
        from synrs_data.models.spandrel_model import Upscaler

        options, weights = self._options, self._weights
        upscaler = Upscaler(
            weights.path, device=device, dtype=options.dtype, tile=options.tile, overlap=options.overlap
        )
        self._check_scale(upscaler.scale, weights.name)
        self._upscaler = upscaler
        return GeneratorIdentity(
            model=weights.name,
            revision=weights.revision,
            sha256=weights.sha256(),
            family=upscaler.architecture,
            scheduler="",
            steps=0,
            guidance_scale=0.0,
            negative_prompt="",
            license=weights.license,
            parameters={
                "file": weights.path.name,
                "tags": list(upscaler.tags),
                "dtype": options.dtype,
                "tile": options.tile,
                "overlap": options.overlap,
            }
            | self._said_of_sources(upscaler.scale),
            real_sources=self._sources_are_real(),
        )

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request; see `Generator.generate`.

        Raises:
            UserError: The device has too little memory for one image or tile.
        """
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Image:
        [pixels] = self._images.generate([request])
        try:
            return self._upscaler.upscale(pixels, seed=request.seed)
        except MemoryError as error:
            rows, columns = pixels.shape[:2]
            tile = self._options.tile or max(rows, columns)
            raise UserError(
                f"the device has too little memory for one image of {rows} x {columns} pixels: {error}",
                where="generator",
                fix=f"set `tile` to less than {tile}, take `dtype: float16`, or a larger device",
            ) from error
