"""The generator `real-guidance`: images that start from noised real ones, any image-to-image pipeline of diffusers."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image as PillowImage
from PIL import ImageOps
from pydantic import Field, model_validator

from synrs_data.errors import RecipeError, UserError
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.real_images import LabelledFolder, RealImage
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request

PUBLISHED_STRENGTHS = {16: 0.15, 8: 0.20, 4: 0.35, 2: 0.40, 1: 0.50}
"""Share of the noise by shots a label: step t* of 100 in He et al. (ICLR 2023), real guidance."""

SOURCE_FIELD = "source.jpg"

Resize = Literal["center-crop", "stretch"]
Size = tuple[int, int]


class RealGuidanceOptions(DiffusersOptions):
    """Options of the generator `real-guidance`: those of `diffusers`, and where images start from."""

    sources: str = path_option(
        description="Real images to start from: a folder a label, or files named LABEL_NUMBER."
    )
    shots: int = Field(16, ge=1, description="Real images of each label that are used.")
    shots_seed: int = Field(0, ge=0, description="Which ones: another seed, other images.")
    strength: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the noise that is added; null for the published one of 16, 8, 4, 2 or 1 shots.",
    )
    resize: Resize = Field("center-crop", description="How a source gets the model's size.")
    evaluation: str | None = path_option(
        None, description="Real images of an evaluation (folder or tars), none of which may be a source."
    )
    keep_source: bool = Field(
        True, description=f"Each sample keeps its source, resized, as `{SOURCE_FIELD}`; needs their licence."
    )

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        """Write out the published strength of the shots."""
        if not isinstance(values, dict) or values.get("strength") is not None:
            return values
        shots = values.get("shots", cls.model_fields["shots"].default)
        if not isinstance(shots, int) or shots < 1:
            return values
        if shots not in PUBLISHED_STRENGTHS:
            known = ", ".join(map(str, PUBLISHED_STRENGTHS))
            raise ValueError(f"no strength is published for {shots} shots (only for {known}): set `strength`")
        return {**values, "strength": PUBLISHED_STRENGTHS[shots]}


class RealGuidance(DiffusersGenerator):
    """Real guidance of He et al. (ICLR 2023, section 3.3): denoise noised real images of the same label.

    With one source a request, chosen by the request's seed among the label's shots. `strength: 0.5` and
    `guidance_scale: 7.5` are those of DA-Fusion (Trabucco et al., ICLR 2024), without its learned tokens.
    """

    Options: ClassVar[type[DiffusersOptions]] = RealGuidanceOptions

    def __init__(self, options: RealGuidanceOptions) -> None:
        # Sizes are the sources' affair: most image-to-image pipelines have no such argument.
        super().__init__(options.model_copy(update={"width": None, "height": None}))
        self._guidance = options

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """The source, if it is kept."""
        return (SOURCE_FIELD,) if self._guidance.keep_source else ()

    @property
    def evaluation(self) -> str | None:
        """Real images none of which may be a source."""
        return self._guidance.evaluation

    @cached_property
    def _folder(self) -> LabelledFolder:
        return LabelledFolder(Path(self._guidance.sources))

    def digest(self) -> str:
        """Return a sha256 over the pipeline's files and all real images."""
        return hashlib.sha256(f"{super().digest()} {self._folder.digest()}".encode()).hexdigest()

    def sources(self, labels: Sequence[str]) -> list[Path]:
        """Return every real image that is a source for these labels; see `SourcedGenerator.sources`."""
        guidance = self._guidance
        return [image.path for image in self._folder.choose_all(labels, guidance.shots, guidance.shots_seed)]

    def inputs(self, request: Request) -> Inputs:
        """Return the request's source; see `ConditionedGenerator.inputs`."""
        source = self._source(request)
        content = self._prepared(source)[1]
        return Inputs(
            derived_from=source.sha256,
            fields={SOURCE_FIELD: content} if self._guidance.keep_source else {},
            parameters={"source": source.name},
        )

    def _source(self, request: Request) -> RealImage:
        guidance = self._guidance
        shots = self._folder.choose(request.label_name, guidance.shots, guidance.shots_seed)
        digest = hashlib.blake2b(f"source/{request.seed}".encode(), digest_size=8).digest()
        return shots[int.from_bytes(digest, "big") % len(shots)]

    def _prepared(self, source: RealImage) -> tuple[PillowImage.Image, bytes]:
        return prepare(source, self._size, self._guidance.resize)

    def _load_pipeline(self) -> Any:
        """Return the image-to-image pipeline of the same components."""
        from diffusers import AutoPipelineForImage2Image

        base = super()._load_pipeline()
        try:
            pipeline = AutoPipelineForImage2Image.from_pipe(base)
        except ValueError as error:
            raise RecipeError(
                f"diffusers has no image-to-image pipeline for {type(base).__name__}",
                where="generator",
                fix="choose another model",
            ) from error
        self._size = _size_of(pipeline, self._guidance)
        return pipeline

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        call = super()._arguments(requests)
        images = [self._prepared(self._source(request))[0] for request in requests]
        parameters = inspect.signature(type(self._pipeline).__call__).parameters
        sizes = {
            name: side
            for name, side in zip(("width", "height"), self._size, strict=True)
            if name in parameters
        }
        return {**call, **sizes, "image": images, "strength": self._guidance.strength}

    def _identity(self) -> GeneratorIdentity:
        identity = super()._identity()
        guidance = self._guidance
        if int(identity.steps * (guidance.strength or 0.0)) < 1:
            raise RecipeError(
                f"{identity.steps} steps at strength {guidance.strength} leave none to run",
                where="generator",
                fix="raise `steps`: the published strengths are of 100 steps",
            )
        own = {"strength": guidance.strength, "shots": guidance.shots, "resize": guidance.resize}
        return replace(identity, parameters=identity.parameters | own)


