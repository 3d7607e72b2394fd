"""The generated shards of a build: which are done, and the table of them all."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from synrs_data import files
from synrs_data.errors import CorruptShardError
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import marker_digest


@dataclass(frozen=True, slots=True)
class DoneShard:
    """A finished shard, as its done marker describes it."""

    shard: int
    samples: int
    files: dict[str, dict[str, Any]]
    generator: dict[str, Any]
    environment: dict[str, str]
    unreadable: tuple[str, ...] = ()
    compared: dict[str, int] = field(default_factory=dict)


def done_shards(folder: BuildFolder, count: int, fingerprint: str) -> list[DoneShard]:
    """Return the shards below `count` with a done marker of this fingerprint and files of the right size.

    Anything else counts as not made. Contents are checked where they are read: a table by `read_table`, a
    sample when it is packed, all of them by `check_contents`.
    """
    found = (
        read_marker(folder, shard, fingerprint) for shard in range(count) if folder.done(shard).is_file()
    )
    return [shard for shard in found if shard is not None]


def marker_text(marker: dict[str, Any]) -> str:
    """Return a done marker as it is written: with a digest over itself, because card and manifest quote it."""
    return json.dumps({**marker, "digest": marker_digest(marker)}, indent=1) + "\n"


def read_marker(folder: BuildFolder, shard: int, fingerprint: str) -> DoneShard | None:
    """Return what a done marker describes, None if it is damaged, another recipe's, or its files are not there."""
    try:
        values = json.loads(folder.done(shard).read_text(encoding="utf-8"))
        if values.pop("digest") != marker_digest(values):
            return None
        done = DoneShard(
            values["shard"],
            values["samples"],
            values["files"],
            values["generator"],
            values["environment"],
            tuple(values.get("unreadable", [])),
            dict(values.get("compared", {})),
        )
        sizes = [
            (folder.candidates / name).stat().st_size == entry["bytes"] for name, entry in done.files.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    right = values.get("fingerprint") == fingerprint and done.shard == shard
    return done if right and sizes and all(sizes) else None


def read_table(folder: BuildFolder, shard: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the table of one shard.

    Raises:
        CorruptShardError: It is not the table that the done marker names, or cannot be read.
    """
    path = folder.candidate_table(shard)
    try:
        content = path.read_bytes()
        marker = json.loads(folder.done(shard).read_text(encoding="utf-8"))
        if hashlib.sha256(content).hexdigest() != marker["files"][path.name]["sha256"]:
            raise CorruptShardError(shard, "its contents have changed (sha256 differs)", where=str(path))
        return pl.read_parquet(io.BytesIO(content), columns=list(columns) if columns else None)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptShardError(shard, "has no done marker", where=str(path)) from error
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptShardError(shard, f"is no whole table: {reason}", where=str(path)) from error


def check_contents(folder: BuildFolder, done: Sequence[DoneShard]) -> None:
    """Read every byte of some shards.

    Raises:
        CorruptShardError: A file of one is not what its done marker promises.
    """
    for shard in done:
        for name, entry in shard.files.items():
            path = folder.candidates / name
            if files.sha256(path) != entry["sha256"]:
                raise CorruptShardError(
                    shard.shard, "its contents have changed (sha256 differs)", where=str(path)
                )


def forget(folder: BuildFolder, shard: int) -> None:
    """Drop the done marker of a damaged shard, so that the next run makes it again."""
    files.remove(folder.done(shard))
