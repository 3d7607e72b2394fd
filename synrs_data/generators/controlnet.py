"""The generator `controlnet`: images laid out by control maps, through any stock ControlNet of Stable Diffusion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image as PillowImage
from pydantic import Field, model_validator

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators.conditioning import image_size
from synrs_data.generators.control_maps import ControlMap, ControlMaps, Resample, png, prepare_map
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.generators.palettes import Palette, load_palette
from synrs_data.models.source import ModelFolder, locate
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request

CONTROL_FIELD = "control.png"

_KEPT_MAPS = 64


class ControlNetOptions(DiffusersOptions):
    """Options of the generator `controlnet`: those of `diffusers` for the base, and what controls it."""

    controlnet: str = path_option(description="Folder of a ControlNet, or Hub id.")
    controlnet_revision: str | None = Field(
        None, description="Branch, tag or commit of the ControlNet's Hub id; pin a commit."
    )
    controlnet_conditioning_scale: float = Field(
        1.0, ge=0, description="Strength of control; 0 switches it off."
    )
    control_guidance_start: float = Field(0.0, ge=0, lt=1, description="Share of the steps before control.")
    control_guidance_end: float = Field(1.0, gt=0, le=1, description="Share of the steps at which it ends.")
    maps: str = path_option(description="Control maps: folder of images, WebDataset tar, or folder of tars.")
    maps_field: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description='Field of the tars that is the map, such as "mask.png"; null if it is their only image.',
    )
    pairing: Literal["any", "label"] = Field(
        "any",
        description="Maps of captions that name none: any by seed, or one of the folder named as the label.",
    )
    palette: str | None = path_option(
        None,
        description="Colours of the classes of masks: the name of a shipped palette or a path; null: no masks.",
    )
    resample: Resample | None = Field(
        None, description="How a map gets the image's size; null: nearest for masks, bicubic for others."
    )

    @model_validator(mode="after")
    def _ordered(self) -> ControlNetOptions:
        if self.control_guidance_start >= self.control_guidance_end:
            raise ValueError(
                f"control starts at {self.control_guidance_start} of the steps, "
                f"not before it ends at {self.control_guidance_end}"
            )
        return self


class ControlNet(DiffusersGenerator):
    """A stock `StableDiffusionControlNetPipeline`: one control map a request, kept in the sample."""

    Options: ClassVar[type[DiffusersOptions]] = ControlNetOptions

    def __init__(self, options: ControlNetOptions) -> None:
        # The size is that of the maps, which `_arguments` brings.
        super().__init__(options.model_copy(update={"width": None, "height": None}))
        self._control = options
        self._prepared = lru_cache(maxsize=max(_KEPT_MAPS, options.batch_size))(self._prepare)

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """The map, at the size of the image."""
        return (CONTROL_FIELD,)

    @property
    def evaluation(self) -> None:
        """None: maps are no images of an evaluation."""
        return

    def sources(self, labels: Sequence[str]) -> list[Path]:
        """Return no real image, and check before the build that every label has the maps that it needs.

        Raises:
            UserError: A label has none.
        """
        if self._control.pairing == "label":
            self._maps.check_labels(labels)
        return []

    @cached_property
    def _controlnet(self) -> ModelFolder:
        from synrs_data.models.controlnet_folder import fetch_controlnet

        control = self._control
        return locate(control.controlnet, revision=control.controlnet_revision, fetch=fetch_controlnet)

    @cached_property
    def _maps(self) -> ControlMaps:
        control = self._control
        return ControlMaps(
            Path(control.maps).expanduser(), control.maps_field, by_label=control.pairing == "label"
        )

    @cached_property
    def _palette(self) -> Palette | None:
        return None if self._control.palette is None else load_palette(self._control.palette)

    @property
    def _resample(self) -> Resample:
        return self._control.resample or ("bicubic" if self._palette is None else "nearest")

    def digest(self) -> str:
        """Return a sha256 over the files of base and ControlNet, all maps, and the palette."""
        palette = "" if self._palette is None else self._palette.model_dump_json(include={"classes"})
        parts = (super().digest(), self._controlnet.sha256(), self._maps.digest(), palette)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def inputs(self, request: Request) -> Inputs:
        """Return the request's map; see `ConditionedGenerator.inputs`.

        A map is no part of the image, so it is not what the image is derived from.
        """
        item = self._maps.choose(request)
        _, content, digest = self._prepared(item)
        return Inputs(
            fields={CONTROL_FIELD: content}, parameters={"control": item.key, "control_sha256": digest}
        )

    def _prepare(self, item: ControlMap) -> tuple[PillowImage.Image, bytes, str]:
        """Return a map at the image's size, its PNG, and the sha256 of the bytes it was made from."""
        content = item.read()
        image = prepare_map(
            content, self._size, where=item.where, palette=self._palette, resample=self._resample
        )
        return image, png(image), hashlib.sha256(content).hexdigest()

    def _load_pipeline(self) -> Any:
        """Return the ControlNet pipeline of the base's components."""
        import torch
        from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionPipeline

        from synrs_data.models.controlnet_folder import check_base, load_controlnet

        base = super()._load_pipeline()
        if type(base) is not StableDiffusionPipeline:
            raise RecipeError(
                f"the base is a {type(base).__name__}, not a StableDiffusionPipeline",
                where="'generator.model'",
                fix="name the base that the ControlNet's card names",
            )
        controlnet = load_controlnet(self._controlnet, dtype=getattr(torch, self._options.dtype))
        if type(controlnet) is not ControlNetModel:
            raise WeightsError(
                "is a ControlNet of DiffusionSat, which takes images with their metadata, not maps",
                where=str(self._controlnet.path),
                fix="use the generator `diffusionsat-controlnet` for it, or choose a stock ControlNet",
            )
        check_base(controlnet, base.unet, self._controlnet.path)
        pipeline = StableDiffusionControlNetPipeline(
            **base.components,
            controlnet=controlnet,
            requires_safety_checker=base.config.requires_safety_checker,
        )
        self._size = image_size(pipeline, self._control.width, self._control.height)
        return pipeline

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        control = self._control
        return super()._arguments(requests) | {
            "image": [self._prepared(self._maps.choose(request))[0] for request in requests],
            "controlnet_conditioning_scale": control.controlnet_conditioning_scale,
            "control_guidance_start": control.control_guidance_start,
            "control_guidance_end": control.control_guidance_end,
        }

    def _identity(self) -> GeneratorIdentity:
        identity = super()._identity()
        control = self._control
        own = {
            "controlnet": self._controlnet.name,
            "controlnet_revision": self._controlnet.revision,
            "controlnet_sha256": self._controlnet.sha256(),
            "controlnet_license": self._controlnet.license,
            "controlnet_conditioning_scale": control.controlnet_conditioning_scale,
            "control_guidance_start": control.control_guidance_start,
            "control_guidance_end": control.control_guidance_end,
            "palette": "" if self._palette is None else self._palette.name,
            "resample": self._resample,
        }
        return replace(identity, parameters=identity.parameters | own)
