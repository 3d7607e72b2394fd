"""What generators share that start from real images: sources, their sizes, what a sample says of them."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from PIL import Image as PillowImage
from PIL import ImageOps
from pydantic import Field

from synrs_data.errors import RecipeError, UserError
from synrs_data.generators.base import draw
from synrs_data.generators.conditioning import image_size
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.real_images import LabelledFolder, RealImage
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request

SOURCE_FIELD = "source.jpg"

Resize = Literal["center-crop", "stretch"]
Size = tuple[int, int]
Task = Literal["Image2Image", "Inpainting"]


class FromRealOptions(DiffusersOptions):
    """Options of generators that start from real images: those of `diffusers`, and where images start from."""

    sources: str = path_option(
        description="Real images to start from: a folder a label, or files named LABEL_NUMBER."
    )
    shots: int = Field(16, ge=1, description="Real images of each label that are used.")
    shots_seed: int = Field(0, ge=0, description="Which ones: another seed, other images.")
    strength: float | None = Field(None, gt=0, le=1, description="Share of the noise that is added.")
    resize: Resize = Field("center-crop", description="How a source gets the model's size.")
    evaluation: str | None = path_option(
        None, description="Real images of an evaluation (folder or tars), none of which may be a source."
    )
    keep_source: bool = Field(
        True, description=f"Each sample keeps its source, resized, as `{SOURCE_FIELD}`; needs their licence."
    )


class FromReal(DiffusersGenerator):
    """Runs a pipeline that takes an image, on one source a request: by the request's seed, of the label's shots."""

    def __init__(self, options: FromRealOptions) -> None:
        # Sizes are the sources' affair: most image-to-image pipelines have no such argument.
        super().__init__(options.model_copy(update={"width": None, "height": None}))
        self._real = options

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """The source, if it is kept."""
        return (SOURCE_FIELD,) if self._real.keep_source else ()

    @property
    def evaluation(self) -> str | None:
        """Real images none of which may be a source."""
        return self._real.evaluation

    @cached_property
    def _folder(self) -> LabelledFolder:
        return LabelledFolder(Path(self._real.sources))

    def digest(self) -> str:
        """Return a sha256 over the pipeline's files and all real images."""
        return hashlib.sha256(f"{super().digest()} {self._folder.digest()}".encode()).hexdigest()

    def sources(self, labels: Sequence[str]) -> list[Path]:
        """Return every real image that is a source for these labels; see `SourcedGenerator.sources`."""
        return [image.path for image in self._shots(labels)]

    def _shots(self, labels: Sequence[str]) -> list[RealImage]:
        return self._folder.choose_all(labels, self._real.shots, self._real.shots_seed)

    def inputs(self, request: Request) -> Inputs:
        """Return the request's source; see `ConditionedGenerator.inputs`."""
        source = self._source(request)
        return Inputs(
            derived_from=source.sha256,
            fields={SOURCE_FIELD: self._prepared(source)[1]} if self._real.keep_source else {},
            parameters={"source": source.name},
        )

    def _source(self, request: Request) -> RealImage:
        shots = self._shots([request.label_name])
        return shots[draw("source", request, len(shots))]

    def _prepared(self, source: RealImage) -> tuple[PillowImage.Image, bytes]:
        return prepare(source, self._size, self._real.resize)

    def _load_pipeline(self) -> Any:
        """Return the pipeline of the same components that takes an image."""
        import diffusers

        base = super()._load_pipeline()
        task = self._task(base)
        try:
            pipeline = getattr(diffusers, f"AutoPipelineFor{task}").from_pipe(base)
        except ValueError as error:
            raise RecipeError(
                f"diffusers has no pipeline for {task} for {type(base).__name__}",
                where="generator",
                fix="choose another model",
            ) from error
        self._size = image_size(pipeline, self._real.width, self._real.height)
        return pipeline

    def _task(self, pipeline: Any) -> Task:
        """Return the kind of pipeline that is made of a text-to-image one."""
        return "Image2Image"

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        parameters = inspect.signature(type(self._pipeline).__call__).parameters
        sides = zip(("width", "height"), self._size, strict=True)
        return super()._arguments(requests) | {
            **{name: side for name, side in sides if name in parameters},
            "image": [self._prepared(self._source(request))[0] for request in requests],
            "strength": self._real.strength,
        }

    def _identity(self) -> GeneratorIdentity:
        identity = super()._identity()
        real = self._real
        if int(identity.steps * (real.strength or 0.0)) < 1:
            raise RecipeError(
                f"{identity.steps} steps at strength {real.strength} leave none to run",
                where="generator",
                fix="raise `steps`: the pipeline runs steps times strength of them",
            )
        own = {"strength": real.strength, "shots": real.shots, "resize": real.resize}
        return replace(identity, parameters=identity.parameters | own)


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
