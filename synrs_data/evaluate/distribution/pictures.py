"""A sheet of the nearest pairs: what numbers of memorisation cannot say, eyes can."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synrs_data.evaluate.distribution.compare import Neighbours
from synrs_data.image_sources import SourceImage, decode_rgb

PAIRS = 12

_SIDE, _GAP, _ACROSS, _TEXT = 96, 8, 6, 14
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class _Part:
    title: str
    found: Neighbours
    rows: list[int]
    values: NDArray[np.float64]


def nearest_sheet(ours: Neighbours, floor: Neighbours | None) -> bytes | None:
    """Return a PNG of the nearest pairs of synthetic and training images, and of held-out and training ones.

    The nearest by distance are often images without structure, such as open sea, which are all alike. So pairs are
    shown by ratio too: how much nearer they are than the training image's own nearest neighbour. Each pair has the
    image on the left, its nearest training image on the right, and the number below; no training image is shown twice
    in a part. Images keep their shape; small ones are enlarged without interpolation.

    Returns:
        The PNG; None where features were saved and there are no images.

    Raises:
        UserError: An image cannot be read any more.
    """
    sets = [(ours, "synthetic")] + ([(floor, f"held-out {floor.images.record.role}")] if floor else [])
    parts = [_part(name, found, ratio) for ratio in (True, False) for found, name in sets]
    parts = [part for part in parts if part.found.images.images and part.found.training.images]
    if not parts:
        return None
    width = _GAP + _ACROSS * (2 * _SIDE + 2 * _GAP)
    heights = [_TEXT + _GAP + -(-len(part.rows) // _ACROSS) * (_SIDE + _TEXT + _GAP) for part in parts]
    sheet = Image.new("RGB", (width, _GAP + sum(heights)), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    top = _GAP
    for part, height in zip(parts, heights, strict=True):
        draw.text((_GAP, top), part.title, fill=_INK, font=font)
        for place, row in enumerate(part.rows):
            down, across = divmod(place, _ACROSS)
            x = _GAP + across * (2 * _SIDE + 2 * _GAP)
            y = top + _TEXT + down * (_SIDE + _TEXT + _GAP)
            pair = (
                part.found.images.images[row],
                part.found.training.images[int(part.found.found.rows[row])],
            )
            for number, image in enumerate(pair):
                sheet.paste(_tile(image), (x + number * (_SIDE + 1), y))
            draw.text((x, y + _SIDE), f"{part.values[row]:.4f}", fill=_INK, font=font)
        top += height
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _part(name: str, found: Neighbours, ratio: bool) -> _Part:
    values = found.found.ratios if ratio else found.found.distances
    rows: list[int] = []
    shown: set[int] = set()
    for row in np.argsort(values, kind="stable").tolist():
        training = int(found.found.rows[row])
        if training not in shown and len(rows) < PAIRS:
            shown.add(training)
            rows.append(row)
    how = "ratio to the own nearest distance of the right one" if ratio else "distance"
    title = f"{name} (left) and nearest {found.training.record.role} image (right) by {how}: "
    title += f"{len(rows)} of {len(values)}; features of {found.images.extractor.id}"
    return _Part(title, found, rows, values)


def _tile(image: SourceImage) -> Image.Image:
    """Return an image within a square."""
    picture = Image.fromarray(decode_rgb(image.read(), image.where))
    scale = _SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    tile = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    tile.paste(picture.resize(size, method), ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2))
    return tile
