"""Make the table of a benchmark's items from a folder of images and a CSV that splits them.

Usage, for the tables that ship (and for a split of your own, such as a spatial one):

    python scripts/make_items.py EUROSAT_RGB EUROSAT_RGB/pools.csv evals/eurosat/items.parquet \
        --column pool --split real=train --split test=test
    python scripts/make_items.py UCMERCED UCMERCED/splits.csv evals/ucmerced/items.parquet \
        --column split --split train=train --split test=test

The CSV has the columns `path` (from the folder), `label` and the one that `--column` names. The table has name, label,
split and sha256, in the order of the CSV, and the digest to pin it by is printed.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from synrs_data import files
from synrs_data.shards.table import write_table


def make(source: Path, table: Path, column: str, splits: Mapping[str, str]) -> pl.DataFrame:
    """Return the table of items.

    Args:
        source: Folder of the images.
        table: The CSV.
        column: Its column that splits.
        splits: Name of the benchmark's split by value of that column; rows of other values are left out.
    """
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row[column] in splits]
    return pl.DataFrame(
        {
            "name": [row["path"] for row in rows],
            "label": [row["label"] for row in rows],
            "split": [splits[row[column]] for row in rows],
            "sha256": [files.sha256(source / row["path"]) for row in rows],
        },
        schema=dict.fromkeys(("name", "label", "split", "sha256"), pl.String()),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--column", default="split")
    parser.add_argument("--split", action="append", required=True, help="VALUE=NAME")
    arguments = parser.parse_args()
    chosen = dict(text.split("=", 1) for text in arguments.split)
    items = make(arguments.source, arguments.table, arguments.column, chosen)
    write_table(arguments.out, items)
    print(f"{items.height} items: {items['split'].value_counts(sort=True).rows()}")
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {files.sha256(arguments.out)}")
