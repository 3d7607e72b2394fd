"""USTAR archives whose bytes depend on their samples alone.

Members have mtime 0, owner 0, mode 0644 and come sorted by field within a sample. A sample is a contiguous
*span* of the file, so packing copies spans and never decodes an image. Checked against Python's `tarfile`,
`webdataset` and `datasets` in the tests.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from synrs_data.errors import VerificationError

_BLOCK = 512
_KEY = re.compile(r"[0-9]{9}")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a sample lies in a tar: `length` bytes from `offset`, whole blocks, headers included."""

    offset: int
    length: int


def sample_bytes(key: str, fields: Mapping[str, bytes]) -> bytes:
    """Return the blocks of one sample: a header and padded contents for each field, sorted by field.

    Args:
        key: Nine digits.
        fields: Contents by extension, such as `{"jpg": ..., "json": ...}`.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"key '{key}' is not nine digits")
    parts = []
    for name in sorted(fields):
        info = tarfile.TarInfo(f"{key}.{name}")
        info.size = len(fields[name])
        info.mode = 0o644
        parts += [info.tobuf(tarfile.USTAR_FORMAT), fields[name], b"\0" * (-info.size % _BLOCK)]
    return b"".join(parts)


class TarWriter:
    """Writes samples one after the other into an open file.

    Args:
        file: Opened for writing at its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0

    def write(self, blocks: bytes) -> Span:
        """Append the blocks of one sample and say where they lie."""
        span = Span(self._offset, len(blocks))
        self._file.write(blocks)
        self._offset += len(blocks)
        return span

    def close(self) -> None:
        """Write the end of the archive: two empty blocks, then zeros to a whole record of 20 blocks."""
        self._file.write(b"\0" * (2 * _BLOCK))
        self._offset += 2 * _BLOCK
        self._file.write(b"\0" * (-self._offset % tarfile.RECORDSIZE))


def read_span(path: Path, span: Span) -> bytes:
    """Return the blocks of a sample."""
    with path.open("rb") as file:
        file.seek(span.offset)
        return file.read(span.length)


def read_sample(path: Path, span: Span) -> dict[str, bytes]:
    """Return the contents of a sample by field.

    Raises:
        VerificationError: The span holds no whole sample.
    """
    blocks = read_span(path, span)
    if len(blocks) < span.length:
        raise VerificationError(f"ends before the sample at byte {span.offset} does", where=str(path))
    return parse_sample(blocks, where=str(path))


def parse_sample(blocks: bytes, *, where: str) -> dict[str, bytes]:
    """Return the contents of one sample's blocks by field.

    Raises:
        VerificationError: They are no whole sample.
    """
    fields: dict[str, bytes] = {}
    start = 0
    while start < len(blocks):
        try:
            info = tarfile.TarInfo.frombuf(blocks[start : start + _BLOCK], "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise VerificationError(f"a sample's header is damaged: {error}", where=where) from error
        content = blocks[start + _BLOCK : start + _BLOCK + info.size]
        if not 0 <= info.size <= len(content):
            raise VerificationError(f"'{info.name}' is cut short", where=where)
        fields[info.name.partition(".")[2]] = content
        start += _BLOCK + info.size + -info.size % _BLOCK
    if not fields or start != len(blocks):
        raise VerificationError("a sample is cut short", where=where)
    return fields


class Readable(Protocol):
    """Something that is read forwards: an open file, or an answer of the Hub."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class ForwardReader:
    """A binary stream that is read once, from its start to its end, without a file behind it.

    It counts and hashes what goes through, and keeps the last bytes: more than may follow the last member of an
    archive, so that the end can be checked when nothing can be read again.

    Args:
        source: Read from where it stands.
    """

    _KEPT = 2 * tarfile.RECORDSIZE

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size = 0
        self.tail = b""

    def read(self, size: int = 2**20, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        data = self._source.read(size)
        self._digest.update(data)
        self.size += len(data)
        self.tail = (self.tail + data)[-self._KEPT :]
        return data

    def drain(self) -> None:
        """Read what is left."""
        while self.read():
            pass

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of what was read."""
        return self._digest.hexdigest()


def members(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield key and fields of every sample of a tar, in order.

    Raises:
        VerificationError: The file is no whole tar, a member is no regular file, or a key or field comes back.
    """
    try:
        with path.open("rb") as file:
            yield from stream_members(ForwardReader(file), where=str(path))
    except OSError as error:
        raise VerificationError(f"is no whole tar: {error}", where=str(path)) from error


def stream_members(source: ForwardReader, *, where: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield key and fields of every sample of a tar that is read forwards alone; one sample is in memory at a time.

    Args:
        source: The tar, at its start. It is read to its end, unless an error ends it before.
        where: What it is, for messages.

    Raises:
        VerificationError: See `members`.
    """
    seen: set[str] = set()
    current, fields = "", dict[str, bytes]()
    end = 0
    try:
        with tarfile.open(fileobj=cast(BinaryIO, source), mode="r|") as tar:
            for info in tar:
                # `tarfile` would keep a description of every member.
                cast(Any, tar).members = []
                key, _, name = info.name.partition(".")
                # A link is no field: it could lead to another member, or out of the archive.
                content = tar.extractfile(info) if info.isreg() and info.size >= 0 else None
                if content is None or not name or not _KEY.fullmatch(key):
                    raise VerificationError(f"'{info.name}' is no field of a sample", where=where)
                if key != current:
                    if fields:
                        yield current, fields
                    if key in seen:
                        raise VerificationError(f"the key '{key}' comes back", where=where)
                    seen.add(key)
                    current, fields = key, {}
                if name in fields:
                    raise VerificationError(f"the field '{info.name}' comes back", where=where)
                fields[name] = content.read()
                end = info.offset_data + info.size + -info.size % _BLOCK
        source.drain()
        _check_end(source, end, where)
    except (tarfile.TarError, UnicodeDecodeError) as error:
        raise VerificationError(f"is no whole tar: {error}", where=where) from error
    if fields:
        yield current, fields


def _check_end(source: ForwardReader, end: int, where: str) -> None:
    """Raise if anything but the empty blocks that end an archive follows the last member.

    `tarfile` takes a damaged header in the middle, or no end at all, for the end.
    """
    length = source.size - end
    whole = 2 * _BLOCK <= length < 2 * tarfile.RECORDSIZE
    if not whole or any(source.tail[len(source.tail) - length :]):
        raise VerificationError(f"is no whole tar: damaged or cut short at byte {end}", where=where)
