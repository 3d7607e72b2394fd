"""Files that are either whole or absent, and folders that one build owns at a time.

The pattern of `atomic`: write to a temporary file in the same folder, flush and fsync it, rename it over the
final name, fsync the folder. A crash leaves at most a temporary file, which the next build removes.

Known trade-offs: one fsync a file (shards are few and large); a rename needs the same file system, so
temporary files lie beside the final ones. Scope: local and POSIX network file systems with atomic rename.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from synrs_data.errors import BuildFolderError

_TEMPORARY = ".partial-"

_REFUSALS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EFBIG,
}


@contextlib.contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the name `path` when the block ends without an error.

    Args:
        path: Its name.
        durable: Whether it has reached the disk then; False for one of many files that are made again with ease, as
            waiting for the disk takes longer than making them.

    Raises:
        BuildFolderError: The disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    with writable(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - the one call that the promise rests on, kept visible
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` atomically; `durable` as for `atomic`."""
    with atomic(path, durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `text` as UTF-8 to `path` atomically; `durable` as for `atomic`."""
    write_bytes(path, text.encode(), durable=durable)


def remove(path: Path) -> None:
    """Remove a file, if there is one.

    Raises:
        BuildFolderError: It cannot be removed, or is a folder.
    """
    with writable(path):
        path.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what killed writers left behind. Call it only while holding the folder's lock."""
    for path in folder.rglob(f"{_TEMPORARY}*"):
        remove(path)


def is_temporary(path: Path) -> bool:
    """Return whether `path` is the unfinished file of a killed or running writer."""
    return path.name.startswith(_TEMPORARY)


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exists(path: Path) -> bool:
    """Return whether there is something of this name; a name that the system refuses, such as a long one, is none."""
    try:
        return path.exists()
    except OSError:
        return False


def make_folder(path: Path) -> None:
    """Make `path` and its parents.

    Raises:
        BuildFolderError: It cannot be made.
    """
    with writable(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below `path` into messages."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildFolderError(
                "the disk is full",
                where=str(path),
                fix="free some space and run the same command again: what is finished is kept",
            ) from error
        if error.errno in _REFUSALS:
            raise BuildFolderError(
                f"cannot be written ({error.strerror})",
                where=str(path),
                fix="give `--out` a folder that you may write to",
            ) from error
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class FolderLock:
    """An exclusive lock on a folder, held by the operating system, so that a killed process frees it.

    Args:
        folder: The folder; `.lock` inside it says which process holds it.
        what: What works in it, for the message.
        fix: What to do where another process holds it.
        lasting: Whether `.lock` stays behind.
    """

    def __init__(
        self,
        folder: Path,
        *,
        what: str = "build",
        fix: str = "wait for it (`synrs-data status` shows how far it is), or choose another `--out`",
        lasting: bool = True,
    ) -> None:
        self._path = folder / ".lock"
        self._what, self._fix, self._lasting = what, fix, lasting
        self._handle: int | None = None

    def __enter__(self) -> FolderLock:
        handle = self._open()
        # Who waited for a lock that does not last may hold a file that has lost its name, and with it its meaning.
        while not self._lasting and not self._is_named(handle):
            os.close(handle)
            handle = self._open()
        self._handle = handle
        try:
            with writable(self._path):
                os.ftruncate(handle, 0)
                os.write(handle, f"{os.getpid()}\n".encode())
        except BaseException:
            self._release()
            raise
        return self

    def _open(self) -> int:
        with writable(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(handle)
        except OSError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            raise BuildFolderError(
                f"another {self._what} is at work in this folder{f' (process {holder})' if holder else ''}",
                where=str(self._path.parent),
                fix=self._fix,
            ) from error
        return handle

    def _is_named(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except FileNotFoundError:
            return False

    @staticmethod
    def _take(handle: int) -> None:
        # `status` holds the lock for an instant to see whether a build does; that is no reason to refuse.
        for _ in range(4):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.05)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        assert self._handle is not None
        if not self._lasting:
            # While it is held: later, another process could have taken it.
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._handle)
        self._handle = None
