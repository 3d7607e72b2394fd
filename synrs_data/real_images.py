"""Real images by label: folders of labelled images, and the few of each label that a build may see."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.image_sources.listing import IMAGE_ENDINGS, files_below


@dataclass(frozen=True, slots=True)
class RealImage:
    """One real image.

    Attributes:
        name: Its path within the folder, with forward slashes.
        path: Where it lies.
        sha256: Digest of its bytes.
    """

    name: str
    path: Path
    sha256: str

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            UserError: They are not those that the folder held when it was read first.
        """
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise UserError("has changed during the build", where=str(self.path), fix="put it back")
        return content


class LabelledFolder:
    """A folder of real images in one of two layouts: a folder a label, or files named LABEL_NUMBER.

    `Forest/anything.jpg` and `Forest_12.jpg` are of the label "Forest". Files of other names, and folders of
    labels that a recipe does not have, are left alone.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._chosen: dict[tuple[str, int | None, int], tuple[RealImage, ...]] = {}

    @cached_property
    def images(self) -> tuple[RealImage, ...]:
        """Every image of the folder, in order of name.

        Raises:
            UserError: There is none.
        """
        found = tuple(
            RealImage(path.relative_to(self._root).as_posix(), path, files.sha256(path))
            for path in files_below(self._root, IMAGE_ENDINGS)
        )
        if not found:
            raise UserError(
                "there are no images (jpg, png, webp, tif)",
                where=str(self._root),
                fix="give a folder that holds a folder of real images for each label",
            )
        return found

    def digest(self) -> str:
        """Return a sha256 over the names and contents of all images."""
        lines = "".join(f"{image.name} {image.sha256}\n" for image in self.images)
        return hashlib.sha256(lines.encode()).hexdigest()

    def choose(self, label: str, shots: int | None, seed: int) -> tuple[RealImage, ...]:
        """Return the images of a label that a build may see.

        They are the first by a hash of seed, label and contents: neither names nor the order of files count,
        copies count once, and fewer shots are some of more shots.

        Args:
            label: Name of the label.
            shots: How many; None for all.
            seed: Another seed chooses others.

        Raises:
            UserError: There are fewer.
        """
        key = (label, shots, seed)
        if key not in self._chosen:
            self._chosen[key] = self._choose(label, shots, seed)
        return self._chosen[key]

    def choose_all(self, labels: Sequence[str], shots: int | None, seed: int) -> list[RealImage]:
        """Return the images of every label that a build may see."""
        return [image for label in labels for image in self.choose(label, shots, seed)]

    def _choose(self, label: str, shots: int | None, seed: int) -> tuple[RealImage, ...]:
        own = {image.sha256: image for image in reversed(self.images) if _is_of(label, image.name)}
        if len(own) < (1 if shots is None else shots):
            found = f"{len(own)} different images of the label '{label}'"
            raise UserError(
                f"holds {found}" + ("" if shots is None else f", fewer than the {shots} shots"),
                where=str(self._root),
                fix=f"put more into its folder '{label}', or lower `shots`",
            )
        ranked = sorted(own, key=lambda sha256: _rank(seed, label, sha256))
        return tuple(own[sha256] for sha256 in ranked[:shots])


def _is_of(label: str, name: str) -> bool:
    folder, slash, _ = name.partition("/")
    if slash:
        return folder == label
    return re.fullmatch(re.escape(label) + r"[-_ .]?\d+", Path(name).stem) is not None


def _rank(seed: int, label: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{label}/{sha256}".encode(), digest_size=8).digest()
