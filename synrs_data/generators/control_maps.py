"""Control maps: images that say where things are, from a folder or WebDataset tars, by key."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.generators.palettes import Palette
from synrs_data.image_sources.listing import (
    IMAGE_ENDINGS,
    files_below,
    has_image_ending,
    read_part,
    tar_entries,
)
from synrs_data.resources import suggestion
from synrs_data.sample import Request

Resample = Literal["nearest", "bicubic"]
Size = tuple[int, int]

_RESAMPLING = {
    "nearest": PillowImage.Resampling.NEAREST,
    # Pillow widens the filter's support when it makes an image smaller, so it does not alias.
    "bicubic": PillowImage.Resampling.BICUBIC,
}
_INDEX_MODES = ("L", "P", "1", "I", "I;16")


@dataclass(frozen=True, slots=True)
class ControlMap:
    """One map, where it lies.

    Attributes:
        key: Its name: the path in the folder, or the key of its sample in a tar.
        path: The file, or the tar.
        member: Name in the tar; empty for a file of its own.
        offset: First byte of the contents.
        size: Number of bytes; None for the whole file.
    """

    key: str
    path: Path
    member: str = ""
    offset: int = 0
    size: int | None = None

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return f"{self.path}, member {self.member}" if self.member else str(self.path)

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            UserError: It has gone, or is cut short.
        """
        return read_part(self.path, self.offset, self.size, where=self.where, what="map")


