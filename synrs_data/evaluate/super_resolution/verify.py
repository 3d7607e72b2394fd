"""Compute a result of super-resolution again, and name every difference.

Numbers are computed again from the values of every image. Where the outputs are kept and the test images are at hand,
the values themselves are measured again. What this cannot find without them, or without training again: values or
outputs that were made up together with their digests.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import polars as pl

from synrs_data import files
from synrs_data.errors import RecipeError, UserError, VerificationError
from synrs_data.evaluate.arms import Arm, parse_arm
from synrs_data.evaluate.baselines.base import in_domain
from synrs_data.evaluate.benchmark import SuperResolution
from synrs_data.evaluate.results import ZERO_SHOT, Bootstrap, result_folder
from synrs_data.evaluate.super_resolution.compact import PAIR_TRAINING
from synrs_data.evaluate.super_resolution.metrics import MetricId
from synrs_data.evaluate.super_resolution.numbers import compute
from synrs_data.evaluate.super_resolution.pair_run import metric_set
from synrs_data.evaluate.super_resolution.pairs import PairSource
from synrs_data.evaluate.super_resolution.results import (
    ImageMetricValue,
    PairArm,
    SuperResolutionResult,
    read_super_resolution,
)
from synrs_data.evaluate.super_resolution.run import configurations
from synrs_data.evaluate.super_resolution.sources import pair_source, pinned_content, pinned_keys
from synrs_data.evaluate.super_resolution.values import recompute, schema
from synrs_data.evaluate.verify import Fault, about, equal, key_faults, read_predictions, some


def find_pair_faults(path: Path, benchmark: SuperResolution, data: str | None = None) -> Iterator[Fault]:
    """Yield what of a result is not as its values, its kept outputs and the benchmark say.

    Args:
        path: Folder of the result, or its `result.json`.
        benchmark: The one that the result names.
        data: Where the test images lie; None measures no kept output again, and is refused for a benchmark that pins
            no table of them.

    Raises:
        UserError: There is no result, or the benchmark's images are missing.
        VerificationError: `result.json` cannot be read.
    """
    result = read_super_resolution(path)
    source = None
    if data is not None or benchmark.dataset.path is not None or pinned_keys(benchmark) is None:
        source = pair_source(benchmark, data)
    content = pinned_content(benchmark) or (source.digest() if source is not None else None)
    yield from about("record", _record(result, benchmark, content))
    yield from about("record", _arms(result))
    table, faults = read_predictions(
        result_folder(path), result.predictions, schema([metric.name for metric in benchmark.metrics])
    )
    yield from faults
    if table is None:
        return
    keys = source.keys if source is not None else pinned_keys(benchmark) or ()
    faults = [*about("items", _rows(table, result, keys)), *about("values", _values(table, benchmark))]
    yield from faults
    if faults:
        return
    yield from about("numbers", _numbers(table, result, benchmark))
    yield from about("values", _outputs(result_folder(path), table, result, benchmark, source))


def _record(result: SuperResolutionResult, benchmark: SuperResolution, content: str | None) -> Iterator[str]:
    """Yield what of the result's own record is not the benchmark's or its data's."""
    pinned = pinned_content(benchmark) is not None
    usual = Bootstrap(seed=result.bootstrap.seed)
    domain = in_domain(result.baseline.trained_on, benchmark)
    for what, said, wanted in (
        ("benchmark.id", result.benchmark.id, benchmark.id),
        ("benchmark.version", result.benchmark.version, benchmark.version),
        ("task_hash", result.task_hash, benchmark.task_hash),
        ("dataset.content_sha256", result.dataset.content_sha256, content),
        ("dataset.pinned", result.dataset.pinned, pinned),
        ("in_domain", result.baseline.in_domain, domain),
        ("bootstrap", result.bootstrap, usual),
    ):
        if said != wanted:
            yield f"{what} is {said}, not {wanted}"
    names = [metric.name for metric in benchmark.metrics]
    if (found := [metric.name for metric in result.metrics]) != names:
        yield f"metrics are {', '.join(found)}, those of the benchmark are {', '.join(names)}"
        return
    if any(MetricId.parse(name).family == "pyiqa" for name in names):
        # Their configuration has versions and digests of weights that this machine need not have.
        return
    wanted_metrics = configurations(metric_set(benchmark, "cpu"))
    yield from some(
        "is not computed as this version does",
        [ours.name for ours, theirs in zip(result.metrics, wanted_metrics, strict=True) if ours != theirs],
    )


