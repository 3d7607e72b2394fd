"""Read sets, compare them and write the report: `distance.json`, the tables of pairs and the picture of the nearest."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from synrs_data import files
from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.compare import Comparison, Sets, compare
from synrs_data.evaluate.distribution.extractors import DEFAULT, make_extractor
from synrs_data.evaluate.distribution.pictures import nearest_sheet
from synrs_data.evaluate.distribution.records import REPORT, Report
from synrs_data.evaluate.distribution.sets import ROLES, FeatureSet, Role, is_saved, read_set, save_features
from synrs_data.shards.table import write_table

NEAREST_TABLE, LEAKS_TABLE, PICTURE = "nearest.parquet", "leaks.parquet", "nearest.png"


def measure_distance(
    locations: dict[Role, str],
    out: Path,
    *,
    extractor: str | None = None,
    device: str = "auto",
    most: int | None = None,
    seed: int = 0,
    save: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Compare sets and write what was found.

    Args:
        locations: Of images, as for `ImageSource`, or files of saved features, by role; at least of "synthetic" and
            "real".
        out: Folder of the report; what was there is replaced.
        extractor: What makes features of images; None for the embedded encoder.
        device: "auto", "cpu" or "cuda".
        most: Read so many images of each set at most.
        seed: Of every draw.
        save: Whether to write the features too.
        progress: Told in a line how far it is.

    Raises:
        UserError: A set or the extractor is missing or does not fit.
    """
    started = time.perf_counter()
    make_deterministic()
    chosen = choose_devices(device, 1, 1)[0]
    needed = not all(is_saved(location) for location in locations.values())
    if extractor is not None and not needed:
        raise UserError(
            f"all features are saved ones, so '{extractor}' has nothing to do", fix="leave `--extractor` out"
        )
    made = make_extractor(extractor or DEFAULT, chosen) if needed else None
    found = {
        role: read_set(role, locations[role], made, most=most, seed=seed, progress=progress)
        for role in ROLES
        if role in locations
    }
    sets = Sets(found["synthetic"], found["real"], found.get("train"), found.get("test"))
    comparison = compare(sets, made, seed=seed)
    files.make_folder(out)
    for name in (REPORT, NEAREST_TABLE, LEAKS_TABLE, PICTURE):
        files.remove(out / name)
    if save:
        for each in sets.all:
            save_features(out / f"features-{each.record.role}.safetensors", each)
    _write_tables(out, sets, comparison)
    report = Report(
        extractor=sets.synthetic.extractor,
        sets=tuple(each.record for each in sets.all),
        measures=comparison.measures,
        captions=comparison.captions,
        nearness=comparison.nearness,
        leaks=comparison.leaks,
        left_out=comparison.left_out,
        seed=seed,
        environment=environment(chosen),
        wall_seconds=round(time.perf_counter() - started, 3),
    )
    # Last, so that a folder with a report is whole.
    files.write_text(out / REPORT, report.model_dump_json(indent=2) + "\n")
    return report


def _write_tables(out: Path, sets: Sets, found: Comparison) -> None:
    ours = found.neighbours
    table = pl.DataFrame(
        {
            "synthetic": list(ours.images.names),
            "training": _chosen(ours.training, ours.found.rows),
            "distance": ours.found.distances,
            "ratio": ours.found.ratios,
            "authentic": ours.found.authentic,
        }
    )
    write_table(out / NEAREST_TABLE, table.sort("distance", "synthetic"))
    if found.copies is not None and sets.test is not None:
        copies = pl.DataFrame(
            {
                "synthetic": list(sets.synthetic.names),
                "test": _chosen(sets.test, found.copies.nearest),
                "bits": found.copies.distance,
                "exact": found.copies.exact,
            }
        )
        write_table(out / LEAKS_TABLE, copies.filter(pl.Series(found.copies.near)).sort("bits", "synthetic"))
    picture = nearest_sheet(ours, found.floor)
    if picture is not None:
        files.write_bytes(out / PICTURE, picture)


def _chosen(images: FeatureSet, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    return [images.names[int(row)] for row in rows]
