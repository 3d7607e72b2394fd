"""Captions with geo-metadata in the form that DiffusionSat was trained with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synrs_data.captions.diffusionsat_texts import Dataset, Wording, sentence
from synrs_data.captions.geo_ranges import GeoRanges
from synrs_data.captions.places import Place, load_places, places_path
from synrs_data.errors import CaptionError
from synrs_data.geo import GeoRecord
from synrs_data.recipe import path_option
from synrs_data.sample import Caption
from synrs_data.vocabulary import Label, LabelSet

_ANY_DAY: dict[str, Any] = {"month": [1, 12], "day": [1, 31]}

DEFAULTS: dict[Dataset, dict[str, Any]] = {
    "fmow": {
        "drop": 0.1,
        "places": "countries",
        "geo": {"gsd_m": [0.3, 1.0], "cloud": [0.0, 0.1], "year": [2002, 2017], **_ANY_DAY},
    },
    "spacenet": {
        "drop": 0.1,
        "places": "spacenet-cities",
        "geo": {"gsd_m": [0.3, 0.5], "cloud": 0.0},
        "count": [1, 150],
        "building_area_m2": [50.0, 300.0],
        "road_length_m": [100.0, 3000.0],
    },
    "satlas": {"drop": 0.5, "places": None, "geo": {"gsd_m": 1.0, "cloud": 0.0}, "count": [1, 20]},
    "texas": {
        "drop": 0.5,
        "places": None,
        "geo": {"gsd_m": 1.0, "cloud": 0.0, "year": [2016, 2018], **_ANY_DAY},
        "built": [1950, 2016],
        "acres": [0.1, 1.0],
    },
    "xbd": {
        "drop": 0.1,
        "places": None,
        "geo": {"gsd_m": [0.5, 1.0], "cloud": 0.0, "year": [2011, 2019], **_ANY_DAY},
        "moments": ["before", "after"],
    },
}
"""What an option is where a recipe leaves it out, by data set.

