"""Image files of folders and members of tars: the one way in which they are listed and read by position."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from synrs_data.errors import UserError

IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})


def has_image_ending(name: str) -> bool:
    """Return whether a name, or an ending such as ".mask.png" alone, is that of an image."""
    return Path(f"x{name}" if name.startswith(".") else name).suffix.lower() in IMAGE_ENDINGS


def files_below(root: Path, endings: Collection[str], *, all_there: bool = False) -> list[Path]:
    """Return the files of a folder and those below it that have one of some endings, in order of path.

    Links to files count as files; links to folders are not followed.

    Args:
        root: The folder.
        endings: Lower-case endings with their dots; files may have them in upper case.
        all_there: Whether a link to nothing is an error, and not passed over.

    Raises:
        UserError: A link leads to nothing.
    """
    found = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in endings:
            continue
        if path.is_file():
            found.append(path)
        elif all_there and path.is_symlink() and not path.exists():
            raise UserError(
                "is a link to nothing", where=str(path), fix="fetch the file that it stands for, or remove it"
            )
    return found


def tar_entries(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield every member of an uncompressed tar, whatever it is, in order.

    Raises:
        UserError: The file cannot be read as a tar.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                # A negative size would lead Python's reader back, and round and round (CVE-2025-8194).
                if info.size < 0:
                    raise tarfile.ReadError(f"the member {info.name!r} has a negative size")
                yield info
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise UserError(
            f"is no whole, uncompressed tar: {error}", where=str(path), fix="get the tar again, whole"
        ) from error


def read_part(path: Path, offset: int, size: int | None, *, where: str, what: str) -> bytes:
    """Return some bytes of a file.

    Args:
        path: The file.
        offset: The first byte.
        size: How many; None for all that follow.
        where: The place of the bytes, for messages.
        what: What they are, for messages, such as "image".

    Raises:
        UserError: The file has gone, or is cut short.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(-1 if size is None else size)
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=where, fix=f"put the {what} back"
        ) from error
    if size is not None and len(content) < size:
        raise UserError("is cut short", where=where, fix="get the tar again, whole")
    return content
