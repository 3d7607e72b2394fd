"""Contact sheets: for each label some accepted samples and some rejected candidates, inside the page."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from PIL import Image as PillowImage

from synrs_data.report.view import BuildFacts, number
from synrs_data.shards import Span, read_sample
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.schema import image_fields

ACCEPTED, REJECTED = 24, 8
"""At most so many images of a label are shown."""

SHEET_CHARACTERS = 17_000_000
HERO_CHARACTERS = 1_500_000
"""Together with plots and tables the page stays below 20 MB."""

_HERO = 12
_GIVEN_SIDE = 128
_MEDIA = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# Markup around one image, with room for its attributes.
_FRAME = 600
# A caption stands in the alternative text, below the image and, escaped, can grow.
_PER_CAPTION_BYTE = 3


@dataclass(frozen=True, slots=True)
class Given:
    """An image that the generator started from: the field it is in, and its number in the page.

    Attributes:
        field: Name of the field without its ending, such as "source".
        number: Its place in `Sheets.given`.
    """

    field: str
    number: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a contact sheet.

    Attributes:
        key: The sample's key.
        source: The encoded image as a data address.
        caption: Its caption.
        width: Pixels across.
        height: Pixels down.
        reason: Why it was rejected; empty if it was not.
        details: Seed, what shaped it alone, and scores in one line.
        given: The images that the generator started from.
    """

    key: str
    source: str
    caption: str
    width: int
    height: int
    reason: str
    details: str
    given: tuple[Given, ...] = ()

    @property
    def characters(self) -> int:
        """About how much room it takes in the page."""
        return len(self.source) + _PER_CAPTION_BYTE * len(self.caption.encode()) + len(self.reason) + _FRAME


@dataclass(frozen=True, slots=True)
class Sheet:
    """The images of one label."""

    name: str
    accepted: list[Picture]
    rejected: list[Picture]


@dataclass(frozen=True, slots=True)
class Sheets:
    """All contact sheets.

    Attributes:
        sheets: One a label, in the label set's order.
        hero: A few accepted images of as many labels as there are.
        full: Whether the page had room for all that a sheet may show.
        given: Small copies of the images that the generator started from, each once, as data addresses.
    """

    sheets: list[Sheet]
    hero: list[Picture]
    full: bool
    given: list[str]


def contact_sheets(folder: BuildFolder, facts: BuildFacts, room: int = SHEET_CHARACTERS) -> Sheets:
    """Read the images of the contact sheets: every label gets one more in turn until the page is full.

    Args:
        folder: The build folder.
        facts: Its facts.
        room: At most about so many characters of the page are for images.

    Raises:
        VerificationError: A packed sample cannot be read.
    """
    accepted = [spread(rows, ACCEPTED) for rows in by_label(facts, facts.packed)]
    rejected = [_one_of_each_rule(rows, REJECTED) for rows in by_label(facts, facts.rejected)]
    sheets = [Sheet(name, [], []) for name in facts.labels.names]
    gallery: dict[str, int] = {}
    for turn in range(ACCEPTED):
        # Rejected candidates take part in every third turn, so that both kinds end together.
        other, late = divmod(turn, ACCEPTED // REJECTED)
        for sheet, good, bad in zip(sheets, accepted, rejected, strict=True):
            waiting = [(sheet.accepted, row) for row in good[turn : turn + 1]]
            waiting += [(sheet.rejected, row) for row in bad[other : other + 1] if not late]
            for shown, row in waiting:
                known = len(gallery)
                picture = _picture(folder, facts, row, gallery)
                room -= picture.characters + sum(len(address) for address in list(gallery)[known:])
                if room < 0:
                    return Sheets(sheets, _hero(sheets), full=False, given=list(gallery)[:known])
                shown.append(picture)
    return Sheets(sheets, _hero(sheets), full=True, given=list(gallery))


def by_label(facts: BuildFacts, table: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of each label in the order of keys, a table without rows for a label that has none."""
    parts = table.sort("key").partition_by("label", as_dict=True)
    return [parts.get((index,), table.clear()) for index in range(len(facts.labels.labels))]


def spread(rows: pl.DataFrame, most: int) -> list[dict[str, Any]]:
    """Return at most `most` rows of a table, evenly spaced."""
    count = min(rows.height, most)
    places = np.linspace(0, rows.height - 1, count).round().astype(int)
    chosen: pl.DataFrame = rows[places.tolist()]
    return chosen.to_dicts()


def _one_of_each_rule(rows: pl.DataFrame, most: int) -> list[dict[str, Any]]:
    """Return at most `most` rows: the first of each rule, then the second of each, and so on."""
    ranked = rows.with_columns(pl.int_range(pl.len()).over("rule").alias("_turn"))
    return ranked.sort("_turn", "rule", "key").head(most).to_dicts()


def _picture(folder: BuildFolder, facts: BuildFacts, row: dict[str, Any], gallery: dict[str, int]) -> Picture:
    """Return one picture; the images that it was made from enter the gallery, data address to number."""
    image_format = facts.recipe.image.format
    fields = read_sample(folder.root / row["file"], Span(row["offset"], row["length"]))
    # Of a pair, the high-resolution image: the last of the two.
    content = fields[image_fields(facts.recipe.task, image_format)[-1]]
    scores = [f"{name} {number(row[name])}" for name in facts.scores]
    given = [
        Given(name.partition(".")[0], gallery.setdefault(small_address(name, fields[name]), len(gallery)))
        for name in facts.extra_fields
    ]
    return Picture(
        key=row["key"],
        source=f"data:{_MEDIA[image_format]};base64,{base64.b64encode(content).decode()}",
        caption=row["caption"],
        width=row["width"],
        height=row["height"],
        reason=row.get("reason", ""),
        details=" · ".join([f"seed {row['seed']}", *_own_parameters(facts, fields), *scores]),
        given=tuple(given),
    )


def _own_parameters(facts: BuildFacts, fields: dict[str, bytes]) -> list[str]:
    """Return what shaped one image alone, such as the name of its source."""
    if "derived_from" not in facts.packed.columns:
        return []
    parameters = json.loads(json.loads(fields["json"])["parameters"])
    common = facts.generator["parameters"]
    return [f"{name} {value}" for name, value in parameters.items() if name not in common]


def small_address(name: str, content: bytes) -> str:
    """Return an image as a data address; a large one as a smaller JPEG."""
    media = _MEDIA[name.rpartition(".")[2]]
    with PillowImage.open(io.BytesIO(content)) as image:
        if max(image.size) > _GIVEN_SIDE:
            small = image.convert("RGB")
            small.thumbnail((_GIVEN_SIDE, _GIVEN_SIDE))
            out = io.BytesIO()
            small.save(out, "JPEG", quality=85)
            media, content = _MEDIA["jpg"], out.getvalue()
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def _hero(sheets: list[Sheet]) -> list[Picture]:
    """Return a dozen accepted images at most, of different labels first, as far as there is room."""
    turns = [sheet.accepted[turn] for turn in range(_HERO) for sheet in sheets if turn < len(sheet.accepted)]
    chosen, room = [], HERO_CHARACTERS
    for picture in turns[:_HERO]:
        if picture.characters > room:
            break
        room -= picture.characters
        chosen.append(picture)
    return chosen