As published (github.com/samar-khanna/DiffusionSat, diffusionsat/data_util.py): `drop`, the cloud cover of all but
fMoW, the 1 m of Satlas and Texas and the years of Texas. The other ranges are ours: the GSDs are those of the
sensors, kept below the 1.0 m by which DiffusionSat scales them; no statistics of the training captions are published.
"""

_OF_ONE = ("count", "building_area_m2", "road_length_m", "built", "acres", "moments")


class DiffusionSatOptions(BaseModel):
    """Options of `diffusionsat`; what is left out is the data set's own, see `DEFAULTS`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dataset: Dataset = Field("fmow", description="Whose captions: fmow, spacenet, satlas, texas or xbd.")
    captions_per_label: int = Field(
        200, ge=1, le=100_000, description="Captions of each label; they differ in words or geo-metadata."
    )
    drop: float | None = Field(
        None, ge=0, lt=1, description="Probability of leaving out a part; 0.1 or 0.5 by data set."
    )
    keep_label: bool = Field(True, description="Never leave out the label; false is as in training.")
    words: Literal["name", "phrase"] = Field(
        "name", description="Label by its name, as in training, or by its phrase with its article."
    )
    places: str | None = path_option(
        None, description="Countries or cities, by shipped name or path; null for none."
    )
    only: tuple[str, ...] = Field((), description="Names or codes of the places to use; empty for all.")
    place_radius: float = Field(
        0.1, ge=0, le=10, description="Degrees by which a position may lie off the points of its place."
    )
    geo: GeoRanges | None = Field(
        None, description="Geo-metadata that the place does not give: value, [low, high] or null."
    )
    count: tuple[int, int] | None = Field(None, description="Buildings (SpaceNet) or objects (Satlas).")
    building_area_m2: tuple[float, float] | None = Field(None, description="Area of a building (SpaceNet).")
    road_length_m: tuple[float, float] | None = Field(None, description="Length of the roads (SpaceNet).")
    built: tuple[int, int] | None = Field(None, description="Year of building (Texas).")
    acres: tuple[float, float] | None = Field(None, description="Size of a plot (Texas).")
    moments: tuple[Literal["before", "after"], ...] | None = Field(
        None, description="Before or after the disaster (xBD)."
    )
    max_draws_factor: int = Field(
        20, ge=1, le=1_000, description="Give up after this many draws for each caption that was asked for."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        dataset = values.get("dataset", "fmow")
        if dataset not in tuple(DEFAULTS):
            return values
        defaults = DEFAULTS[dataset]
        filled = {**defaults, **values}
        if isinstance(filled["geo"], Mapping):
            filled["geo"] = {**defaults["geo"], **filled["geo"]}
        return filled

    @model_validator(mode="after")
    def _fit(self) -> DiffusionSatOptions:
        own = DEFAULTS[self.dataset]
        for name in _OF_ONE:
            value = getattr(self, name)
            if value is None and name in own:
                raise ValueError(f"'{name}' cannot be null for the data set '{self.dataset}'")
            if value is not None and name not in own:
                raise ValueError(f"'{name}' is not for the data set '{self.dataset}'")
            if value is not None and name != "moments" and not 0 < value[0] <= value[1]:
                raise ValueError(f"'{name}' {list(value)} is no range of numbers above 0, low before high")
        if self.drop is None:
            raise ValueError("'drop' is a probability, not null")
        if self.moments == ():
            raise ValueError("'moments' has neither before nor after")
        if self.only and self.places is None:
            raise ValueError("'only' chooses from 'places', which is null")
        return self


class DiffusionSat:
    """Writes `captions_per_label` different captions of every label, interleaved by label."""

    Options: ClassVar[type[BaseModel]] = DiffusionSatOptions

    def __init__(self, options: DiffusionSatOptions) -> None:
        self._options = options

    def inputs(self) -> list[Path]:
        """Return the file of the places.

        Raises:
            RecipeError: There is no such list.
        """
        return [] if self._options.places is None else [places_path(self._options.places)]

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book: caption 0 of every label, then caption 1, ...

        Raises:
            CaptionError: A label has too few different captions, or no sentence; a place is unknown.
            RecipeError: The list of places is missing or broken.
        """
        options = self._options
        source = f"diffusionsat:{options.dataset}"
        places: tuple[Place, ...] = ()
        if options.places is not None:
            known = load_places(options.places)
            places, source = known.chosen(options.only), f"{source}:{known.name}@{known.digest}"
        found = [self._different(label, places, seed) for label in labels.labels]
        return [
            Caption(text=text, label=index, source=f"{source}#{i}", geo=geo)
            for i in range(options.captions_per_label)
            for index, (text, geo) in enumerate(drawn[i] for drawn in found)
        ]

    def _different(self, label: Label, places: tuple[Place, ...], seed: int) -> list[tuple[str, GeoRecord]]:
        """Return the first `captions_per_label` different captions, in the order of drawing."""
        options = self._options
        wanted, budget = options.captions_per_label, options.captions_per_label * options.max_draws_factor
        rng = random.Random(f"{seed}/{label.name}/diffusionsat/{options.dataset}")
        wording = self._wording()
        found: dict[tuple[str, GeoRecord], None] = {}
        for _ in range(budget):
            place = rng.choice(places) if places else None
            text = sentence(options.dataset, label, place.name if place else "", wording, rng)
            geo = place.draw(options.place_radius, rng) if place else GeoRecord()
            found[text, options.geo.fill(geo, rng) if options.geo else geo] = None
            if len(found) == wanted:
                return list(found)
        raise CaptionError(
            f"label '{label.name}' has {len(found)} different captions after {budget:,} draws, "
            f"{wanted} are asked for",
            where=f"diffusionsat:{options.dataset}",
            fix="lower 'captions.captions_per_label', or give more places or ranges in 'captions.geo'",
        )

    def _wording(self) -> Wording:
        options = self._options
        return Wording(
            drop=options.drop or 0.0,
            keep_label=options.keep_label,
            words=options.words,
            **{name: getattr(options, name) for name in _OF_ONE},
        )
