"""The generator `inpaint`: real scenes of which a masked part is painted anew, any inpainting pipeline of diffusers."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw
from pydantic import Field

from synrs_data.errors import UserError
from synrs_data.generators.base import Image, draw
from synrs_data.generators.conditioning import conditioning_of
from synrs_data.generators.diffusion import DiffusersOptions
from synrs_data.generators.from_real import FromReal, FromRealOptions, Task, prepare
from synrs_data.real_images import LabelledFolder, RealImage
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request

MASK_FIELD = "mask.png"


class InpaintOptions(FromRealOptions):
    """Options of the generator `inpaint`."""

    strength: float = Field(
        1.0, gt=0, le=1, description="Share of the noise that is added where the mask is white."
    )
    masks: str | None = path_option(
        None,
        description="Masks, named like their sources but for the ending; white is painted anew; null: boxes. "
        "Text2Earth reads grey as in between, other models above or below a half.",
    )
    box_share: float = Field(
        0.25, gt=0, lt=1, description="Share of the area in a box, which is placed by the request's seed."
    )
    keep_outside: bool = Field(
        True, description="Pixels outside the mask are the source's own, not what the VAE makes of them."
    )


class Inpaint(FromReal):
    """Paints a part of a real scene anew, by the caption; each sample keeps its mask as `mask.png`."""

    Options: ClassVar[type[DiffusersOptions]] = InpaintOptions

    def __init__(self, options: InpaintOptions) -> None:
        super().__init__(options)
        self._inpaint = options

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """The mask, and the source if it is kept."""
        return (*super().extra_fields, MASK_FIELD)

    @cached_property
    def _masks(self) -> dict[str, RealImage]:
        """Masks by name without the ending."""
        assert self._inpaint.masks is not None
        images = LabelledFolder(Path(self._inpaint.masks)).images
        return {image.name.rpartition(".")[0]: image for image in images}

    def digest(self) -> str:
        """Return a sha256 over the pipeline's files, all real images and all masks."""
        if self._inpaint.masks is None:
            return super().digest()
        lines = "".join(f"{image.name} {image.sha256}\n" for image in self._masks.values())
        return hashlib.sha256(f"{super().digest()} {lines}".encode()).hexdigest()

    def sources(self, labels: Sequence[str]) -> list[Path]:
        """Return every source for these labels; see `SourcedGenerator.sources`.

        Raises:
            UserError: A label has too few sources, or one has no mask.
        """
        for source in self._shots(labels) if self._inpaint.masks is not None else []:
            self._mask_file(source)
        return super().sources(labels)

    def inputs(self, request: Request) -> Inputs:
        """Return the request's source and mask; see `ConditionedGenerator.inputs`."""
        given = super().inputs(request)
        mask, name = self._mask(request)
        out = io.BytesIO()
        mask.save(out, "PNG")
        return replace(
            given,
            fields=given.fields | {MASK_FIELD: out.getvalue()},
            parameters=given.parameters | {"mask": name},
        )

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request; see `Generator.generate`."""
        images = super().generate(requests)
        if not self._inpaint.keep_outside:
            return images
        kept = []
        for request, image in zip(requests, images, strict=True):
            source = np.asarray(self._prepared(self._source(request))[0])
            inside = np.asarray(self._mask(request)[0])[..., None] > 0
            kept.append(np.where(inside, image, source))
        return kept

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        call = super()._arguments(requests)
        masks = [self._mask(request)[0] for request in requests]
        if "mask_image" in inspect.signature(type(self._pipeline).__call__).parameters:
            return call | {"mask_image": masks}
        from synrs_data.generators.blending import Blend

        seeds = [draw("blend", request, 2**63) for request in requests]
        return call | {"callback_on_step_end": Blend(self._pipeline, call["image"], masks, seeds)}

    def _task(self, pipeline: Any) -> Task:
        """Return inpainting, where diffusers can: its pipelines refuse UNets of other numbers of channels."""
        unet = getattr(pipeline, "unet", None)
        return "Inpainting" if unet is None or unet.config.in_channels in (4, 9) else "Image2Image"

    def _load_pipeline(self) -> Any:
        """Return the pipeline; one whose model knows grey masks leaves them grey, as its authors' does."""
        pipeline = super()._load_pipeline()
        self._soft = hasattr(pipeline, "mask_processor") and conditioning_of(pipeline).soft_masks
        if self._soft:
            pipeline.mask_processor.register_to_config(do_binarize=False)
        return pipeline

    def _identity(self) -> GeneratorIdentity:
        identity = super()._identity()
        return replace(
            identity, parameters=identity.parameters | {"keep_outside": self._inpaint.keep_outside}
        )

    def _mask(self, request: Request) -> tuple[PillowImage.Image, str]:
        """Return the mask of a request at the model's size, 0 or 255 unless masks are soft, and what it is."""
        if self._inpaint.masks is None:
            return self._box(request)
        file = self._mask_file(self._source(request))
        coloured, _ = prepare(file, self._size, self._inpaint.resize)
        mask = coloured.convert("L")
        if not self._soft:
            mask = mask.point(lambda value: 255 if value > 127 else 0)
        if mask.getbbox() is None:
            raise UserError(
                "the mask has no white pixel, so nothing would be painted",
                where=str(file.path),
                fix="paint what shall change white, or remove its source",
            )
        return mask, file.name

    def _mask_file(self, source: RealImage) -> RealImage:
        found = self._masks.get(source.name.rpartition(".")[0])
        if found is None:
            raise UserError(
                f"there is no mask of the name {source.name.rpartition('.')[0]}",
                where=str(self._inpaint.masks),
                fix=f"add one, or remove the source {source.path}",
            )
        return found

    def _box(self, request: Request) -> tuple[PillowImage.Image, str]:
        width, height = self._size
        side = self._inpaint.box_share**0.5
        across, down = max(1, round(width * side)), max(1, round(height * side))
        left = draw("box, left", request, width - across + 1)
        top = draw("box, top", request, height - down + 1)
        mask = PillowImage.new("L", self._size)
        ImageDraw.Draw(mask).rectangle((left, top, left + across - 1, top + down - 1), fill=255)
        return mask, f"box {left},{top} {across}x{down}"
