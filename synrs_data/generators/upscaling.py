"""What generators share that make low-resolution images larger: where those come from, what a sample says of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

from PIL import Image as PillowImage
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.errors import RecipeError
from synrs_data.generators.base import Image
from synrs_data.generators.real_images import RealImages, RealImagesOptions
from synrs_data.image_sources import SourceImage
from synrs_data.recipe import path_option
from synrs_data.sample import Inputs, Request

SOURCE_FIELD = "source.png"

Side = Annotated[int, Field(ge=1)]


class UpscaleOptions(BaseModel):
    """Options of generators that make low-resolution images larger; the first ones are those of `real-images`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    images: str = path_option(
        description="Low-resolution images: folder, WebDataset tar(s), finished build, parquet shards, "
        "or hf://datasets/USER/NAME[@REVISION][/PATH]."
    )
    field: str | None = Field(
        None,
        min_length=1,
        description="Field of tars or column of parquet, such as lr.png; null: hr.png, else the only image.",
    )
    crop: Side | tuple[Side, Side] | None = Field(
        None, description="Side of a low-resolution crop, or [height, width]; null: the whole image."
    )
    multiple_of: int = Field(8, ge=1, description="Whole images are cut so that sides are multiples of this.")
    seed: int = Field(0, ge=0, description="Order of the images: each comes once before any comes again.")
    images_license: str = Field("unknown", description="Licence of the low-resolution images.")
    evaluation: str | None = path_option(
        None, description="Real images of an evaluation (folder or tars), none of which may be a source."
    )
    scale: int | None = Field(
        None,
        ge=1,
        description="What the model must make of one pixel along a side; another model is refused.",
    )
    keep_source: bool = Field(
        True, description=f"Each sample keeps what it was made from as `{SOURCE_FIELD}`; needs their licence."
    )
    batch_size: int = Field(4, ge=1, description="Images that are asked for together.")


class FromLowResolution:
    """The part of a generator that gives each request its low-resolution image, by `real-images`."""

    _low: UpscaleOptions

    @cached_property
    def _images(self) -> RealImages:
        low = self._low
        return RealImages(
            RealImagesOptions(
                images=low.images,
                field=low.field,
                crop=low.crop,
                multiple_of=low.multiple_of,
                seed=low.seed,
                license=low.images_license,
                batch_size=low.batch_size,
            )
        )

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """The low-resolution image, if it is kept."""
        return (SOURCE_FIELD,) if self._low.keep_source else ()

    @property
    def evaluation(self) -> str | None:
        """Real images none of which may be a source."""
        return self._low.evaluation

    def sources(self, labels: Sequence[str]) -> Sequence[SourceImage]:
        """Return every low-resolution image; see `SourcedGenerator.sources`."""
        return self._images.sources(labels)

    def inputs(self, request: Request) -> Inputs:
        """Return the request's low-resolution image and where it was cut; see `ConditionedGenerator.inputs`."""
        found = self._images.inputs(request)
        if not self._low.keep_source:
            return found
        [pixels] = self._images.generate([request])
        return Inputs(found.derived_from, {SOURCE_FIELD: _png(pixels)}, found.parameters)

    def _check_scale(self, scale: int, model: str) -> None:
        """Raise if the recipe asserts another scale than the model's."""
        if self._low.scale not in (None, scale):
            raise RecipeError(
                f"'{model}' makes images {scale} times as large, and the recipe says {self._low.scale}",
                where="generator.scale",
                fix=f"set `scale: {scale}`, or choose a model of scale {self._low.scale}",
            )

    def _said_of_sources(self, scale: int) -> dict[str, Any]:
        """Return what every sample says of scale and sources."""
        source = self._images.load("cpu")
        crop = self._low.crop
        return {
            "scale": scale,
            "crop": list(crop) if isinstance(crop, tuple) else crop,
            "images": source.model,
            "images_revision": source.revision,
            "images_sha256": source.sha256,
            "images_license": source.license,
        }

    def _sources_are_real(self) -> bool:
        return self._images.load("cpu").real_sources


def _png(pixels: Image) -> bytes:
    out = io.BytesIO()
    PillowImage.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
