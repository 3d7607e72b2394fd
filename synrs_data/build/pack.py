"""Pack accepted candidates into the final shards by copying their encoded bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from synrs_data import files
from synrs_data.build.candidates import read_table
from synrs_data.errors import CorruptShardError
from synrs_data.recipe import Selection
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.table import write_table
from synrs_data.shards.tar import TarWriter


def even_parts(total: int, largest: int) -> list[int]:
    """Return sizes of the fewest parts of at most `largest` that differ by one at most."""
    count = max(1, -(-total // largest))
    return [total // count + (i < total % count) for i in range(count)]


def pack(folder: BuildFolder, table: pl.DataFrame, select: Selection) -> dict[str, dict[str, Any]]:
    """Write `data/`, `metadata/` and `rejects.parquet`, and remove shards of an earlier selection.

    Args:
        folder: The build folder, with its candidates.
        table: The verdicts of all candidates: `key`, `shard`, `reason`, `rule`, `split`.
        select: The selection part of the recipe.

    Returns:
        By path relative to the folder: how many samples each written file holds.

    Raises:
        CorruptShardError: A candidate shard does not hold what its table says.
        BuildFolderError: The disk is full.
    """
    files.make_folder(folder.data)
    files.make_folder(folder.metadata)
    written: dict[str, dict[str, Any]] = {}
    with closing(_Source(folder)) as source:
        for split in select.splits:
            own = table.filter(pl.col("split") == split)
            if not own.height:
                continue
            start = 0
            for number, size in enumerate(even_parts(own.height, select.samples_per_shard)):
                name = f"{split}-{number:05d}"
                rows = own.slice(start, size)
                start += size
                tar = folder.data / f"{name}.tar"
                metadata = _write_shard(tar, source, rows)
                path = folder.metadata / f"{name}.parquet"
                write_table(path, metadata)
                for item in (tar, path):
                    written[item.relative_to(folder.root).as_posix()] = {"samples": size, "split": split}
    rejected = _write_rejects(folder, table)
    written[folder.rejects.name] = {"samples": rejected}
    _remove_stale(folder, written)
    return written


def pack_shard(folder: BuildFolder, path: Path, rows: pl.DataFrame) -> int:
    """Write one packed shard alone and return its number of samples.

    Args:
        folder: The build folder, with the candidate shards that the samples come from.
        path: The tar.
        rows: `key`, `shard` and `split` of the samples, in their order.

    Raises:
        CorruptShardError: A candidate shard does not hold what its table says.
        BuildFolderError: The disk is full.
    """
    with closing(_Source(folder)) as source:
        return _write_shard(path, source, rows).height


@dataclass(slots=True)
class _Source:
    """Reads candidates in order of key, so that one shard is open at a time."""

    folder: BuildFolder
    shard: int = -1
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    file: BinaryIO | None = None

    def open(self, shard: int) -> None:
        """Open a candidate shard."""
        if shard != self.shard:
            self.close()
            self.table = read_table(self.folder, shard)
            try:
                self.file = self.folder.candidate_tar(shard).open("rb")
            except OSError as error:
                raise self._corrupt(shard, f"cannot be opened: {error.strerror}") from error
            self.shard = shard

    def blocks(self, row: dict[str, Any]) -> bytes:
        """Return the bytes of a sample of the open shard, checked."""
        assert self.file is not None
        self.file.seek(row["offset"])
        blocks = self.file.read(row["length"])
        if hashlib.sha256(blocks).hexdigest() != row["sha256"]:
            raise self._corrupt(self.shard, f"sample {row['key']} is damaged")
        return blocks

    def close(self) -> None:
        """Close the open shard."""
        if self.file is not None:
            self.file.close()
            self.file = None
            self.shard = -1

    def _corrupt(self, shard: int, what: str) -> CorruptShardError:
        return CorruptShardError(shard, what, where=str(self.folder.candidate_tar(shard)))


def _write_shard(path: Path, source: _Source, rows: pl.DataFrame) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    with files.atomic(path) as file:
        writer = TarWriter(file)
        for shard, verdict in _by_shard(rows):
            source.open(shard)
            part = source.table.join(verdict, on="key", how="inner", maintain_order="left")
            spans = [writer.write(source.blocks(row)) for row in part.iter_rows(named=True)]
            parts.append(
                part.with_columns(
                    file=pl.lit(f"{path.parent.name}/{path.name}"),
                    offset=pl.Series([span.offset for span in spans], dtype=pl.Int64),
                    length=pl.Series([span.length for span in spans], dtype=pl.Int64),
                )
            )
        writer.close()
    return pl.concat(parts)


def _by_shard(rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    for part in rows.partition_by("shard", maintain_order=True):
        yield int(part["shard"][0]), part.select("key", "split")


def _write_rejects(folder: BuildFolder, table: pl.DataFrame) -> int:
    rejected = table.filter(pl.col("reason") != "").select("key", "shard", "reason", "rule")
    parts = []
    for part in rejected.partition_by("shard", maintain_order=True):
        shard = int(part["shard"][0])
        verdict = part.select("key", "reason", "rule")
        own = read_table(folder, shard).join(verdict, on="key", how="inner", maintain_order="left")
        where = folder.candidate_tar(shard).relative_to(folder.root).as_posix()
        parts.append(own.with_columns(split=pl.lit(""), file=pl.lit(where)))
    if not parts:
        empty = read_table(folder, int(table["shard"][0])).clear()
        text = pl.lit("", dtype=pl.String)
        parts = [empty.with_columns(reason=text, rule=text, split=text, file=text)]
    write_table(folder.rejects, pl.concat(parts))
    return rejected.height


def _remove_stale(folder: BuildFolder, written: dict[str, dict[str, Any]]) -> None:
    for path in [*folder.data.iterdir(), *folder.metadata.iterdir()]:
        if path.relative_to(folder.root).as_posix() not in written:
            files.remove(path)
