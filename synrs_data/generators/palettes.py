"""Palettes: which colour a class of a segmentation mask has in the map that a ControlNet was trained on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synrs_data.errors import UserError
from synrs_data.resources import find, named_files
from synrs_data.vocabulary import load_yaml

Channel = Annotated[int, Field(ge=0, le=255)]
_INDICES = 65536


class PaletteClass(BaseModel):
    """One class of a palette.

    Attributes:
        name: The class.
        rgb: Its colour, red, green and blue, 0 to 255.
        index: Its value in a mask of indices; null for its position in the list, from 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    rgb: tuple[Channel, Channel, Channel]
    index: int | None = Field(None, ge=0, lt=_INDICES)


class Palette(BaseModel):
    """The classes of a palette, each with an index, a name and a colour of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    classes: tuple[PaletteClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Palette:
        for what, values in (
            ("name", [item.name for item in self.classes]),
            ("colour", [str(item.rgb) for item in self.classes]),
            ("index", [str(index) for index in self.indices]),
        ):
            repeated = sorted({value for value in values if values.count(value) > 1})
            if repeated:
                raise ValueError(f"two classes have the {what} {', '.join(repeated)}")
        return self

    @property
    def indices(self) -> tuple[int, ...]:
        """The index of each class."""
        return tuple(
            position if item.index is None else item.index for position, item in enumerate(self.classes)
        )

    @cached_property
    def _table(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Colour by index, and which indices there are."""
        colours = np.zeros((_INDICES, 3), dtype=np.uint8)
        known = np.zeros(_INDICES, dtype=np.bool_)
        for index, item in zip(self.indices, self.classes, strict=True):
            colours[index], known[index] = item.rgb, True
        return colours, known

    @cached_property
    def _packed(self) -> NDArray[np.uint32]:
        return _pack(np.array([item.rgb for item in self.classes], dtype=np.uint8))

    def paint(self, mask: NDArray[np.integer], *, where: str) -> NDArray[np.uint8]:
        """Return the colours of a mask of indices.

        Args:
            mask: Indices, (height, width).
            where: The mask's file, for messages.

        Returns:
            RGB, (height, width, 3).

        Raises:
            UserError: An index is of no class.
        """
        colours, known = self._table
        inside = (mask >= 0) & (mask < _INDICES)
        strange = ~inside | ~known[np.where(inside, mask, 0)]
        if strange.any():
            row, column = np.argwhere(strange)[0]
            raise self._unknown(f"index {int(mask[row, column])}", row, column, where)
        painted: NDArray[np.uint8] = colours[mask]
        return painted

    def check(self, image: NDArray[np.uint8], *, where: str) -> None:
        """Raise if an RGB mask, (height, width, 3), has a colour that no class has.

        Raises:
            UserError: It names the file, the colour and its first pixel.
        """
        strange = ~np.isin(_pack(image), self._packed)
        if strange.any():
            row, column = np.argwhere(strange)[0]
            raise self._unknown(f"colour {image[row, column].tolist()}", row, column, where)

    def _unknown(self, value: str, row: int, column: int, where: str) -> UserError:
        return UserError(
            f"has the {value} at row {row}, column {column}, which no class of the palette '{self.name}' has",
            where=where,
            fix="correct the mask (JPEG smears colours: save masks as PNG), or add the class to the palette",
        )


def load_palette(name: str) -> Palette:
    """Load a palette by shipped name or path.

    Raises:
        RecipeError: There is none, or it is no palette.
    """
    return load_yaml(palette_path(name), Palette)


def palette_path(name: str) -> Path:
    """Return the file of a palette, by shipped name or path."""
    return find(name, named_files("builders/vocab/palettes"), what="palette")


def _pack(image: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return one number a pixel."""
    wide = image.astype(np.uint32)
    weighted = wide * np.array([65536, 256, 1], dtype=np.uint32)
    return np.asarray(weighted.sum(axis=-1, dtype=np.uint32))
