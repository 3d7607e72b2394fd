"""Any upscaling pipeline of diffusers as a baseline, by the loading code of the generator `diffusers-upscale`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions
from synrs_data.evaluate.super_resolution.pretrained import plain_name
from synrs_data.evaluate.super_resolution.upscalers import Image, UpscalerRecord, as_baseline, check_scale
from synrs_data.generators.diffusers_upscale import DiffusersUpscale, DiffusersUpscaleOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import GeneratorIdentity, Request


class DiffusersOptions(BaselineOptions):
    """Options of `diffusers-upscale`; none means the pipeline's own default."""

    model: str = Field(description="Folder of an upscaling pipeline, or Hub id.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id; pin a commit.")
    variant: str | None = Field(None, description='File variant of the weights, such as "fp16".')
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Type of weights and activations."
    )
    scheduler: str | None = Field(None, description="Class of the scheduler, such as DDIMScheduler.")
    steps: int | None = Field(None, ge=1, description="Number of inference steps.")
    guidance_scale: float | None = Field(None, ge=0, description="Strength of guidance; 1 switches it off.")
    noise_level: int | None = Field(None, ge=0, description="Noise on the low-resolution image.")
    prompt: str = Field("", description="The same for every image.")
    negative_prompt: str = Field("", description="What to avoid.")
    seed: int = Field(0, ge=0, description="Of the noise; each image has noise of its own.")


class Diffusers:
    """A pipeline of diffusers that makes images larger, one image at a time.

    Args:
        options: What to load, and how it samples.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: ClassVar[type[BaseModel]] = DiffusersOptions

    def __init__(self, options: DiffusersOptions, device: str) -> None:
        self._options, self._device = options, device
        self.name = plain_name(options.model, "diffusers-upscale")

    @cached_property
    def _loaded(self) -> tuple[_FromOne, GeneratorIdentity]:
        options = self._options
        values = options.model_dump(exclude={"trained_on", "prompt", "seed"})
        generator = _FromOne(DiffusersUpscaleOptions(images="-", batch_size=1, **values))
        with as_baseline("diffusers-upscale"):
            return generator, generator.load(self._device)

    def record(self) -> UpscalerRecord:
        """Return model, pipeline and how it samples; see `Upscaler.record`."""
        options, (_, identity) = self._options, self._loaded
        return UpscalerRecord(
            name=self.name,
            method="diffusers-upscale",
            model=options.model,
            weights_sha256=identity.sha256,
            preprocessing={
                "pipeline": identity.family,
                "revision": identity.revision,
                "license": identity.license,
                "scheduler": identity.scheduler,
                "steps": identity.steps,
                "guidance_scale": identity.guidance_scale,
                "noise_level": identity.parameters["noise_level"],
                "prompt": options.prompt,
                "negative_prompt": options.negative_prompt,
                "dtype": options.dtype,
                "seed": options.seed,
            },
            trained_on=options.trained_on,
        )

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Yield each image made larger; see `Upscaler.enlarge`."""
        generator, identity = self._loaded
        check_scale(int(identity.parameters["scale"]), scale, self._options.model)
        for number, image in enumerate(images):
            request = Request(self._options.prompt, 0, _seed(self._options.seed, number), GeoRecord())
            try:
                yield generator.enlarge(image, request)
            except MemoryError as error:
                height, width = image.shape[:2]
                raise UserError(
                    f"the device has too little memory for an image of {width} x {height} pixels: {error}",
                    where="the baseline 'diffusers-upscale'",
                    fix="take `dtype: float16`, smaller test images or a larger device",
                ) from error


class _FromOne(DiffusersUpscale):
    """The generator, with the image that it is given in the place of those that a recipe names."""

    def enlarge(self, image: Image, request: Request) -> Image:
        self._given = image
        [made] = self.generate([request])
        return made

    @property
    def _images(self) -> Any:
        return _Given(self._given)

    def _said_of_sources(self, scale: int) -> dict[str, Any]:
        return {"scale": scale}

    def _sources_are_real(self) -> bool:
        return True


class _Given:
    def __init__(self, image: Image) -> None:
        self._image = image

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        return [self._image] * len(requests)


def _seed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()) >> 1
