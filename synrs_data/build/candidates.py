"""The generated shards of a build: which are done, and the table of them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from synrs_data.errors import CorruptShardError
from synrs_data.shards.folder import BuildFolder


@dataclass(frozen=True, slots=True)
class DoneShard:
    """A finished shard, as its done marker describes it."""

    shard: int
    samples: int
    files: dict[str, dict[str, Any]]
    generator: dict[str, Any]
    environment: dict[str, str]


def done_shards(folder: BuildFolder, count: int, fingerprint: str) -> list[DoneShard]:
    """Return the shards below `count` with a done marker of this fingerprint and files of the right size.

    Anything else counts as not made. Contents are checked where they are read: when packing and by `verify`.
    """
    found = (
        read_marker(folder, shard, fingerprint) for shard in range(count) if folder.done(shard).is_file()
    )
    return [shard for shard in found if shard is not None]


def read_marker(folder: BuildFolder, shard: int, fingerprint: str) -> DoneShard | None:
    """Return what a done marker describes, None if it is damaged, another recipe's, or its files are not there."""
    try:
        values = json.loads(folder.done(shard).read_text(encoding="utf-8"))
        done = DoneShard(
            values["shard"], values["samples"], values["files"], values["generator"], values["environment"]
        )
        sizes = [
            (folder.candidates / name).stat().st_size == entry["bytes"] for name, entry in done.files.items()
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    right = values.get("fingerprint") == fingerprint and done.shard == shard
    return done if right and sizes and all(sizes) else None


def read_table(folder: BuildFolder, shard: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the table of one shard.

    Raises:
        CorruptShardError: It cannot be read.
    """
    path = folder.candidate_table(shard)
    try:
        return pl.read_parquet(path, columns=list(columns) if columns else None)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptShardError(shard, f"is no whole table: {reason}", where=str(path)) from error


def forget(folder: BuildFolder, shard: int) -> None:
    """Drop the done marker of a damaged shard, so that the next run makes it again."""
    folder.done(shard).unlink(missing_ok=True)