def _arms(result: SuperResolutionResult) -> Iterator[str]:
    """Yield which arms are none, or were trained on other numbers of pairs than their names say."""
    names = [arm.name for arm in result.arms]
    trained = result.protocol.name == PAIR_TRAINING
    if trained == (names == [ZERO_SHOT]) or (not trained and result.seeds != (0,)):
        yield f"the protocol is {result.protocol.name}, the arms are {', '.join(names)}"
        return
    if len(set(names)) < len(names):
        yield f"an arm comes twice: {', '.join(names)}"
    if len(set(result.seeds)) < len(result.seeds):
        yield f"a seed comes twice: {', '.join(map(str, result.seeds))}"
    for arm in result.arms if trained else ():
        try:
            yield from _counts(parse_arm(arm.name), arm, result)
        except UserError as error:
            yield error.what


def _counts(parsed: Arm, arm: PairArm, result: SuperResolutionResult) -> Iterator[str]:
    counts = arm.counts
    if parsed.needs_synthetic and result.synthetic is None:
        yield f"the arm '{arm.name}' has synthetic pairs, the result names no synthetic set"
    if parsed.needs_synthetic != (counts.synthetic > 0) or (parsed.kind == "synthetic") != (counts.real == 0):
        yield f"the arm '{arm.name}' has {counts.real} real and {counts.synthetic} synthetic pairs"
    if parsed.shots is not None and parsed.kind != "more-real":
        first = counts.synthetic if parsed.kind == "synthetic" else counts.real
        if first != parsed.shots:
            yield f"the arm '{arm.name}' has {first} pairs, not {parsed.shots}"


