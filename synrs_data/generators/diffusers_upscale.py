"""The generator `diffusers-upscale`: low-resolution images made larger by an upscaling pipeline of diffusers."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image as PillowImage
from pydantic import Field, model_validator

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators.base import Image
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.generators.upscaling import FromLowResolution, UpscaleOptions
from synrs_data.resampling import by_size
from synrs_data.sample import GeneratorIdentity, Request

_LDM = "LDMSuperResolutionPipeline"
_LATENT = "StableDiffusionLatentUpscalePipeline"
_X4 = "StableDiffusionUpscalePipeline"

_PROBE = 64
"""Side of the image that a pipeline of another class is tried on; its images get sides that are multiples of it."""


class DiffusersUpscaleOptions(UpscaleOptions, DiffusersOptions):
    """Options of the generator `diffusers-upscale`: those of `diffusers`, and which images are made larger."""

    noise_level: int | None = Field(
        None,
        ge=0,
        description="Noise on the low-resolution image, for pipelines that add some; null: theirs.",
    )

    @model_validator(mode="after")
    def _size_of_the_source(self) -> DiffusersUpscaleOptions:
        if self.width is not None or self.height is not None:
            raise ValueError(
                "images have the size of their source times the scale: take out width and height"
            )
        return self


class DiffusersUpscale(FromLowResolution, DiffusersGenerator):
    """Runs an upscaling pipeline on one low-resolution image a request; the caption is the prompt, if it takes one.

    Images of one batch and size are made together. Sides that the pipeline would cut are padded by reflection, and
    the padding is cut from the result.
    """

    Options: ClassVar[type[DiffusersOptions]] = DiffusersUpscaleOptions
    _low: DiffusersUpscaleOptions

    def __init__(self, options: DiffusersUpscaleOptions) -> None:
        super().__init__(options)
        self._low = options

    def digest(self) -> str:
        """Return a sha256 over the pipeline's files and all low-resolution images."""
        return hashlib.sha256(f"{super().digest()} {self._images.digest()}".encode()).hexdigest()

    def _load_pipeline(self) -> Any:
        """Return the pipeline as its folder names it, on the CPU."""
        import torch

        from synrs_data.models.diffusers_folder import load_pipeline

        options = self._options
        dtype = getattr(torch, options.dtype)
        pipeline = load_pipeline(self._model, dtype=dtype, variant=options.variant, as_named=True)
        name = type(pipeline).__name__
        if name != _LDM and "Upscale" not in name:
            raise WeightsError(
                f"is a {name}, which makes no images larger",
                where=str(self._model.path),
                fix=f"choose a {_X4}, {_LATENT} or {_LDM}",
            )
        return pipeline

    def load(self, device: str) -> GeneratorIdentity:
        """Load the pipeline; see `Generator.load`.

        Raises:
            RecipeError: It is of another scale, or has no such noise level.
        """
        identity = super().load(device)
        noise = self._noise_level()
        if noise is not None:
            self._call |= {"noise_level": noise}
        self._multiple = _multiple(self._pipeline)
        self._factor = _scale(self._pipeline)
        self._check_scale(self._factor, identity.model)
        said = self._said_of_sources(self._factor) | {"noise_level": noise}
        return replace(identity, parameters=identity.parameters | said, real_sources=self._sources_are_real())

    def _check_channels(self, pipeline: Any) -> None:
        decoder = getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
        latents: Any = getattr(decoder, "config", {}).get("latent_channels")
        channels = getattr(pipeline.unet, "config", {}).get("in_channels")
        # Beside the noisy latents the denoiser sees the image, or its latents.
        known = latents is not None and channels is not None
        if known and channels not in (latents + 3, 2 * latents):
            raise WeightsError(
                f"its UNet takes {channels} channels, not the {latents} of latents and those of an image",
                where=str(self._model.path),
                fix="choose the folder of a whole upscaling pipeline",
            )

    def _noise_level(self) -> int | None:
        """Return the noise level of every call; None for a pipeline that has none."""
        wanted = self._low.noise_level
        parameters = inspect.signature(type(self._pipeline).__call__).parameters
        if "noise_level" not in parameters:
            if wanted is not None:
                name = type(self._pipeline).__name__
                raise RecipeError(
                    f"{name} has no 'noise_level'", where="generator", fix="take it out of the recipe"
                )
            return None
        most = self._pipeline.config.get("max_noise_level")
        if wanted is not None and most is not None and wanted > most:
            raise RecipeError(
                f"'noise_level' is {wanted}, and this pipeline takes {most} at most",
                where="generator",
                fix="lower it",
            )
        return int(parameters["noise_level"].default if wanted is None else wanted)

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request; see `Generator.generate`."""
        low = self._images.generate(requests)
        found: list[Image] = [np.empty(0, dtype=np.uint8)] * len(low)
        # Of a batch of several sizes diffusers resizes every image to that of the first.
        for places in by_size([_padded(image, self._multiple) for image in low]):
            made = super().generate([requests[place] for place in places])
            for place, image in zip(places, made, strict=True):
                height, width = low[place].shape[:2]
                found[place] = np.array(image[: height * self._factor, : width * self._factor])
        return found

    def _prompts(self, requests: Sequence[Request]) -> dict[str, Any]:
        return {} if type(self._pipeline).__name__ == _LDM else super()._prompts(requests)

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        call = super()._arguments(requests)
        images = [_padded(image, self._multiple) for image in self._images.generate(requests)]
        if type(self._pipeline).__name__ == _LDM:
            return call | {"image": _tensor(images)}
        return call | {"image": [PillowImage.fromarray(image) for image in images]}


def _multiple(pipeline: Any) -> int:
    """Return what the sides of an image must be multiples of, so that no part of the pipeline rounds them."""
    name = type(pipeline).__name__
    if name not in (_X4, _LATENT, _LDM):
        return _PROBE
    unet = 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    decoder = _decoder_factor(pipeline)
    return unet * decoder if name == _LATENT else math.lcm(unet, decoder)


def _decoder_factor(pipeline: Any) -> int:
    decoder = getattr(pipeline, "vae", None) or pipeline.vqvae
    return int(2 ** (len(decoder.config.block_out_channels) - 1))


def _scale(pipeline: Any) -> int:
    """Return how many times as large a pipeline makes an image.

    Latents have the size of the source in two pipelines, twice that of its own latents in the third
    (diffusers, pipeline_stable_diffusion_latent_upscale.py); any other one is tried.

    Raises:
        WeightsError: It is no whole number.
    """
    name = type(pipeline).__name__
    if name in (_X4, _LDM):
        return _decoder_factor(pipeline)
    if name == _LATENT:
        return 2
    import torch

    image = PillowImage.new("RGB", (_PROBE, _PROBE), (128, 128, 128))
    prompt = {"prompt": ""} if "prompt" in inspect.signature(type(pipeline).__call__).parameters else {}
    with torch.inference_mode():
        side = pipeline(image=image, num_inference_steps=1, **prompt).images[0].width
    if side % _PROBE:
        raise WeightsError(
            f"{name} makes {side} pixels of {_PROBE}, which is no whole scale",
            where="generator",
            fix="choose another pipeline",
        )
    return int(side // _PROBE)


def _padded(image: Image, multiple: int) -> Image:
    """Return an image whose sides are multiples, continued by its mirror image at the right and below."""
    rows, columns = (-side % multiple for side in image.shape[:2])
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")


def _tensor(images: list[Image]) -> Any:
    """Return images of one size as a tensor of -1 to 1, (n, 3, height, width)."""
    import torch

    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
