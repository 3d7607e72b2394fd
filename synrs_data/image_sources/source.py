"""Sources of images: what lies in a folder, tar, build, parquet shards or dataset of the Hub, by name.

An index holds one small value an image; bytes are read by position when they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.image_sources.builds import BuildFiles, build_around, is_build
from synrs_data.image_sources.containers import parquet_column, parquet_height, read_parquet, tar_images
from synrs_data.image_sources.hub import fetch_images, parse_address
from synrs_data.image_sources.listing import IMAGE_ENDINGS, files_below, read_part

HR_FIELD = "hr.png"
"""Field that is taken of samples with several images if none is asked for: the high-resolution one of a pair."""

_TAR, _PARQUET = ".tar", ".parquet"
_ENDINGS = IMAGE_ENDINGS | {_TAR, _PARQUET}
_KINDS = {"image files": IMAGE_ENDINGS, "tars": {_TAR}, "parquet shards of images": {_PARQUET}}


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image, where it lies.

    Attributes:
        name: Its file's path in the source, then a colon and its member or row; printable characters alone.
        path: The file that holds it.
        member: Name of the tar's member or number of the parquet's row; empty for a file of its own.
        offset: First byte in the file.
        size: Number of bytes; None for the whole file.
        column: Column of a parquet file; empty for others.
    """

    name: str
    path: Path
    member: str = ""
    offset: int = 0
    size: int | None = None
    column: str = ""

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def read(self) -> bytes:
        """Return the encoded image; empty for a parquet row without bytes.

        Raises:
            UserError: Its file has gone, is cut short or cannot be read.
        """
        if self.column:
            return read_parquet(self.path, self.column, int(self.member))
        return read_part(self.path, self.offset, self.size, where=self.where, what="image")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a source lies: names are relative to `root`, and what is in or below `start` is read."""

    root: Path
    start: Path
    name: str
    revision: str


class ImageSource:
    """Images by name, wherever they lie; nothing is read or fetched before it is asked for.

    What it is, is told by what is there:

    - an image file, or a folder of them and of folders of them;
    - a WebDataset tar, or a folder of them;
    - a finished build of synrs-data, or its `data` or one of its shards: the packed shards of its manifest, never
      its candidates;
    - a parquet shard, or a folder of them, with a column of `{bytes, path}`, as `datasets` writes images;
    - any of these in a dataset of the Hub; one that holds a single published build is that build.

    A folder of several kinds is refused. Files whose name, or folder below the source, begins with a dot are none.

    Args:
        location: A path, or `hf://datasets/USER/NAME[@REVISION][/PATH]`.
        field: Field of a tar's samples, such as "hr.png", or column of parquet; None: `hr.png` of samples that have
            it, and of others the only image.
    """

    def __init__(self, location: str, field: str | None = None) -> None:
        self._location = location
        self._field = field

    @property
    def name(self) -> str:
        """USER/NAME of the Hub, else the name of the folder or file."""
        return self._place.name

    @property
    def revision(self) -> str:
        """Commit of the Hub, else "local"."""
        return self._place.revision

    @property
    def synthetic(self) -> bool:
        """Whether the images come from a build of ours whose images a model made."""
        return self._build is not None and self._build.synthetic

    @cached_property
    def images(self) -> tuple[SourceImage, ...]:
        """Every image, in order of name.

        Raises:
            UserError: There is none, or the source cannot be read as it stands.
        """
        found = sorted(self._scan(), key=lambda image: image.name)
        if not found:
            field = f" with the field '{self._field}'" if self._field else ""
            raise UserError(
                f"there are no images{field} (jpg, png, webp, tif, or tars or parquet shards of them)",
                where=self._location,
                fix="give a folder, tar, build or dataset that holds some; unpack zip and tar.gz files first",
            )
        return tuple(found)

    def digest(self) -> str:
        """Return a sha256 over names and contents: those of images, or those of the tars or shards that hold them.

        Raises:
            UserError: See `images`; or a shard of a build is not the one that was finished.
        """
        lines = {}
        for path in {image.path: None for image in self.images}:
            name = self._relative(path)
            lines[name] = _sha256(path)
            if self._build is not None:
                self._build.check_sha256(path, lines[name])
        text = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(lines.items()))
        return hashlib.sha256(f"{self._field or ''}\n{text}".encode()).hexdigest()

    @cached_property
    def _place(self) -> _Place:
        address = parse_address(self._location)
        if address is not None:
            patterns = [f"*{case}" for end in sorted(_ENDINGS) for case in (end, end.upper())]
            root, path = fetch_images(address, patterns)
            start = self._check(root / path)
            return _Place(root, start, address.name, root.name)
        try:
            start = Path(self._location).expanduser()
        except RuntimeError:
            # `~NAME` of an unknown user.
            start = Path(self._location)
        start = self._check(start).absolute()
        return _Place(start.parent if start.is_file() else start, start, start.resolve().name, "local")

    def _check(self, start: Path) -> Path:
        """Return a path if something is there that may hold images."""
        if not self._location or not files.exists(start):
            raise UserError(
                "there is no such file or folder",
                where=self._location or "the empty path",
                fix="correct the path in the recipe, or write hf://datasets/USER/NAME for a dataset of the Hub",
            )
        if not (start.is_file() or start.is_dir()):
            raise UserError(
                "is neither a file nor a folder", where=self._location, fix="give one that holds images"
            )
        return start

    @cached_property
    def _build(self) -> BuildFiles | None:
        return build_around(self._place.start)

    def _relative(self, path: Path) -> str:
        root = self._place.root if self._build is None else self._build.folder
        return printable(path.relative_to(root).as_posix())

    def _scan(self) -> Iterator[SourceImage]:
        kind, paths = self._of_one_kind(self._files(self._place.start))
        for path in paths:
            name = self._relative(path)
            if kind == "tars":
                for member, offset, size in tar_images(path, self._field, HR_FIELD):
                    member = printable(member)
                    yield SourceImage(f"{name}:{member}", path, member, offset, size)
            elif kind == "image files":
                if self._field is not None:
                    raise UserError(
                        f"holds image files, which have no field '{self._field}'",
                        where=self._location,
                        fix="take `field` out of the recipe",
                    )
                yield SourceImage(name, path)
            elif column := parquet_column(path, self._field, HR_FIELD):
                for row in range(parquet_height(path)):
                    yield SourceImage(f"{name}:{row:06d}", path, str(row), column=column)

    def _files(self, start: Path) -> list[Path]:
        """Return the files that may hold images."""
        if self._build is not None:
            return self._build.tars(start)
        if start.is_file():
            return [start]
        found = [
            path
            for path in files_below(start, _ENDINGS, all_there=True)
            if not any(part.startswith(".") for part in path.relative_to(start).parts)
        ]
        for folder in sorted({path.parent.parent for path in found if path.suffix.lower() == _TAR}):
            if is_build(folder):
                raise UserError(
                    f"holds a build of synrs-data among other things: {folder}",
                    where=self._location,
                    fix="name the folder of that build alone: its candidates are no images to start from",
                )
        return found

    def _of_one_kind(self, paths: Sequence[Path]) -> tuple[str, list[Path]]:
        """Return the kind of some files and those that are of it.

        Parquet files without a column of images are tables that belong to something else, and are left alone.
        """
        kinds = {
            kind: [path for path in paths if path.suffix.lower() in endings]
            for kind, endings in _KINDS.items()
        }
        shards = kinds["parquet shards of images"]
        shards[:] = [path for path in shards if parquet_column(path, self._field, HR_FIELD)]
        there = {kind: found for kind, found in kinds.items() if found}
        if len(there) > 1:
            listed = " and ".join(
                f"{len(found)} {kind} (such as {self._relative(found[0])})" for kind, found in there.items()
            )
            raise UserError(
                f"holds {listed}",
                where=self._location,
                fix="name the folder or file of the ones that are meant",
            )
        return next(iter(there.items()), ("", []))


def printable(name: str) -> str:
    """Return a name with every character escaped that is not printable: ends of lines, bytes that are no UTF-8."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name
    )


def _sha256(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=str(path), fix="put the file back"
        ) from error
