"""The picture grid of a card: accepted samples of every label, or pairs, in one JPEG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from synrs_data import __version__
from synrs_data.report.sheet import by_label, spread
from synrs_data.report.view import BuildFacts
from synrs_data.shards import Span, read_sample
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.schema import HR, LR

MOST_BYTES = 300_000
"""The picture is compressed until it has at most so many bytes."""

MOST_LABELS = 64
"""Of larger label sets as many labels are shown, evenly spaced."""

_COLUMNS, _SIDE = 8, 120
_PAIR_COLUMNS, _PAIR_SIDE, _PAIRS = 4, 256, 8
_GAP, _TEXT, _FONT = 5, 22, 14
_QUALITIES = (90, 85, 80, 75, 70, 60, 50, 40, 30, 20)
_EXIF_DESCRIPTION, _EXIF_SOFTWARE = 0x010E, 0x0131


@dataclass(frozen=True, slots=True)
class Grid:
    """What the picture shows, for its caption and for the text that stands for it.

    Attributes:
        labels: Number of labels shown.
        of: Number of labels that have samples.
        samples: Number of samples shown.
    """

    labels: int
    of: int
    samples: int


@dataclass(frozen=True, slots=True)
class _Block:
    """The samples of one label, side by side under its name."""

    name: str
    rows: list[dict[str, Any]]


def grid(facts: BuildFacts) -> Grid:
    """Return what the picture of a build shows."""
    blocks = _blocks(facts)
    return Grid(len(blocks), facts.packed["label"].n_unique(), sum(len(block.rows) for block in blocks))


def samples_picture(folder: BuildFolder, facts: BuildFacts) -> bytes:
    """Return the picture as JPEG, about 1,000 pixels across: the same bytes for the same build and Pillow.

    Each label's samples are evenly spaced in the order of keys. Images are cut to a square, small ones enlarged by
    nearest neighbour; of a pair, the LR enlarged by nearest neighbour stands left of the HR.

    Args:
        folder: The build folder, packed.
        facts: Its facts; there is at least one packed sample.

    Raises:
        VerificationError: A packed sample cannot be read.
    """
    columns, side = (_PAIR_COLUMNS, _PAIR_SIDE) if facts.pairs else (_COLUMNS, _SIDE)
    step = side + _GAP
    blocks = _blocks(facts)
    across = max(len(block.rows) for block in blocks) * (2 if facts.pairs else 1)
    across = min(across, columns)
    beside = columns // across
    tall = [math.ceil(len(block.rows) * (2 if facts.pairs else 1) / across) for block in blocks]
    named = len(blocks) > 1 or not facts.pairs
    lines = [blocks[start : start + beside] for start in range(0, len(blocks), beside)]
    heights = [max(tall[start : start + beside]) for start in range(0, len(blocks), beside)]
    text = _TEXT if named else 0
    size = (
        _GAP + min(len(blocks), beside) * across * step,
        _GAP + sum(text + height * step for height in heights),
    )
    picture = PillowImage.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_FONT)
    top = _GAP
    for line, height in zip(lines, heights, strict=True):
        for place, block in enumerate(line):
            left = _GAP + place * across * step
            if named:
                draw.text((left, top), _fitting(block.name, font, across * step - _GAP), "black", font)
            tiles = [tile for row in block.rows for tile in _tiles(folder, facts, row, side)]
            for number, tile in enumerate(tiles):
                down, right = divmod(number, across)
                picture.paste(tile, (left + right * step, top + text + down * step))
        top += text + height * step
    return _encode(picture, facts)


def _blocks(facts: BuildFacts) -> list[_Block]:
    parts = [
        (name, rows) for name, rows in zip(facts.labels.names, by_label(facts, facts.packed), strict=True)
    ]
    filled = [(name, rows) for name, rows in parts if rows.height]
    most = _PAIRS if facts.pairs else MOST_LABELS
    places = {round(i * (len(filled) - 1) / max(most - 1, 1)) for i in range(most)}
    chosen = [part for place, part in enumerate(filled) if place in places]
    each = _per_label(len(chosen), facts.pairs)
    if not facts.pairs and each > _COLUMNS and max(rows.height for _, rows in chosen) < each:
        # One full line looks better than one and a half.
        each = _COLUMNS
    return [_Block(name, spread(rows, each)) for name, rows in chosen]


def _per_label(labels: int, pairs: bool) -> int:
    """Return how many samples of a label are shown, so that few labels fill the picture as many do."""
    if pairs:
        return max(1, _PAIRS // max(labels, 1))
    return next(count for count in (16, 8, 4, 2, 1) if count == 1 or labels * count <= MOST_LABELS)


def _tiles(folder: BuildFolder, facts: BuildFacts, row: dict[str, Any], side: int) -> list[PillowImage.Image]:
    fields = read_sample(folder.root / row["file"], Span(row["offset"], row["length"]))
    if not facts.pairs:
        return [_tile(_open(fields[facts.recipe.image.format]), side)]
    low, high = _open(fields[LR]), _open(fields[HR])
    scale = high.width // low.width
    # The same part of both, from a whole pixel of the LR.
    part = max(1, min(side // scale, low.width, low.height))
    left, top = (low.width - part) // 2, (low.height - part) // 2
    low = low.crop((left, top, left + part, top + part))
    left, top, part = scale * left, scale * top, scale * part
    high = high.crop((left, top, left + part, top + part))
    return [_tile(image, side) for image in (low, high)]


def _tile(image: PillowImage.Image, side: int) -> PillowImage.Image:
    """Return the square middle of an image at a size."""
    cut = min(image.size)
    left, top = (image.width - cut) // 2, (image.height - cut) // 2
    resampling = PillowImage.Resampling
    how = resampling.NEAREST if cut < side else resampling.LANCZOS
    return image.crop((left, top, left + cut, top + cut)).resize((side, side), how)


def _open(content: bytes) -> PillowImage.Image:
    with PillowImage.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def _fitting(text: str, font: Any, width: int) -> str:
    """Return a label's name, its end cut off where it is wider than its block."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"


def _encode(picture: PillowImage.Image, facts: BuildFacts) -> bytes:
    exif = PillowImage.Exif()
    kind = "Synthetic images, not observations" if facts.synthetic else "Parts of real images"
    exif[_EXIF_DESCRIPTION] = f"{kind}. Samples of a dataset."
    exif[_EXIF_SOFTWARE] = f"synrs-data {__version__}"
    content = b""
    for quality in _QUALITIES:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, exif=exif)
        content = out.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return content
