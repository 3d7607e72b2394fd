"""The table of values (one row an image), what follows from it, and whether kept images give it again.

Rows have the columns `baseline`, `arm`, `seed`, `key`, `sha256` (of the output as a PNG file) and one for each metric,
by its id; a value that is not defined for an image is NaN.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data import files
from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.statistics import REPLICATES, Difference, mean_interval, paired_mean_difference
from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.pairs import Pair
from synrs_data.image_sources import decode_rgb
from synrs_data.shards.tar import TarWriter, members, sample_bytes

COLUMNS = {
    "baseline": pl.String(),
    "arm": pl.String(),
    "seed": pl.Int64(),
    "key": pl.String(),
    "sha256": pl.String(),
}
"""Columns before those of the metrics."""

TOLERANCE = 1e-4
"""How far a metric may be when it is measured again: that much the networks of pyiqa differ between devices."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A metric of an arm.

    Attributes:
        metric: Id.
        value: Mean over seeds and images; NaN where it is defined for none.
        low: Lower end of the 95 % interval, seeds and images drawn with replacement.
        high: Upper end.
        n: Images; those for which the metric is not defined in some seed are left out.
        seeds: How many.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    seeds: int


def measure(
    pairs: Iterable[Pair],
    outputs: Iterable[NDArray[np.uint8]],
    metrics: MetricSet,
    *,
    baseline: str,
    arm: str,
    seed: int,
    keep: Path | None = None,
) -> pl.DataFrame:
    """Return the rows of one baseline, arm and seed.

    Args:
        pairs: Of the test set.
        outputs: What the baseline made of each `lr`, in order.
        metrics: What is measured.
        baseline: Name.
        arm: Name of the training data; empty for a baseline that is not trained here.
        seed: Seed of the arm.
        keep: Tar that the outputs are written to, one sample an image: `png`, and `txt` with its key.

    Raises:
        UserError: An output has not the size of its reference, or there are more or fewer outputs than pairs.
    """
    rows: list[list[object]] = []
    if keep is None:
        rows.extend(_rows(pairs, outputs, metrics, baseline, arm, seed, None))
    else:
        files.make_folder(keep.parent)
        with files.atomic(keep) as file:
            writer = TarWriter(file)
            rows.extend(_rows(pairs, outputs, metrics, baseline, arm, seed, writer))
            writer.close()
    return pl.DataFrame(rows, schema=schema(metrics.ids), orient="row")


