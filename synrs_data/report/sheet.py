"""Contact sheets: for each label some accepted samples and some rejected candidates, inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from synrs_data.report.view import BuildFacts, number
from synrs_data.shards import Span, read_sample
from synrs_data.shards.folder import BuildFolder

ACCEPTED, REJECTED = 24, 8
"""At most so many images of a label are shown."""

SHEET_CHARACTERS = 17_000_000
HERO_CHARACTERS = 1_500_000
"""Together with plots and tables the page stays below 20 MB."""

_HERO = 12
_MEDIA = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# Markup around one image, with room for its attributes.
_FRAME = 600
# A caption stands in the alternative text, below the image and, escaped, can grow.
_PER_CAPTION_BYTE = 3


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
        details: Seed and scores in one line.
    """

    key: str
    source: str
    caption: str
    width: int
    height: int
    reason: str
    details: str

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
    """

    sheets: list[Sheet]
    hero: list[Picture]
    full: bool


def contact_sheets(folder: BuildFolder, facts: BuildFacts, room: int = SHEET_CHARACTERS) -> Sheets:
    """Read the images of the contact sheets: every label gets one more in turn until the page is full.

    Args:
        folder: The build folder.
        facts: Its facts.
        room: At most about so many characters of the page are for images.

    Raises:
        VerificationError: A packed sample cannot be read.
    """
    accepted = [_spread(rows, ACCEPTED) for rows in _by_label(facts, facts.packed)]
    rejected = [_one_of_each_rule(rows, REJECTED) for rows in _by_label(facts, facts.rejected)]
    sheets = [Sheet(name, [], []) for name in facts.labels.names]
    for turn in range(ACCEPTED):
        # Rejected candidates take part in every third turn, so that both kinds end together.
        other, late = divmod(turn, ACCEPTED // REJECTED)
        for sheet, good, bad in zip(sheets, accepted, rejected, strict=True):
            waiting = [(sheet.accepted, row) for row in good[turn : turn + 1]]
            waiting += [(sheet.rejected, row) for row in bad[other : other + 1] if not late]
            for shown, row in waiting:
                picture = _picture(folder, facts, row)
                room -= picture.characters
                if room < 0:
                    return Sheets(sheets, _hero(sheets), full=False)
                shown.append(picture)
    return Sheets(sheets, _hero(sheets), full=True)


def _by_label(facts: BuildFacts, table: pl.DataFrame) -> list[pl.DataFrame]:
    parts = table.sort("key").partition_by("label", as_dict=True)
    return [parts.get((index,), table.clear()) for index in range(len(facts.labels.labels))]


def _spread(rows: pl.DataFrame, most: int) -> list[dict[str, Any]]:
    """Return at most `most` rows, evenly spaced."""
    count = min(rows.height, most)
    places = np.linspace(0, rows.height - 1, count).round().astype(int)
    spread: pl.DataFrame = rows[places.tolist()]
    return spread.to_dicts()


def _one_of_each_rule(rows: pl.DataFrame, most: int) -> list[dict[str, Any]]:
    """Return at most `most` rows: the first of each rule, then the second of each, and so on."""
    ranked = rows.with_columns(pl.int_range(pl.len()).over("rule").alias("_turn"))
    return ranked.sort("_turn", "rule", "key").head(most).to_dicts()


def _picture(folder: BuildFolder, facts: BuildFacts, row: dict[str, Any]) -> Picture:
    image_format = facts.recipe.image.format
    content = read_sample(folder.root / row["file"], Span(row["offset"], row["length"]))[image_format]
    scores = [f"{name} {number(row[name])}" for name in facts.scores]
    return Picture(
        key=row["key"],
        source=f"data:{_MEDIA[image_format]};base64,{base64.b64encode(content).decode()}",
        caption=row["caption"],
        width=row["width"],
        height=row["height"],
        reason=row.get("reason", ""),
        details=" · ".join([f"seed {row['seed']}", *scores]),
    )


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
