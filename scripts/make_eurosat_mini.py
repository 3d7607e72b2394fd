"""Make `evals/eurosat-mini/`: a small, fixed part of EuroSAT for the benchmark of that name.

Images are chosen by the sha256 of their names, so the same folder gives the same bytes on any machine. The original
JPEG bytes are copied. Usage: `python scripts/make_eurosat_mini.py FOLDER_OF_EUROSAT_RGB [--out evals/eurosat-mini]`.
FOLDER_OF_EUROSAT_RGB has a folder of images for each class, `pools.csv` (path,label,pool) and `LICENSE.txt`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
from pathlib import Path

from synrs_data import files
from synrs_data.shards.tar import TarWriter, sample_bytes
from synrs_data.vocabulary import load_label_set

#: Split of the benchmark, the pool it comes from, images a class. No model of ours has seen these pools.
SPLITS = (("train", "real", 16), ("test", "test", 100))


def choose(rows: list[dict[str, str]], pool: str, label: str, count: int) -> list[str]:
    """Return the paths of the first images of a class in the order of the sha256 of their names."""
    paths = [row["path"] for row in rows if row["pool"] == pool and row["label"] == label]
    if len(paths) < count:
        raise SystemExit(f"pool {pool} has {len(paths)} images of {label}, {count} are needed")
    return sorted(paths, key=lambda path: hashlib.sha256(f"eurosat-mini-v1:{path}".encode()).digest())[:count]


def make(source: Path, out: Path) -> None:
    """Write the tar, the table of its images and the licence."""
    with (source / "pools.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    files.make_folder(out)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["key", "split", "label", "sha256", "source", "pool"])
    number = 0
    with files.atomic(out / "eurosat-mini.tar") as file:
        tar = TarWriter(file)
        for split, pool, count in SPLITS:
            for index, label in enumerate(load_label_set("eurosat").names):
                for path in choose(rows, pool, label, count):
                    content = (source / path).read_bytes()
                    key = f"{number:09d}"
                    tar.write(sample_bytes(key, {"cls": str(index).encode(), "jpg": content}))
                    writer.writerow([key, split, label, hashlib.sha256(content).hexdigest(), path, pool])
                    number += 1
        tar.close()
    files.write_text(out / "items.csv", table.getvalue())
    files.write_text(out / "LICENSE.txt", (source / "LICENSE.txt").read_text(encoding="utf-8"))
    for name in ("eurosat-mini.tar", "items.csv"):
        print(f"{name}: {(out / name).stat().st_size} bytes, sha256 {files.sha256(out / name)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=Path("evals/eurosat-mini"))
    arguments = parser.parse_args()
    make(arguments.source, arguments.out)
