"""Lists of places that captions name: YAML files of `builders/vocab/places/`, or a user's own."""

from __future__ import annotations

import difflib
import hashlib
import json
import random
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from synrs_data.errors import CaptionError
from synrs_data.geo import GeoRecord, geo_record
from synrs_data.resources import find, named_files
from synrs_data.vocabulary import load_yaml


class Place(BaseModel):
    """A country or city.

    Attributes:
        name: As it stands in a caption.
        code: A short name beside it, such as ISO 3166-1 alpha-3; empty for none.
        points: Longitude and latitude, in degrees, of places that lie in it; empty where none is known.
        year: Year of its images, where they are of one date.
        month: Month of them.
        day: Day of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    code: str = ""
    points: tuple[tuple[float, float], ...] = ()
    year: int | None = None
    month: int | None = None
    day: int | None = None

    @field_validator("points")
    @classmethod
    def _on_earth(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        for lon, lat in points:
            try:
                geo_record({"lon": lon, "lat": lat}, where="")
            except CaptionError as error:
                raise ValueError(error.what) from error
        return points

    def draw(self, radius: float, rng: random.Random) -> GeoRecord:
        """Return the place's date, and a position at most `radius` degrees east or north of one of its points.

        Args:
            radius: In degrees, of longitude and of latitude alike; the position may lie in the sea or abroad.
            rng: The only source of chance.
        """
        if not self.points:
            return GeoRecord(year=self.year, month=self.month, day=self.day)
        lon, lat = rng.choice(self.points)
        lon = min(max(lon + rng.uniform(-radius, radius), -180.0), 180.0)
        lat = min(max(lat + rng.uniform(-radius, radius), -90.0), 90.0)
        return GeoRecord(lon=round(lon, 4), lat=round(lat, 4), year=self.year, month=self.month, day=self.day)


class Places(BaseModel):
    """A list of places with its source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    places: tuple[Place, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the sha256 over the places."""
        values = [place.model_dump(mode="json") for place in self.places]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def chosen(self, names: tuple[str, ...]) -> tuple[Place, ...]:
        """Return the places of these names or codes, all for no name.

        Raises:
            CaptionError: There is no such place.
        """
        if not names:
            return self.places
        known = {key: place for place in self.places for key in (place.name, place.code) if key}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
                raise CaptionError(
                    f"'captions.only': the places '{self.name}' have no '{name}'",
                    fix=f"did you mean '{near[0]}'?" if near else "give a name or code of the list",
                )
        return tuple(known[name] for name in names)


def places_path(name: str) -> Path:
    """Return the file of a list of places, by shipped name or path."""
    return find(name, named_files("builders/vocab/places"), what="list of places")


def load_places(name: str) -> Places:
    """Load a list of places by shipped name or path.

    Raises:
        RecipeError: It is missing, not YAML, or has an unknown key or an impossible point.
    """
    return load_yaml(places_path(name), Places)
