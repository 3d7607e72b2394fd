"""Baselines of super-resolution: what makes images larger, what it says of itself, and their names."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from synrs_data.errors import MethodError, RecipeError, UserError
from synrs_data.resources import suggestion
from synrs_data.vocabulary import explain

Image = NDArray[np.uint8]
"""RGB, (height, width, 3), 0 to 255."""

_HERE = "synrs_data.evaluate.super_resolution"

UPSCALERS = {
    "bicubic": f"{_HERE}.interpolation:Bicubic",
    "lanczos": f"{_HERE}.interpolation:Lanczos",
    "spandrel": f"{_HERE}.pretrained:Spandrel",
    "residual": f"{_HERE}.pretrained:Residual",
    "diffusers-upscale": f"{_HERE}.diffusers:Diffusers",
    "external-command": f"{_HERE}.command:ExternalCommand",
}
"""Name -> `module:class`, imported when it is used."""


class UpscalerRecord(BaseModel):
    """What a baseline says of itself in a result.

    Attributes:
        name: Distinguishes it from the other baselines of a run.
        method: Name in `UPSCALERS`.
        model: Model, file or command, as the user named it; empty for interpolation.
        weights_sha256: Digest of the file or folder of weights; None where there are none, or nobody named them.
        preprocessing: How images are prepared and cut, and what else decides the output.
        trained_on: Data sets as declared, None if nobody declared them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    method: str
    model: str
    weights_sha256: str | None
    preprocessing: dict[str, Any]
    trained_on: tuple[str, ...] | None


class Upscaler(Protocol):
    """A class of `UPSCALERS`: made from its options, it makes images larger.

    Attributes:
        Options: Pydantic model of its options.
        name: What its results are called.
    """

    Options: type[BaseModel]
    name: str

    def __init__(self, options: Any, device: str) -> None: ...

    def record(self) -> UpscalerRecord:
        """Return what it says of itself.

        Raises:
            UserError: Its model is missing or damaged.
        """
        ...

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Yield each image made larger, (height * scale, width * scale, 3), in order.

        Args:
            images: All of a benchmark, so that a program that is slow to start starts once.
            scale: What shall become of one pixel along a side.

        Raises:
            UserError: It has another scale, its model is missing or damaged, or it fails.
        """
        ...


def make_upscaler(name: str, options: Mapping[str, Any], device: str = "cpu") -> Upscaler:
    """Return a baseline by its name.

    Args:
        name: A key of `UPSCALERS`.
        options: Values by option, as YAML or the command line gives them.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        RecipeError: There is no such baseline or option.
        UserError: It cannot be used here.
    """
    if name not in UPSCALERS:
        raise RecipeError(
            f"unknown baseline '{name}' of super-resolution",
            fix=suggestion(name, list(UPSCALERS), what="baseline"),
        )
    cls = upscaler_class(name)
    try:
        checked = cls.Options.model_validate(dict(options))
    except ValidationError as error:
        raise RecipeError(
            f"the baseline '{name}': {explain(error, cls.Options)}", fix="correct its options"
        ) from error
    made: Upscaler = cls(checked, device)
    return made


def upscaler_class(name: str) -> Any:
    """Return the class of a name in `UPSCALERS`."""
    module, _, attribute = UPSCALERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def checked_outputs(
    name: str, images: Sequence[Image], outputs: Iterator[Image], scale: int
) -> Iterator[Image]:
    """Yield outputs after checking that there is one an image, 8-bit RGB of the right size.

    Raises:
        MethodError: One is missing, too many or of another shape.
    """
    count = 0
    for count, output in enumerate(outputs, start=1):
        if count > len(images):
            raise MethodError("baselines", name, f"gave more than {len(images)} images")
        height, width = images[count - 1].shape[:2]
        wanted = (height * scale, width * scale, 3)
        if output.dtype != np.uint8 or output.shape != wanted:
            raise MethodError(
                "baselines",
                name,
                f"gave an image of the shape {output.shape} and type {output.dtype}, not {wanted} and uint8",
            )
        yield output
    if count < len(images):
        raise MethodError("baselines", name, f"gave {count} of {len(images)} images")


def check_scale(found: int, wanted: int, model: str) -> None:
    """Raise a UserError if a model is of another scale than the benchmark."""
    if found != wanted:
        raise UserError(
            f"makes images {found} times as large, and the benchmark's scale is {wanted}",
            where=model,
            fix=f"choose a model of scale {wanted}, or another benchmark",
        )


@contextlib.contextmanager
def as_baseline(name: str) -> Iterator[None]:
    """Name the baseline in messages that name the generator of a recipe: loading code is shared with generators."""
    try:
        yield
    except UserError as error:
        if error.where.startswith("generator"):
            error.where = f"the baseline '{name}'"
        raise
