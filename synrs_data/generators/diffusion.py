"""The generator `diffusers`: any text-to-image pipeline that diffusers loads."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators.base import Image
from synrs_data.generators.conditioning import conditioning_of, native_size
from synrs_data.models.lora import Lora, find_lora
from synrs_data.models.memory import memory_errors
from synrs_data.models.source import ModelFolder, fetch_files, locate
from synrs_data.recipe import path_option
from synrs_data.sample import GeneratorIdentity, Request

_log = logging.getLogger(__name__)


class DiffusersOptions(BaseModel):
    """Options of the generator `diffusers`; null means the pipeline's own default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = path_option(description="Embedded model, folder of a pipeline, or Hub id.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id; pin a commit.")
    variant: str | None = Field(None, description='File variant of the weights, such as "fp16".')
    lora: str | None = path_option(
        None, description="LoRA that is merged into the weights: safetensors file, its folder, or Hub id."
    )
    lora_scale: float = Field(1.0, description="Strength of the LoRA; 0 switches it off.")
    scheduler: str | None = Field(None, description="Class of the scheduler, such as DDIMScheduler.")
    steps: int | None = Field(None, ge=1, description="Number of inference steps.")
    guidance_scale: float | None = Field(None, ge=0, description="Strength of guidance; 1 switches it off.")
    true_cfg_scale: float | None = Field(
        None,
        ge=0,
        description="Strength of classifier-free guidance in pipelines that call it so (Qwen-Image, Flux).",
    )
    width: int | None = Field(None, ge=8, multiple_of=8, description="Pixels.")
    height: int | None = Field(None, ge=8, multiple_of=8, description="Pixels.")
    negative_prompt: str = Field("", description="What to avoid.")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Type of weights and activations."
    )
    batch_size: int = Field(8, ge=1, description="Images made together; other batches are other noise.")
    channels_last: bool = Field(False, description="Memory format NHWC of the UNet and VAE.")
    compile: bool = Field(False, description="torch.compile the denoiser: slow first batch, faster after.")

    @model_validator(mode="after")
    def _scale_of_a_lora(self) -> DiffusersOptions:
        if self.lora is None and self.lora_scale != 1:
            raise ValueError("`lora_scale` needs `lora`")
        return self


