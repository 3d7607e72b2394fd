"""Real images that a ControlNet of DiffusionSat reads: one or several dates a key, with their geo-metadata."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.generators.control_maps import prepare_map
from synrs_data.geo import GEO_FIELDS, GeoRecord, geo_record
from synrs_data.image_sources.listing import IMAGE_ENDINGS, files_below
from synrs_data.resources import suggestion
from synrs_data.sample import Request

BANDS = ".npy"
"""Ending of an array of bands, (height, width, bands), of finite floating-point numbers."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The images of one key.

    Attributes:
        key: The file, or for several dates the folder, as a path below the root.
        paths: The images, in order of name.
    """

    key: str
    paths: tuple[Path, ...]

    def sha256(self) -> str:
        """Return the sha256 of the image, or over those of all its dates."""
        found = [files.sha256(path) for path in self.paths]
        return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()

    def geo(self) -> list[GeoRecord]:
        """Return the geo-metadata of each image, from the JSON file beside it; unknown where there is none.

        Raises:
            UserError: A file is no JSON object of geo-metadata.
        """
        return [_read_geo(path.with_suffix(".json")) for path in self.paths]


class ImageStacks:
    """A folder of images, or of a folder for each key with the images of its dates.

    Args:
        root: The folder.
        dates: Whether a key is a folder of dates.
    """

    def __init__(self, root: Path, *, dates: bool) -> None:
        self._root = root
        self._dates = dates

    @cached_property
    def stacks(self) -> dict[str, Stack]:
        """Every stack by key.

        Raises:
            UserError: There is none, or they have different numbers of dates.
        """
        groups: dict[str, list[Path]] = {}
        for path in files_below(self._root, IMAGE_ENDINGS | {BANDS}):
            key = path.parent if self._dates else path
            if key != self._root:
                groups.setdefault(key.relative_to(self._root).as_posix(), []).append(path)
        if not groups:
            raise UserError(
                f"there are no {'folders of ' if self._dates else ''}images (jpg, png, webp, tif, npy)",
                where=str(self._root),
                fix="correct 'generator.images' of the recipe",
            )
        found = {key: Stack(key, tuple(paths)) for key, paths in groups.items()}
        first = next(iter(found.values()))
        for stack in found.values():
            if len(stack.paths) != len(first.paths):
                raise UserError(
                    f"has {len(stack.paths)} dates, but '{first.key}' has {len(first.paths)}",
                    where=str(self._root / stack.key),
                    fix="give every key the same number of dates",
                )
        return found

    def digest(self) -> str:
        """Return a sha256 over keys, images and geo-metadata."""
        lines = [
            f"{path.relative_to(self._root).as_posix()} {files.sha256(path)} {geo!r}\n"
            for stack in self.stacks.values()
            for path, geo in zip(stack.paths, stack.geo(), strict=True)
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def choose(self, request: Request) -> Stack:
        """Return the stack that the caption names, or one by the request's seed.

        Raises:
            UserError: There is none of that name.
        """
        if not request.image:
            digest = hashlib.blake2b(f"images/{request.seed}".encode(), digest_size=8).digest()
            keys = list(self.stacks)
            return self.stacks[keys[int.from_bytes(digest, "big") % len(keys)]]
        if request.image not in self.stacks:
            near = suggestion(request.image, list(self.stacks)[:20], what="image")
            raise UserError(
                f"has no image '{request.image}', which a caption names",
                where=str(self._root),
                fix=f"add it, or correct the column 'image' of the captions file; {near}",
            )
        return self.stacks[request.image]


def read_image(path: Path, width: int, height: int, channels: int) -> NDArray[np.float32]:
    """Return an image as a ControlNet reads it, (channels, height, width).

    An image file becomes RGB of 0 to 1; an array is taken as it is. Both are cut to the shape and resampled
    (bicubic, antialiased) if they have another size.

    Raises:
        UserError: It cannot be read, or has another number of bands.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix="put it back") from error
    values: NDArray[np.float32]
    if path.suffix.lower() == BANDS:
        values = _resized(_bands(content, path), width, height)
    else:
        image = prepare_map(content, (width, height), where=str(path), palette=None, resample="bicubic")
        values = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    if len(values) != channels:
        raise UserError(
            f"has {len(values)} bands, not the {channels} that the ControlNet reads",
            where=str(path),
            fix=f"save an array of (height, width, {channels}) as .npy"
            if channels != 3
            else "save it as RGB",
        )
    return values


def _bands(content: bytes, path: Path) -> NDArray[np.float32]:
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"cannot be read as an array: {error}", where=str(path), fix="save it again by numpy.save"
        ) from error
    if values.ndim != 3 or values.dtype.kind != "f" or 0 in values.shape or not np.isfinite(values).all():
        raise UserError(
            f"is {values.dtype} of {values.shape}, not finite floating-point numbers of (height, width, bands)",
            where=str(path),
            fix="scale the bands as the ControlNet's training did, and save them as float32",
        )
    return np.asarray(values, dtype=np.float32).transpose(2, 0, 1)


def _resized(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return bands, (bands, height, width), cut to a shape and resampled."""
    import torch

    rows, columns = values.shape[1:]
    if (rows, columns) == (height, width):
        return values
    scale = min(rows / height, columns / width)
    keep_rows, keep_columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    cut = torch.from_numpy(values[None, :, top : top + keep_rows, left : left + keep_columns].copy())
    sized = torch.nn.functional.interpolate(
        cut, size=(height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return np.asarray(sized[0].numpy())


def _read_geo(path: Path) -> GeoRecord:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return GeoRecord()
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"is no JSON: {error}", where=str(path), fix="correct or remove it") from error
    if not isinstance(values, dict) or values.keys() - set(GEO_FIELDS):
        known = ", ".join(GEO_FIELDS)
        raise UserError(
            "is no JSON object of geo-metadata", where=str(path), fix=f"use the keys {known} alone"
        )
    return geo_record(values, where=str(path))
