"""Give a UNet the geo-metadata of its batch, call by call, where its family was trained with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators.metadata import DIFFUSIONSAT_FIELDS, diffusionsat_numbers, text2earth_level
from synrs_data.geo import GeoRecord

TEXT2EARTH_SIZE = 256
"""Side of Text2Earth's training images; its configuration still has the 512 of its base."""

_NEEDS_LABELS = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """How a family takes geo-metadata.

    Attributes:
        family: Name of the family.
        argument: Argument of the UNet's forward that takes them, empty for none.
        fields: What is taken, in the order of the numbers.
        numbers: From a record to the argument's value for one image.
        default_size: Width and height where the recipe gives none; 0 for what the pipeline says; None if the recipe
            must say it.
        soft_masks: Whether it was trained to inpaint with masks of grey values, which a stock pipeline makes black and
            white.
    """

    family: str
    argument: str
    fields: tuple[str, ...]
    numbers: Callable[[GeoRecord], tuple[float, ...] | int]
    default_size: int | None
    soft_masks: bool = False

    @contextmanager
    def applied(self, unet: Any, records: Sequence[GeoRecord], images_per_prompt: int = 1) -> Iterator[None]:
        """Condition every call of a UNet within the `with`; afterwards nothing of it is left, also if it raises.

        Args:
            unet: The module that the pipeline calls.
            records: One a prompt.
            images_per_prompt: Images made of each prompt, in a row.

        Raises:
            CaptionError: A value is outside what the family knows.
        """
        if not self.argument:
            yield
            return
        import torch

        # Of float32, whatever the weights are: half precision would round a longitude to 0.18 degrees.
        values = torch.tensor([self.numbers(record) for record in records], dtype=torch.float32)
        values = values.repeat_interleave(images_per_prompt, dim=0)

        def add(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            sample = args[0] if args else kwargs["sample"]
            rows = rows_of_batch(values, len(sample)).to(sample.device)
            return args, kwargs | {self.argument: rows}

        handle = unet.register_forward_pre_hook(add, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


def rows_of_batch(values: Any, batch: int) -> Any:
    """Return the values of every row that the UNet sees in one call.

    With classifier-free guidance the batch is doubled, the unconditional half first. That half gets zeros, as in
    training and sampling of DiffusionSat (train_text_to_image.py, pipeline.py) and Text2Earth; guidance of at most 1
    doubles nothing.

    Args:
        values: One row an image, a tensor.
        batch: Rows of the call.

    Raises:
        ValueError: The batch is neither that of the images nor twice that.
    """
    import torch

    if batch == len(values):
        return values
    if batch == 2 * len(values):
        return torch.cat([torch.zeros_like(values), values])
    raise ValueError(f"the UNet sees {batch} rows for {len(values)} images")


STOCK = Conditioning("stock", "", (), lambda geo: (), 0)
DIFFUSIONSAT = Conditioning("diffusionsat", "metadata", DIFFUSIONSAT_FIELDS, diffusionsat_numbers, None)
TEXT2EARTH = Conditioning("text2earth", "class_labels", ("level",), text2earth_level, TEXT2EARTH_SIZE, True)


def conditioning_of(pipeline: Any) -> Conditioning:
    """Return how a loaded pipeline takes geo-metadata, by the class and configuration of its UNet.

    Raises:
        WeightsError: Its UNet needs something that no geo-record has.
    """
    unet = getattr(pipeline, "unet", None)
    config = getattr(unet, "config", {})
    count = config.get("num_metadata", 0) if config.get("use_metadata") else 0
    if count:
        if count != len(DIFFUSIONSAT_FIELDS):
            raise WeightsError(
                f"its UNet takes {count} numbers of metadata; only DiffusionSat's {len(DIFFUSIONSAT_FIELDS)} are known",
                where="generator",
                fix="choose a checkpoint with num_metadata 7 in unet/config.json",
            )
        return DIFFUSIONSAT
    if config.get("class_embed_type") == "timestep":
        return TEXT2EARTH
    if type(pipeline).__name__ in _NEEDS_LABELS and getattr(unet, "class_embedding", None) is not None:
        raise WeightsError(
            "its UNet needs class labels whose meaning its configuration does not tell",
            where="generator",
            fix="choose a model that is conditioned on text, DiffusionSat's metadata or Text2Earth's level",
        )
    return STOCK


def native_size(conditioning: Conditioning, width: int | None, height: int | None) -> dict[str, int]:
    """Return the width and height that a family is called with, where the recipe or the family says so.

    The rule: the recipe's values; else Text2Earth's 256; DiffusionSat's must be in the recipe, because its
    configurations keep the sample size of their base, whichever size they were trained with; else none, which leaves
    it to the pipeline.

    Raises:
        RecipeError: The recipe must say it and does not.
    """
    given = {"width": width, "height": height}
    default = conditioning.default_size
    if default is None and None in given.values():
        raise RecipeError(
            "DiffusionSat's checkpoints do not say which size they were trained with",
            where="generator",
            fix="set `width` and `height` to that of the checkpoint, 512 or 256",
        )
    sides = {name: value or default for name, value in given.items()}
    return {name: value for name, value in sides.items() if value}


def image_size(pipeline: Any, width: int | None, height: int | None) -> tuple[int, int]:
    """Return the width and height of images, for generators that bring an image of that size to the pipeline.

    The rule of `native_size`; what that leaves open is the size that the pipeline's configuration names.

    Raises:
        RecipeError: Nothing says it.
    """
    sides = native_size(conditioning_of(pipeline), width, height)
    if len(sides) == 2:
        return sides["width"], sides["height"]
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
    rows, columns = (sample, sample) if isinstance(sample, int) else sample
    scale = pipeline.vae_scale_factor
    return width or columns * scale, height or rows * scale
