"""Inpainting for latents of any number of channels, as a callback of an image-to-image pipeline.

diffusers' inpainting pipelines are written for UNets of four or nine input channels. For four they put the noised
source back outside the mask after every step (Avrahami et al., Blended Latent Diffusion, 2023); so does this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image as PillowImage


class Blend:
    """Keeps the latents outside the masks those of the sources; a `callback_on_step_end`.

    Args:
        pipeline: The image-to-image pipeline, with a VAE.
        sources: RGB images.
        masks: Masks of their size, white where the pipeline paints.
        seeds: Seeds of the noise on the sources.
    """

    def __init__(
        self,
        pipeline: Any,
        sources: Sequence[PillowImage.Image],
        masks: Sequence[PillowImage.Image],
        seeds: Sequence[int],
    ) -> None:
        vae = pipeline.vae
        pixels = pipeline.image_processor.preprocess(list(sources)).to(vae.device, vae.dtype)
        with torch.inference_mode():
            latents = [vae.encode(each[None]).latent_dist.mode() for each in pixels]
        self._source = torch.cat(latents) * vae.config.scaling_factor
        shape = self._source.shape[1:]
        noise = [torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]
        self._noise = torch.stack(noise).to(self._source)
        self._inside = torch.stack([_to_latents(mask, shape) for mask in masks]).to(self._source)

    def __call__(
        self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the latents with the source, noised for the next step, outside the mask."""
        steps = pipeline.scheduler.timesteps
        later = steps[steps < timestep]
        outside = self._source
        if len(later):
            outside = pipeline.scheduler.add_noise(self._source, self._noise, later[:1])
        return {"latents": (1 - self._inside) * outside + self._inside * tensors["latents"]}


def _to_latents(mask: PillowImage.Image, shape: Sequence[int]) -> torch.Tensor:
    """Return a mask at the latents' size, (1, height, width) of 0 and 1: 1 where any of its pixels is white."""
    import numpy as np

    pixels = torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)[None]
    return torch.nn.functional.adaptive_max_pool2d(pixels, (int(shape[-2]), int(shape[-1])))