class ControlMaps:
    """The maps of a folder of images, of a tar, or of a folder of tars.

    Args:
        root: The folder or tar.
        field: Field of a tar's samples that is the map, such as "mask.png"; None if they have one image alone.
        by_label: Whether a caption that names no map gets one of the folder named as its label, or any.
    """

    def __init__(self, root: Path, field: str | None = None, *, by_label: bool = False) -> None:
        self._root = root
        self._field = field
        self._by_label = by_label

    @cached_property
    def maps(self) -> dict[str, ControlMap]:
        """Every map by its key, in order of key.

        Raises:
            UserError: There is none, two have one key, or a tar is damaged.
        """
        found: dict[str, ControlMap] = {}
        for item in self._scan():
            if item.key in found:
                raise UserError(
                    f"there are two maps of the key '{item.key}': {found[item.key].where}, and {item.where}",
                    where=str(self._root),
                    fix="keep one" if not item.member else "name the right one of them by `maps_field`",
                )
            found[item.key] = item
        if not found:
            field = f" with the field '{self._field}'" if self._field else ""
            raise UserError(
                f"there are no maps (jpg, png, webp, tif, or tars of them{field})",
                where=str(self._root),
                fix="correct 'generator.maps' of the recipe",
            )
        return dict(sorted(found.items()))

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Keys by their name without its ending: captions may leave it out."""
        stems: dict[str, list[str]] = {}
        for key in self.maps:
            stems.setdefault(_stem(key), []).append(key)
        return stems

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for key in self.maps:
            folders.setdefault(key.rpartition("/")[0], []).append(key)
        return folders

    def digest(self) -> str:
        """Return a sha256 over the keys and contents of all maps."""
        tars = sorted({item.path for item in self.maps.values() if item.member})
        lines = [f"{path.relative_to(self._root)} {files.sha256(path)}\n" for path in tars] if tars else []
        lines += [f"{key} {files.sha256(item.path)}\n" for key, item in self.maps.items() if not item.member]
        return hashlib.sha256("".join([f"{self._field or ''}\n", *lines]).encode()).hexdigest()

    def choose(self, request: Request) -> ControlMap:
        """Return the map of a request.

        It is the one that the caption names, with or without its ending. A caption that names none gets one
        by the request's seed.

        Raises:
            UserError: There is no map, or more than one, of the name in the caption, or none of its label.
        """
        if request.image:
            return self._named(request.image)
        keys = self._by_folder.get(request.label_name, []) if self._by_label else list(self.maps)
        if not keys:
            raise self._no_maps([request.label_name])
        digest = hashlib.blake2b(f"control/{request.seed}".encode(), digest_size=8).digest()
        return self.maps[keys[int.from_bytes(digest, "big") % len(keys)]]

    def check_labels(self, labels: Sequence[str]) -> None:
        """Raise if a label has no folder of maps.

        Raises:
            UserError: It names them.
        """
        if missing := [label for label in labels if label not in self._by_folder]:
            raise self._no_maps(missing)

    def _no_maps(self, labels: Sequence[str]) -> UserError:
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        return UserError(
            f"has no folder of maps for the label {', '.join(map(repr, labels[:3]))}{more}",
            where=str(self._root),
            fix="add it, take a label set without it, or set `pairing: any`",
        )

    def _named(self, name: str) -> ControlMap:
        if name in self.maps:
            return self.maps[name]
        # A key of a tar has no ending, and a file may be named without its own.
        found = self._by_stem.get(name) or self._by_stem.get(_stem(name)) or []
        found = [key for key in found if not (has_image_ending(name) and has_image_ending(key))]
        if len(found) == 1:
            return self.maps[found[0]]
        if found:
            raise UserError(
                f"has the maps {', '.join(found)} for the image '{name}' of a caption",
                where=str(self._root),
                fix="write the ending in the captions file",
            )
        near = suggestion(name, list(self.maps)[:20], what="map")
        raise UserError(
            f"has no map '{name}', which a caption names as its image",
            where=str(self._root),
            fix=f"add it, or correct the column 'image' of the captions file; {near}",
        )

    def _scan(self) -> Iterator[ControlMap]:
        if self._root.is_file():
            yield from _members(self._root, self._field)
            return
        for path in files_below(self._root, IMAGE_ENDINGS | {".tar"}):
            if path.suffix.lower() in IMAGE_ENDINGS:
                yield ControlMap(path.relative_to(self._root).as_posix(), path)
            else:
                yield from _members(path, self._field)


def _members(path: Path, field: str | None) -> Iterator[ControlMap]:
    """Yield the images of a tar by the key of their sample: its name up to the first dot of the file name."""
    for info in tar_entries(path):
        folder, slash, file = info.name.rpartition("/")
        stem, _, name = file.partition(".")
        wanted = name == field if field else has_image_ending(f".{name}")
        # A link could lead out of the archive.
        if info.isreg() and stem and wanted:
            yield ControlMap(f"{folder}{slash}{stem}", path, info.name, info.offset_data, info.size)


def _stem(key: str) -> str:
    return key[: -len(Path(key).suffix)] if has_image_ending(key) else key


def prepare_map(
    content: bytes, size: Size, *, where: str, palette: Palette | None, resample: Resample
) -> PillowImage.Image:
    """Return a map as the RGB image that a ControlNet reads.

    With a palette, an image of one channel holds class indices and is painted, and an RGB one is checked.
    The longer side is cut at both ends to the shape of `size`, then the map is resampled.

    Args:
        content: The encoded image.
        size: Width and height in pixels.
        where: Its place, for messages.
        palette: Colours of the classes of a mask; None for an image that is shown as it is.
        resample: "nearest", which invents no colour, or "bicubic", antialiased.

    Raises:
        UserError: It is no image, has more than 8 bits a channel, or a class that the palette has not.
    """
    image = _decode(content, where)
    if palette is not None and image.mode in _INDEX_MODES:
        image = PillowImage.fromarray(palette.paint(np.asarray(image).astype(np.int64), where=where))
    elif image.mode.startswith(("I", "F")):
        raise UserError(
            f"has {image.mode} pixels, not 8 bits a channel",
            where=where,
            fix="save it with 8 bits a channel, or name the palette of its classes by `palette`",
        )
    else:
        image = image.convert("RGB")
        if palette is not None:
            palette.check(np.asarray(image), where=where)
    if image.size == size:
        return image
    return ImageOps.fit(image, size, _RESAMPLING[resample])


def _decode(content: bytes, where: str) -> PillowImage.Image:
    try:
        image: PillowImage.Image = PillowImage.open(io.BytesIO(content))
        image.load()
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        PillowImage.DecompressionBombError,
        PillowImage.DecompressionBombWarning,
    ) as error:
        raise UserError(
            f"cannot be read as an image: {error}", where=where, fix="remove or replace it"
        ) from error
    return image


def png(image: PillowImage.Image) -> bytes:
    """Return an image as PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