def schema(ids: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the columns of a table with these metrics."""
    return {**COLUMNS, **{name: pl.Float64() for name in ids}}


def means(
    table: pl.DataFrame, baseline: str, arm: str, *, seed: int, replicates: int = REPLICATES
) -> list[Mean]:
    """Return the mean of every metric of an arm, with its interval.

    Args:
        table: See the module.
        baseline: Name.
        arm: Name.
        seed: Of the resampling.
        replicates: Of the resampling.

    Raises:
        VerificationError: The table has no such rows, or a seed has other images than another.
    """
    found = []
    for name in _metrics_of(table):
        values = matrix(table, baseline, arm, name)
        kept = values[:, np.isfinite(values).all(axis=0)]
        seeds, count = kept.shape
        if not count:
            found.append(Mean(name, math.nan, math.nan, math.nan, 0, seeds))
            continue
        low, high = mean_interval(kept, seed=seed, replicates=replicates)
        found.append(Mean(name, float(kept.mean()), low, high, count, seeds))
    return found


def mean_difference(
    table: pl.DataFrame,
    first: tuple[str, str],
    second: tuple[str, str],
    metric: str,
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Difference:
    """Return by how much one arm is above another in a metric, paired by seed and image.

    An arm of one seed (a baseline that is not trained) is compared with each seed of the other.

    Args:
        table: See the module.
        first: Baseline and arm.
        second: Baseline and arm.
        metric: Id.
        seed: Of the resampling.
        replicates: Of the resampling.

    Raises:
        VerificationError: The table has no such rows, or they are of other seeds or images.
    """
    a, b = matrix(table, *first, metric), matrix(table, *second, metric)
    keys = [_rows_of(table, *each)["key"].unique().sort().to_list() for each in (first, second)]
    seeds = [_rows_of(table, *each)["seed"].unique().sort().to_list() for each in (first, second)]
    if keys[0] != keys[1] or (seeds[0] != seeds[1] and 1 not in (len(seeds[0]), len(seeds[1]))):
        raise VerificationError(f"{first} and {second} are not of the same images and seeds", where="values")
    a, b = np.broadcast_arrays(a, b)
    kept = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    if not kept.any():
        return Difference(math.nan, math.nan, math.nan, math.nan)
    return paired_mean_difference(
        np.ascontiguousarray(a[:, kept]),
        np.ascontiguousarray(b[:, kept]),
        seed=seed,
        replicates=replicates,
    )


def recompute(table: pl.DataFrame, kept: Path, pairs: Iterable[Pair], metrics: MetricSet) -> Iterator[str]:
    """Yield what of a table the kept outputs do not give again, a sentence each.

    Args:
        table: Rows of one baseline, arm and seed, in the order of the pairs.
        kept: The tar that `measure` wrote with them.
        pairs: Of the test set.
        metrics: Those of the benchmark.

    Raises:
        VerificationError: The tar is damaged.
    """
    if dict(table.schema) != schema(metrics.ids):
        yield f"has the columns {', '.join(table.columns)}, not {', '.join(schema(metrics.ids))}"
        return
    waiting, rows = iter(members(kept)), iter(table.iter_rows(named=True))
    for pair in pairs:
        row, sample = next(rows, None), next(waiting, None)
        if row is None or sample is None:
            yield f"'{pair.key}' has no {'row' if row is None else 'output'}"
            return
        fields = sample[1]
        if row["key"] != pair.key or fields.get("txt", b"").decode(errors="replace") != pair.key:
            yield f"the row or output of '{row['key']}' stands where '{pair.key}' belongs"
            return
        yield from _again(row, fields.get("png", b""), pair, metrics)
    if next(rows, None) is not None or next(waiting, None) is not None:
        yield "there are more rows or outputs than test images"


def _again(row: dict[str, object], content: bytes, pair: Pair, metrics: MetricSet) -> Iterator[str]:
    """Yield what of one row its output does not give again."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != row["sha256"]:
        yield f"'{pair.key}': the output has the sha256 {digest}, the table says {row['sha256']}"
        return
    try:
        image = decode_rgb(content, f"the output of '{pair.key}'")
        found = metrics.measure(pair.lr, image, pair.hr)
    except UserError as error:
        yield f"'{pair.key}': {error.what}"
        return
    for name, value in found.items():
        said = row[name]
        same = isinstance(said, float) and (
            math.isclose(said, value, rel_tol=0, abs_tol=TOLERANCE)
            or (math.isnan(said) and math.isnan(value))
        )
        if not same:
            yield f"'{pair.key}': {name} is {said}, the output gives {value}"


def _rows(
    pairs: Iterable[Pair],
    outputs: Iterable[NDArray[np.uint8]],
    metrics: MetricSet,
    baseline: str,
    arm: str,
    seed: int,
    writer: TarWriter | None,
) -> Iterator[list[object]]:
    waiting = iter(outputs)
    for number, pair in enumerate(pairs):
        image = next(waiting, None)
        if image is None:
            raise UserError(f"gave no output for '{pair.key}'", where=baseline, fix="mend the baseline")
        content = _png(image)
        if writer is not None:
            writer.write(sample_bytes(f"{number:09d}", {"png": content, "txt": pair.key.encode()}))
        values = metrics.measure(pair.lr, image, pair.hr)
        yield [
            baseline,
            arm,
            seed,
            pair.key,
            hashlib.sha256(content).hexdigest(),
            *(values[name] for name in metrics.ids),
        ]
    if next(waiting, None) is not None:
        raise UserError("gave more outputs than there are images", where=baseline, fix="mend the baseline")


def _metrics_of(table: pl.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in COLUMNS]


def _rows_of(table: pl.DataFrame, baseline: str, arm: str) -> pl.DataFrame:
    return table.filter((pl.col("baseline") == baseline) & (pl.col("arm") == arm))


def matrix(table: pl.DataFrame, baseline: str, arm: str, metric: str) -> NDArray[np.float64]:
    """Return the values of an arm, (seeds, images), both in order of their names."""
    rows = _rows_of(table, baseline, arm)
    if metric not in _metrics_of(table) or not rows.height:
        raise VerificationError(f"has no values of {metric} for {baseline} {arm}".rstrip(), where="values")
    seeds, keys = rows["seed"].n_unique(), rows["key"].n_unique()
    if rows.height != seeds * keys or rows.select("seed", "key").is_duplicated().any():
        raise VerificationError(
            f"{baseline} {arm}".rstrip()
            + f" has {rows.height} values, not one for each of {keys} images and "
            f"{seeds} seeds",
            where="values",
        )
    values: NDArray[np.float64] = rows.sort("seed", "key")[metric].to_numpy().reshape(seeds, keys)
    return values


def _png(image: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    PillowImage.fromarray(image).save(out, "PNG")
    return out.getvalue()
