"""Small encoded images, tars and parquet shards."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.real_folder import paint


def encoded(number: int, side: int = 16, format: str = "PNG", **options: Any) -> bytes:
    """Return a painted image, another for each number."""
    out = io.BytesIO()
    Image.fromarray(paint(number, side)).save(out, format, **options)
    return out.getvalue()


def member(name: str, content: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar with some of its header changed."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Write a tar and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def plain_tar(path: Path, count: int = 3, first: int = 0) -> Path:
    """Write a tar of `count` samples of one PNG and one text each."""
    parts = []
    for number in range(first, first + count):
        parts += [member(f"{number:04d}.png", encoded(number)), member(f"{number:04d}.txt", b"x")]
    return write_tar(path, *parts)


def write_parquet(path: Path, contents: Sequence[bytes | None], column: str = "image") -> Path:
    """Write images as `datasets` writes them."""
    import datasets

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [None if content is None else {"bytes": content, "path": "../x.png"} for content in contents]
    table = datasets.Dataset.from_dict(
        {column: rows, "label": list(range(len(rows)))},
        features=datasets.Features({column: datasets.Image(), "label": datasets.Value("int64")}),
    )
    datasets.disable_progress_bars()
    table.to_parquet(path)
    return path
