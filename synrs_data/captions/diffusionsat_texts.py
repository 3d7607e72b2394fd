"""The sentences that DiffusionSat was trained with, one function a data set.

Source: Khanna et al., DiffusionSat (ICLR 2024); github.com/samar-khanna/DiffusionSat, diffusionsat/data_util.py.
The text encoder reads a run of spaces as one, so the double space of the Texas sentences is written as one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from synrs_data.captions.cleaning import one_line
from synrs_data.errors import CaptionError
from synrs_data.resources import suggestion
from synrs_data.vocabulary import Label

Dataset = Literal["fmow", "spacenet", "satlas", "texas", "xbd"]

QUADRANTS = ("top left", "top right", "bottom right", "bottom left")
POSITION_SHARE = 0.67
"""Share of the Satlas captions that say in which quarter of the image the objects are."""

SPACENET_ITEMS = ("buildings", "no_roads", "roads")


@dataclass(frozen=True, slots=True)
class Wording:
    """How sentences are drawn.

    Attributes:
        drop: Probability with which a part is left out.
        keep_label: Whether the part that names the label is never left out.
        words: "name" for the label's name with spaces for underscores, as in training; "phrase" for its
            phrase with its article.
        count: Fewest and most objects.
        building_area_m2: Smallest and largest area of one building.
        road_length_m: Shortest and longest road network.
        built: First and last year of building.
        acres: Smallest and largest plot.
        moments: "before", "after", or both.
    """

    drop: float
    keep_label: bool
    words: Literal["name", "phrase"]
    count: tuple[int, int] | None = None
    building_area_m2: tuple[float, float] | None = None
    road_length_m: tuple[float, float] | None = None
    built: tuple[int, int] | None = None
    acres: tuple[float, float] | None = None
    moments: tuple[str, ...] | None = None


def sentence(dataset: Dataset, label: Label, place: str, wording: Wording, rng: random.Random) -> str:
    """Return one sentence.

    Args:
        dataset: The data set whose sentences are meant.
        label: What the image shows.
        place: Country or city; empty for none.
        wording: How it is drawn.
        rng: The only source of chance.

    Raises:
        CaptionError: The data set has no sentence for such a label.
    """

    def part(text: str, *, of_label: bool = False) -> str:
        kept = rng.random() >= wording.drop
        return text if kept or (of_label and wording.keep_label) else ""

    text = "a" + part(f" {_TAGS[dataset]}") + " satellite image"
    text += _SENTENCES[dataset](label, wording, rng, part)
    return one_line(text + (part(f" in {place}") if place else ""))


Part = Callable[..., str]


def _fmow(label: Label, wording: Wording, rng: random.Random, part: Part) -> str:
    scene = label.spoken if wording.words == "phrase" else f"a {_name(label)}"
    return part(f" of {scene}", of_label=True)


def _spacenet(label: Label, wording: Wording, rng: random.Random, part: Part) -> str:
    if label.name == "buildings":
        count = rng.randint(*wording.count or (1, 1))
        area = sum(rng.uniform(*wording.building_area_m2 or (1, 1)) for _ in range(count))
        item = f"{count} buildings covering an area of {round(area, 3)} squared meters"
    elif label.name == "roads":
        item = f"roads of length {round(rng.uniform(*wording.road_length_m or (1, 1)), 3)} meters"
    elif label.name == "no_roads":
        item = "no roads"
    else:
        raise CaptionError(
            f"the captions of SpaceNet have no sentence for the label '{label.name}'",
            fix=suggestion(label.name, list(SPACENET_ITEMS), what="label"),
        )
    return part(f" of {item}", of_label=True)


def _satlas(label: Label, wording: Wording, rng: random.Random, part: Part) -> str:
    name = label.phrase if wording.words == "phrase" else _name(label)
    count = rng.randint(*wording.count or (1, 1))
    if rng.random() >= POSITION_SHARE:
        return f" of {_counted(count, name)}"
    where = [rng.randrange(4) for _ in range(count)]
    groups = [(where.count(i), quadrant) for i, quadrant in enumerate(QUADRANTS)]
    return " of " + ", ".join(f"{_counted(n, name)} in the {quadrant}" for n, quadrant in groups if n)


def _texas(label: Label, wording: Wording, rng: random.Random, part: Part) -> str:
    name = label.phrase if wording.words == "phrase" else _name(label)
    acres = round(rng.uniform(*wording.acres or (1, 1)), 2)
    return (
        part(f" of {name}", of_label=True)
        + part(f" built in {rng.randint(*wording.built or (1, 1))}")
        + part(f" covering {acres} acres")
    )


def _xbd(label: Label, wording: Wording, rng: random.Random, part: Part) -> str:
    moment = rng.choice(wording.moments or ("after",))
    name = label.phrase if wording.words == "phrase" else _name(label)
    return part(f" {moment} being affected by a {name} natural disaster", of_label=True)


def _name(label: Label) -> str:
    return label.name.replace("_", " ")


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' if count > 1 else ''}"


_TAGS: dict[Dataset, str] = {
    "fmow": "fmow",
    "spacenet": "spacenet",
    "satlas": "satlas",
    # The authors' scripts for Texas housing and xBD use the tags of the data sets that they resemble.
    "texas": "satlas",
    "xbd": "fmow",
}
_SENTENCES: dict[Dataset, Callable[[Label, Wording, random.Random, Part], str]] = {
    "fmow": _fmow,
    "spacenet": _spacenet,
    "satlas": _satlas,
    "texas": _texas,
    "xbd": _xbd,
}