class DiffusersGenerator:
    """Runs a stock diffusers pipeline in batches, one seeded generator an image.

    Noise is drawn on the CPU, so that the seed means the same image on every device, up to rounding.
    """

    Options: ClassVar[type[DiffusersOptions]] = DiffusersOptions

    def __init__(self, options: DiffusersOptions) -> None:
        self._options = options

    @property
    def batch_size(self) -> int:
        """Images made together."""
        return self._options.batch_size

    @cached_property
    def _model(self) -> ModelFolder:
        return locate(self._options.model, revision=self._options.revision, fetch=self._fetch)

    def _fetch(self, name: str, revision: str | None) -> str:
        """Download the components of a pipeline, in one variant, and its card."""
        from diffusers import DiffusionPipeline
        from huggingface_hub import snapshot_download

        from synrs_data.models.diffusers_folder import quiet_libraries

        quiet_libraries()
        try:
            DiffusionPipeline.download(name, revision=revision, variant=self._options.variant)
        except ValueError:
            # A model_index.json that names code of its authors: the weights are wanted all the same, the code is not.
            return fetch_files(["*.safetensors", "*.bin"])(name, revision)
        return snapshot_download(name, revision=revision, allow_patterns=["README.md"])

    @cached_property
    def _lora(self) -> Lora | None:
        return None if self._options.lora is None else find_lora(self._options.lora)

    def digest(self) -> str:
        """Return the sha256 over the pipeline's files, and over that and the LoRA if there is one."""
        if self._lora is None:
            return self._model.sha256()
        parts = (self._model.sha256(), self._lora.sha256(), repr(self._options.lora_scale))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def load(self, device: str) -> GeneratorIdentity:
        """Load the pipeline; see `Generator.load`."""
        import torch

        options = self._options
        pipeline = self._load_pipeline()
        if self._lora is not None:
            from synrs_data.models.lora_merge import merge_lora

            merge_lora(pipeline, self._lora, options.lora_scale)
        if options.scheduler is not None:
            pipeline.scheduler = _scheduler(options.scheduler, pipeline.scheduler)
        self._conditioning = conditioning_of(pipeline)
        self._call = _call_options(pipeline, options)
        if "image" not in inspect.signature(type(pipeline).__call__).parameters:
            # A pipeline that takes an image has its size from there.
            self._call |= native_size(self._conditioning, options.width, options.height)
        self._check_channels(pipeline)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.to(device)
        denoiser = next(name for name in ("unet", "transformer") if getattr(pipeline, name, None) is not None)
        if options.channels_last:
            for name in (denoiser, "vae"):
                if getattr(pipeline, name, None) is not None:
                    getattr(pipeline, name).to(memory_format=torch.channels_last)
        if options.compile:
            setattr(pipeline, denoiser, torch.compile(getattr(pipeline, denoiser)))
        self._pipeline = pipeline
        self._told = False
        return self._identity()

    def _load_pipeline(self) -> Any:
        """Return the pipeline that makes the images, on the CPU."""
        import torch

        from synrs_data.models.diffusers_folder import load_pipeline

        options = self._options
        return load_pipeline(self._model, dtype=getattr(torch, options.dtype), variant=options.variant)

    def _check_channels(self, pipeline: Any) -> None:
        """Raise if the denoiser needs an input that nothing gives it."""
        _check_channels(pipeline, self._model.path)

    def _prompts(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Return the argument of a call that takes the prompts."""
        return {"prompt": [request.prompt for request in requests]}

    def _arguments(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Return what a call gets beside prompts and generators."""
        call = dict(self._call)
        if "negative_prompt" in call:
            call["negative_prompt"] = [self._options.negative_prompt] * len(requests)
        return call

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one image a request; see `Generator.generate`."""
        import torch

        self._tell_of_cuts([request.prompt for request in requests])
        call = self._prompts(requests) | self._arguments(requests)
        records = [request.geo for request in requests]
        unet = getattr(self._pipeline, "unet", None)
        with memory_errors(), torch.inference_mode(), self._conditioning.applied(unet, records):
            output = self._pipeline(
                generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
                output_type="pil",
                **call,
            )
        return [np.asarray(image.convert("RGB")) for image in output.images]

    def _tell_of_cuts(self, prompts: list[str]) -> None:
        """Log once if a caption is longer than the text encoder reads: its end has no effect on the image."""
        tokenizer = getattr(self._pipeline, "tokenizer", None)
        if self._told or tokenizer is None or getattr(self._pipeline, "tokenizer_2", None) is not None:
            return
        most = tokenizer.model_max_length
        for prompt in prompts:
            if (count := len(tokenizer(prompt).input_ids)) > most:
                self._told = True
                _log.warning("the text encoder reads %d tokens; cut from %d: %r", most, count, prompt)
                return

    def _identity(self) -> GeneratorIdentity:
        parameters = inspect.signature(type(self._pipeline).__call__).parameters
        options = self._options

        def effective(name: str) -> Any:
            value = self._call.get(name)
            default = parameters[name].default if name in parameters else None
            return default if value is None else value

        guidance = (
            effective("true_cfg_scale") if "true_cfg_scale" in self._call else effective("guidance_scale")
        )
        return GeneratorIdentity(
            model=self._model.name,
            revision=self._model.revision,
            sha256=self._model.sha256(),
            family=type(self._pipeline).__name__,
            scheduler=type(self._pipeline.scheduler).__name__,
            steps=int(effective("num_inference_steps") or 0),
            guidance_scale=float(guidance or 0.0),
            negative_prompt=options.negative_prompt,
            license=self._model.license,
            parameters={
                "dtype": options.dtype,
                "batch_size": options.batch_size,
                "compile": options.compile,
                "model_family": self._conditioning.family,
                "conditioning": list(self._conditioning.fields),
                **({} if self._lora is None else self._lora.parameters(options.lora_scale)),
            },
        )


def _scheduler(name: str, current: Any) -> Any:
    """Return the named scheduler with the current one's configuration.

    Raises:
        RecipeError: diffusers has no such scheduler.
    """
    import diffusers

    from synrs_data.resources import suggestion

    known = [
        item
        for item in dir(diffusers)
        if item.endswith("Scheduler") and not item.startswith(("Flax", "Karras"))
    ]
    if name not in known:
        raise RecipeError(
            f"'generator.scheduler': '{name}' is unknown", fix=suggestion(name, known, what="scheduler")
        )
    return getattr(diffusers, name).from_config(current.config)


def _check_channels(pipeline: Any, path: Path) -> None:
    """Raise if the UNet takes more than noisy latents and nothing in this pipeline gives it the rest.

    diffusers makes a text-to-image pipeline of an inpainting model's parts, which fails at its first step.
    """
    config = getattr(getattr(pipeline, "unet", None), "config", {})
    latents = getattr(getattr(pipeline, "vae", None), "config", {}).get("latent_channels")
    channels = config.get("in_channels")
    takes_mask = "mask_image" in inspect.signature(type(pipeline).__call__).parameters
    if latents is None or channels in (None, latents) or takes_mask:
        return
    kind = "an inpainting model" if channels == 2 * latents + 1 else "made for another pipeline"
    raise WeightsError(
        f"is {kind}: its UNet takes {channels} channels, the VAE gives {latents}",
        where=str(path),
        fix="choose a text-to-image model, or the generator `inpaint` for an inpainting model",
    )


def _call_options(pipeline: Any, options: DiffusersOptions) -> dict[str, Any]:
    """Return the arguments of every call, each one checked to exist in this pipeline.

    Raises:
        RecipeError: The pipeline has no such knob, or ignores it.
    """
    parameters = inspect.signature(type(pipeline).__call__).parameters
    wanted = {
        "num_inference_steps": options.steps,
        "guidance_scale": options.guidance_scale,
        "true_cfg_scale": options.true_cfg_scale,
        "width": options.width,
        "height": options.height,
    }
    call: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    name = type(pipeline).__name__
    for knob in call:
        if knob not in parameters:
            raise RecipeError(f"{name} has no '{knob}'", where="generator", fix="take it out of the recipe")
    ignored = "true_cfg_scale" in parameters and parameters["guidance_scale"].default is None
    if "guidance_scale" in call and ignored and not pipeline.transformer.config.get("guidance_embeds", False):
        raise RecipeError(
            f"{name} ignores 'guidance_scale'",
            where="generator",
            fix="its guidance is called 'true_cfg_scale'",
        )
    if "negative_prompt" in parameters:
        call["negative_prompt"] = options.negative_prompt
    elif options.negative_prompt:
        raise RecipeError(f"{name} has no 'negative_prompt'", where="generator", fix="leave it empty")
    if not any(getattr(pipeline, part, None) is not None for part in ("unet", "transformer")):
        raise WeightsError(
            f"{name} has no denoiser that is known", where="generator", fix="choose another pipeline"
        )
    return call
