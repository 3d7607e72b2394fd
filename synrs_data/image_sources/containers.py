"""Images within files of many: members of WebDataset tars, rows of the parquet shards that `datasets` writes."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from synrs_data.errors import UserError
from synrs_data.image_sources.listing import has_image_ending, tar_entries

_BLOCK = 512
_LONGEST_NAME = 1000
_CHUNK = 1 << 20


def tar_images(path: Path, field: str | None, preferred: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, first byte and size of one image of each sample of a whole tar.

    A sample is what has one name up to the first dot of the file name; the rest is the field, as in WebDataset.

    Args:
        path: The tar.
        field: The field of the image; None for `preferred` of samples that have it, else for the only image.
        preferred: See `field`.

    Raises:
        UserError: It is no whole tar, or a sample has several images, or an image is a link, comes twice, or has a
            name that leads out of the archive.
    """
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    end = 0
    for info in tar_entries(path):
        end = max(end, _end_of(info))
        folder, slash, file = info.name.removeprefix("./").rpartition("/")
        stem, _, found = file.partition(".")
        wanted = has_image_ending(f".{found}") if field is None else found.lower() == field.lower()
        if not stem or not wanted or info.isdir():
            continue
        _check_member(info, path)
        fields = samples.setdefault(f"{folder}{slash}{stem}", {})
        if found in fields:
            raise _refused(path, f"the member {info.name!r} comes twice", "make the tar again without copies")
        fields[found] = info
    _check_end(path, end)
    for key, fields in samples.items():
        name = one_field(fields, preferred)
        if name is None:
            raise _refused(
                path,
                f"the sample {key!r} has the images {', '.join(map(repr, sorted(fields)))}",
                "name the one that is meant by `field`",
            )
        info = fields[name]
        yield info.name, info.offset_data, info.size


def one_field(fields: Collection[str], preferred: str) -> str | None:
    """Return the preferred one of some fields, or the only one; None if that leaves it open."""
    return preferred if preferred in fields else next(iter(fields)) if len(fields) == 1 else None


def _check_member(info: tarfile.TarInfo, path: Path) -> None:
    if not info.isreg() or info.issparse():
        raise _refused(
            path,
            f"the member {info.name!r} is no plain file",
            "make the tar again with files, not links (`tar --dereference --hard-dereference`)",
        )
    if info.name.startswith("/") or ".." in info.name.split("/"):
        raise _refused(
            path,
            f"the member {info.name!r} leads out of the archive",
            "make the tar again with relative names",
        )
    if len(info.name) > _LONGEST_NAME:
        what = f"a member has a name of {len(info.name):,} characters: {info.name[:40]!r}..."
        raise _refused(path, what, f"make the tar again with names of at most {_LONGEST_NAME:,} characters")


def _end_of(info: tarfile.TarInfo) -> int:
    """Return the byte after a member; links have no contents whatever size they state (see `TarFile.next`)."""
    has_contents = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    return info.offset_data + (-(-info.size // _BLOCK) * _BLOCK if has_contents else 0)


def _check_end(path: Path, end: int) -> None:
    """Raise if anything but the empty blocks that end an archive follows: `tarfile` takes damage for the end."""
    size = 0
    with path.open("rb") as file:
        file.seek(end)
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if any(chunk):
                raise _refused(
                    path, f"is no whole tar: damaged at or after byte {end}", "get the tar again, whole"
                )
    if size < 2 * _BLOCK:
        raise _refused(path, f"is no whole tar: cut short at byte {end + size}", "get the tar again, whole")


def _refused(path: Path, what: str, fix: str) -> UserError:
    return UserError(what, where=str(path), fix=fix)


def parquet_column(path: Path, field: str | None, preferred: str) -> str:
    """Return the column of a parquet file that holds the images, empty if none is made of `{bytes, path}`.

    Args:
        path: The file.
        field: The column; None for `preferred` if there is one of that name, else for the only one.
        preferred: See `field`.

    Raises:
        UserError: It is no whole parquet file, has no such column, or several to choose from.
    """
    import polars as pl

    with _reading(path):
        schema = pl.scan_parquet(path, glob=False).collect_schema()
    columns = [
        name
        for name, kind in schema.items()
        if isinstance(kind, pl.Struct) and any(part.name == "bytes" for part in kind.fields)
    ]
    if not columns:
        return ""
    found = one_field(columns, preferred) if field is None else field if field in columns else None
    if found is None:
        what = f"has the images {', '.join(map(repr, columns))}" + (f", not {field!r}" if field else "")
        raise _refused(path, what, "name the one that is meant by `field`")
    return found


def parquet_height(path: Path) -> int:
    """Return the number of rows of a parquet file.

    Raises:
        UserError: It is no whole parquet file.
    """
    import polars as pl

    with _reading(path):
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def read_parquet(path: Path, column: str, row: int) -> bytes:
    """Return the bytes of an image in a parquet file, empty if the row has none, only a path.

    The row's group is read for it, of which `datasets` makes one for about 100 MB of images.

    Raises:
        UserError: They cannot be read.
    """
    import polars as pl
    from polars import selectors

    with _reading(path):
        # By selector, because `pl.col` takes some names for patterns.
        chosen = pl.scan_parquet(path, glob=False).select(selectors.by_name(column)).slice(row, 1).collect()
        if chosen.height != 1:
            raise ValueError(f"there is no row {row}")
        cell = chosen.to_series().struct.field("bytes").item()
    return bytes(cell) if cell is not None else b""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the parquet reader raises, its panics among it, into a message."""
    import polars as pl

    try:
        yield
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _refused(path, f"is no whole parquet file: {reason}", "get the file again, whole") from error
