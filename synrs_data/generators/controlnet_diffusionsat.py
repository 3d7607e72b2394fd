"""The generator `diffusionsat-controlnet`: scenes from real images of another resolution, other bands or dates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image as PillowImage
from pydantic import Field

from synrs_data.errors import RecipeError, UserError, WeightsError
from synrs_data.generators.base import Image
from synrs_data.generators.conditioning import DIFFUSIONSAT, image_size, rows_of_batch
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.generators.image_stacks import BANDS, ImageStacks, read_image
from synrs_data.generators.metadata import diffusionsat_numbers
from synrs_data.models.source import ModelFolder, locate
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request


class DiffusionSatControlNetOptions(DiffusersOptions):
    """Options of the generator `diffusionsat-controlnet`: those of `diffusers` for the base, and the images."""

    controlnet: str = path_option(description="Folder of a ControlNet of DiffusionSat, or Hub id.")
    controlnet_revision: str | None = Field(
        None, description="Branch, tag or commit of the ControlNet's Hub id; pin a commit."
    )
    controlnet_conditioning_scale: float = Field(1.0, ge=0, description="Strength of control.")
    images: str = path_option(
        description="Real images to start from: files, or for several dates a folder of files for each key."
    )
    evaluation: str | None = path_option(
        None, description="Real images of an evaluation (folder or tars), none of which may be a source."
    )


class DiffusionSatControlNet(DiffusersGenerator):
    """DiffusionSat with a ControlNet of its own (Khanna et al., ICLR 2024, section 3.3).

    The caption's geo-metadata are the target's; those of an image are in the JSON file beside it.
    """

    Options: ClassVar[type[DiffusersOptions]] = DiffusionSatControlNetOptions

    def __init__(self, options: DiffusionSatControlNetOptions) -> None:
        # The size is that of the image that `_arguments` brings.
        super().__init__(options.model_copy(update={"width": None, "height": None}))
        self._control = options

    @property
    def extra_fields(self) -> tuple[str, ...]:
        """None: bands and stacks of dates are no image files."""
        return ()

    @property
    def evaluation(self) -> str | None:
        """Real images none of which may be a source."""
        return self._control.evaluation

    def sources(self, labels: Sequence[str]) -> list[Path]:
        """Return every image, whatever the labels; see `SourcedGenerator.sources`."""
        paths = [path for stack in self._images.stacks.values() for path in stack.paths]
        arrays = [path for path in paths if path.suffix.lower() == BANDS]
        if arrays and self.evaluation is not None:
            raise UserError(
                "is an array of bands, which cannot be compared with the images of `evaluation`",
                where=str(arrays[0]),
                fix="compare the places yourself, and leave `evaluation` out",
            )
        return paths

    @cached_property
    def _controlnet(self) -> ModelFolder:
        from synrs_data.models.controlnet_folder import fetch_controlnet

        control = self._control
        return locate(control.controlnet, revision=control.controlnet_revision, fetch=fetch_controlnet)

    @cached_property
    def _images(self) -> ImageStacks:
        from synrs_data.models.controlnet_folder import reads_dates

        return ImageStacks(Path(self._control.images).expanduser(), dates=reads_dates(self._controlnet))

    def digest(self) -> str:
        """Return a sha256 over the files of base and ControlNet, and all images with their metadata."""
        parts = (super().digest(), self._controlnet.sha256(), self._images.digest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def inputs(self, request: Request) -> Inputs:
        """Return which images the request starts from; see `ConditionedGenerator.inputs`."""
        stack = self._images.choose(request)
        return Inputs(derived_from=stack.sha256(), parameters={"source": stack.key})

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request; see `Generator.generate`."""
        net = self._pipeline.controlnet
        records = [request.geo for request in requests]
        target = DIFFUSIONSAT if net.config.use_metadata else replace(DIFFUSIONSAT, argument="")
        with target.applied(net, records), self._shown(net, requests):
            return super().generate(requests)

    @contextmanager
    def _shown(self, net: Any, requests: Sequence[Request]) -> Iterator[None]:
        """Show the images of the requests, with their metadata, to every call of the ControlNet in the `with`."""
        import torch

        stacks = [self._images.choose(request) for request in requests]
        shown = self._tensor([[self._read(path) for path in stack.paths] for stack in stacks], net)
        numbers = [[diffusionsat_numbers(geo) for geo in stack.geo()] for stack in stacks]
        # (batch, 7, images), as the ControlNet sums or pairs them.
        metadata = torch.tensor(numbers, dtype=torch.float32).transpose(1, 2)

        def add(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            rows = len(args[0])
            # Guidance doubles the batch: both halves see the images, the unconditional one without metadata.
            added = {"controlnet_cond": shown.repeat(rows // len(shown), *[1] * (shown.ndim - 1))}
            if net.config.use_metadata:
                added["cond_metadata"] = rows_of_batch(metadata, rows).to(shown.device)
            return args, kwargs | added

        handle = net.register_forward_pre_hook(add, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _read(self, path: Path) -> Any:
        import torch

        return torch.from_numpy(read_image(path, *self._shown_size, self._channels).copy())

    def _tensor(self, images: list[list[Any]], net: Any) -> Any:
        """Return (batch, channels, height, width), with dates (batch, channels, dates, height, width)."""
        import torch

        stacked = torch.stack([torch.stack(dates, dim=1) for dates in images])
        flat = stacked if self._dates else stacked[:, :, 0]
        return flat.to(net.device, net.dtype)

    def _load_pipeline(self) -> Any:
        """Return the stock ControlNet pipeline of the base's components and DiffusionSat's ControlNet."""
        import torch
        from diffusers import StableDiffusionControlNetPipeline, StableDiffusionPipeline

        from synrs_data.models.controlnet_folder import check_base, load_controlnet
        from synrs_data.models.controlnet_sat import SatControlNet, SatControlNet3D

        control = self._control
        base = super()._load_pipeline()
        if type(base) is not StableDiffusionPipeline:
            raise RecipeError(
                f"the base is a {type(base).__name__}, not a StableDiffusionPipeline",
                where="'generator.model'",
                fix="name a pipeline of DiffusionSat",
            )
        self._size = width, height = image_size(base, control.width, control.height)
        net = load_controlnet(self._controlnet, dtype=getattr(torch, self._options.dtype))
        if not isinstance(net, SatControlNet):
            raise WeightsError(
                "is a stock ControlNet, not one of DiffusionSat",
                where=str(self._controlnet.path),
                fix="use the generator `controlnet` for it",
            )
        check_base(net, base.unet, self._controlnet.path)
        self._dates = isinstance(net, SatControlNet3D)
        self._channels = net.config.conditioning_in_channels
        scale = 1 if self._dates else net.config.conditioning_scale
        self._shown_size = int(width // scale), int(height // scale)
        return StableDiffusionControlNetPipeline(
            **base.components,
            controlnet=net,
            requires_safety_checker=base.config.requires_safety_checker,
        )

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        # The stock pipeline takes the size of the result from its image; `_shown` shows the real ones.
        blank = PillowImage.new("RGB", self._size)
        return super()._arguments(requests) | {
            "image": [blank] * len(requests),
            "controlnet_conditioning_scale": self._control.controlnet_conditioning_scale,
        }

    def _identity(self) -> GeneratorIdentity:
        identity = super()._identity()
        own = {
            "controlnet": self._controlnet.name,
            "controlnet_revision": self._controlnet.revision,
            "controlnet_sha256": self._controlnet.sha256(),
            "controlnet_license": self._controlnet.license,
            "controlnet_conditioning_scale": self._control.controlnet_conditioning_scale,
        }
        return replace(identity, parameters=identity.parameters | own)