def _rows(table: pl.DataFrame, result: SuperResolutionResult, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield which rows are not those of the result's arms and seeds and of the benchmark's images."""
    other = table.filter(pl.col("baseline") != result.baseline.name)
    yield from some(f"is not of the baseline {result.baseline.name}", other["key"].unique().to_list())
    found = table.select("arm", "seed").unique(maintain_order=True).rows()
    wanted = [(arm.name, seed) for arm, seed in product(result.arms, result.seeds)]
    if found != wanted:
        lost = [f"{arm} seed {seed}" for arm, seed in wanted if (arm, seed) not in found]
        more = [f"{arm} seed {seed}" for arm, seed in found if (arm, seed) not in wanted]
        yield from some("there are no values of", lost)
        yield from some("the result does not name", more)
        if not lost and not more:
            yield "the values are not in the order of the result's arms and seeds"
    blocks = table.partition_by("arm", "seed", maintain_order=True)
    seen = {text: None for block in blocks for text in key_faults(block["key"].to_list(), keys)}
    yield from seen


def _values(table: pl.DataFrame, benchmark: SuperResolution) -> Iterator[str]:
    """Yield which values no image can have."""
    digests = table.filter(~pl.col("sha256").str.contains("^[0-9a-f]{64}$"))
    yield from some("sha256 is none", digests["key"].unique().to_list())
    for metric in benchmark.metrics:
        infinite = table.filter(pl.col(metric.name).is_infinite())
        yield from some(f"{metric.name} is infinite", infinite["key"].unique().to_list())


def _numbers(table: pl.DataFrame, result: SuperResolutionResult, benchmark: SuperResolution) -> Iterator[str]:
    """Yield every number of the result that is not what the values give."""
    names = [arm.name for arm in result.arms]
    n = table.height // (len(names) * len(result.seeds))
    for what, number, wanted in (
        ("n", result.n, n),
        ("dataset.test", result.dataset.test, n),
        ("predictions.rows", result.predictions.rows, table.height),
    ):
        if number != wanted:
            yield f"{what} is {number}, there are {wanted} values"
    try:
        numbers = compute(table, result.baseline.name, names, benchmark.metrics, result.bootstrap)
    except VerificationError as error:
        yield str(error)
        return
    for arm in result.arms:
        said, found = arm.metrics, numbers[arm.name]
        place = "" if arm.name == ZERO_SHOT else f"{arm.name}: "
        if [each.name for each in said] != [each.name for each in found]:
            yield f"{place}metrics are {', '.join(each.name for each in said)}, not those of the benchmark"
            continue
        for ours, theirs in zip(said, found, strict=True):
            yield from (f"{place}{text}" for text in _metric(ours, theirs))


def _metric(said: ImageMetricValue, found: ImageMetricValue) -> Iterator[str]:
    for name in ("direction", "n"):
        if (ours := getattr(said, name)) != (theirs := getattr(found, name)):
            yield f"{said.name}.{name} is {ours}, not {theirs}"
    ours_flat, theirs_flat = _flat(said), _flat(found)
    if (said.difference and said.difference.to) != (found.difference and found.difference.to):
        yield f"{said.name}.difference is to another arm than it should be"
    elif ours_flat.keys() != theirs_flat.keys():
        yield f"{said.name} has the numbers {', '.join(ours_flat)}, not {', '.join(theirs_flat)}"
    else:
        for name, value in theirs_flat.items():
            if not equal(ours_flat[name], value):
                yield f"{said.name}.{name} is {ours_flat[name]}, the values give {value}"


def _flat(metric: ImageMetricValue) -> dict[str, float | None]:
    """Return every computed number of a metric by its path."""
    found: dict[str, float | None] = {"value": metric.value}
    found |= {f"per_seed.{index}": value for index, value in enumerate(metric.per_seed)}
    if metric.interval is not None:
        found |= {"interval.low": metric.interval.low, "interval.high": metric.interval.high}
    if metric.difference is not None:
        found |= {
            "difference.value": metric.difference.value,
            "difference.interval.low": metric.difference.interval.low,
            "difference.interval.high": metric.difference.interval.high,
            "difference.above_zero": metric.difference.above_zero,
        }
    return found


def _outputs(
    folder: Path,
    table: pl.DataFrame,
    result: SuperResolutionResult,
    benchmark: SuperResolution,
    source: PairSource | None,
) -> Iterator[str]:
    """Yield which kept outputs have other bytes, or do not give the values again."""
    if not result.outputs:
        return
    found = [(each.arm, each.seed) for each in result.outputs]
    if found != [(arm.name, seed) for arm, seed in product(result.arms, result.seeds)]:
        yield "outputs are not those of the result's arms and seeds"
        return
    metrics = None
    for each in result.outputs:
        path = folder / each.file
        if not files.exists(path) or not path.is_file():
            # They are large: a result may travel without them. Its values then stand as they are.
            continue
        if (digest := files.sha256(path)) != each.sha256:
            yield f"{each.file} has the sha256 {digest}, the result says {each.sha256}"
        if source is None:
            continue
        metrics = metrics or metric_set(benchmark, "cpu")
        rows = table.filter((pl.col("arm") == each.arm) & (pl.col("seed") == each.seed))
        try:
            yield from (f"{each.file}: {text}" for text in recompute(rows, path, source.read(), metrics))
        except (VerificationError, RecipeError) as error:
            yield f"{each.file}: {error}"


def measured_again(path: Path, result: SuperResolutionResult, *, data: bool) -> int:
    """Return how many kept outputs `find_pair_faults` measures again, in images.

    Args:
        path: Of the result.
        result: As written.
        data: Whether the test images are at hand.
    """
    there = [each for each in result.outputs if (result_folder(path) / each.file).is_file()]
    return result.n * len(there) if data else 0