def _size_of(pipeline: Any, options: RealGuidanceOptions) -> Size:
    """Return the width and height of images: the recipe's, or those that the model was trained on.

    Raises:
        RecipeError: The model does not say.
    """
    if options.width is not None and options.height is not None:
        return options.width, options.height
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample = getattr(pipeline, "default_sample_size", None) or getattr(
        getattr(denoiser, "config", None), "sample_size", None
    )
    if sample is None:
        raise RecipeError(
            f"{type(pipeline).__name__} does not say which size it was trained on",
            where="generator",
            fix="set `width` and `height`",
        )
    height, width = (sample, sample) if isinstance(sample, int) else sample
    scale = pipeline.vae_scale_factor
    return options.width or width * scale, options.height or height * scale


@lru_cache(maxsize=128)
def prepare(source: RealImage, size: Size, rule: Resize) -> tuple[PillowImage.Image, bytes]:
    """Return a source at the model's size, and its JPEG.

    "center-crop" cuts the longer side, "stretch" cuts nothing; both resample by Lanczos, and leave an image
    of this size as it is.

    Raises:
        UserError: It cannot be read as an image of 8 bits a channel.
    """
    try:
        image: PillowImage.Image = PillowImage.open(io.BytesIO(source.read()))
        image.load()
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise UserError(
            f"cannot be read as an image: {error}", where=str(source.path), fix="remove or replace it"
        ) from error
    if image.mode.startswith(("I", "F")):
        raise UserError(
            f"has {image.mode} pixels, not 8 bits a channel",
            where=str(source.path),
            fix="convert it to 8-bit RGB first: how its values map to colours is your choice",
        )
    image = image.convert("RGB")
    if image.size != size:
        lanczos = PillowImage.Resampling.LANCZOS
        image = ImageOps.fit(image, size, lanczos) if rule == "center-crop" else image.resize(size, lanczos)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, subsampling=0)
    return image, out.getvalue()
