"""Draw the picture of all degradations in docs/degradations.md, from high-resolution tiles of your own.

    python scripts/draw_degradations.py TILE... [--out docs/images/degradations.png]

Each row is one tile: the tile, then its low-resolution image by each degradation and preset, enlarged by nearest
neighbour. Seeds are 0, 1, ... by row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synrs_data.registry import lookup

SIDE = 192
METHODS: list[tuple[str, str, dict[str, Any]]] = [
    ("bicubic x4", "bicubic", {}),
    ("area x4", "area", {}),
    ("real-esrgan-x4", "real-esrgan", {"preset": "real-esrgan-x4"}),
    ("real-esrgan-x2", "real-esrgan", {"preset": "real-esrgan-x2"}),
    ("resshift x4", "real-esrgan", {"preset": "resshift"}),
    ("bsrgan x4", "real-esrgan", {"preset": "bsrgan"}),
    ("sentinel2-like x4", "sensor", {"preset": "sentinel2-like"}),
]


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tiles", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/degradations.png"))
    arguments = parser.parse_args()
    methods = [(word, lookup("degradations", name)) for word, name, _ in METHODS]
    ready = []
    for (word, cls), (_, _, options) in zip(methods, METHODS, strict=True):
        method = cls(cls.Options.model_validate(options))
        method.load("cpu")
        ready.append((word, method))
    head, gap = 22, 6
    width = (len(ready) + 1) * (SIDE + gap) - gap
    sheet = Image.new("RGB", (width, head + len(arguments.tiles) * (SIDE + gap) - gap), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, word in enumerate(["high resolution", *(word for word, _ in ready)]):
        pen.text((place * (SIDE + gap) + 2, 3), word, fill="black", font=font)
    for row, path in enumerate(arguments.tiles):
        tile = np.asarray(Image.open(path).convert("RGB"))[:SIDE, :SIDE]
        for place, method in enumerate([None, *(method for _, method in ready)]):
            shown = tile
            if method is not None:
                [prepared] = method.prepare([tile])
                [shown] = method.degrade([prepared], [method.draw(row, *tile.shape[:2])])
            large = Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(large, (place * (SIDE + gap), head + row * (SIDE + gap)))
    sheet.save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
