"""Captions from the name of the class alone: strategy B of He et al. (ICLR 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synrs_data.captions.geo_ranges import GeoRanges, with_geo
from synrs_data.recipe import path_option
from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet, load_template_set, template_set_path


class ClassTemplateOptions(BaseModel):
    """Options of `class-template`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    templates: str = path_option("rs-basic", description="Template set, by shipped name or path.")
    geo: GeoRanges | None = Field(None, description="Geo-metadata of every caption: value or [low, high].")


class ClassTemplate:
    """Fills every template of a set with every label.

    The book holds `len(labels) * len(templates)` captions: template 0 of every label, then template 1, ...
    """

    Options: ClassVar[type[BaseModel]] = ClassTemplateOptions

    def __init__(self, options: ClassTemplateOptions) -> None:
        self._options = options

    def inputs(self) -> list[Path]:
        """Return the file of the template set.

        Raises:
            RecipeError: There is no such template set.
        """
        return [template_set_path(self._options.templates)]

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book; the seed decides nothing but what is drawn for `geo`.

        Raises:
            RecipeError: The template set is missing or broken.
        """
        templates = load_template_set(self._options.templates)
        filled = [templates.fill(label) for label in labels.labels]
        book = [
            Caption(text=texts[i], label=index, source=f"{templates.name}@{templates.digest}#{i}")
            for i in range(len(templates.templates))
            for index, texts in enumerate(filled)
        ]
        return with_geo(book, self._options.geo, seed=seed)
