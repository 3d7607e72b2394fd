"""Tables beside shards: parquet files with the same bytes for the same rows."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from synrs_data import files


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table atomically.

    It is made in memory first: polars hides the operating system's reason when a write fails.

    Raises:
        BuildFolderError: The disk is full or the folder cannot be written.
    """
    files.write_bytes(path, table_bytes(table))


def table_bytes(table: pl.DataFrame) -> bytes:
    """Return the file of a table."""
    content = io.BytesIO()
    table.write_parquet(content, compression="zstd", statistics=False)
    return content.getvalue()
