"""Recompute a submission: every rule that it breaks, and the flags that a maintainer should look at.

The benchmark is the shipped one, not what the submission says of it. Models are not run again, so scores that somebody
made up together with predictions are not found; `agreement` flags the clumsy ones.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from synrs_data.errors import SynrsError
from synrs_data.evaluate.benchmark import (
    Classification,
    Retrieval,
    SuperResolution,
    benchmarks,
    load_benchmark,
)
from synrs_data.evaluate.data import items_of_test
from synrs_data.evaluate.parts import SavedFeatures, Source
from synrs_data.evaluate.results import PREDICTIONS, RESULT
from synrs_data.evaluate.statistics import REPLICATES
from synrs_data.evaluate.super_resolution.results import SuperResolutionResult
from synrs_data.evaluate.super_resolution.sources import pinned_keys
from synrs_data.evaluate.super_resolution.verify import find_pair_faults
from synrs_data.evaluate.verify import About, find_faults
from synrs_data.leaderboard.agreement import find_flags
from synrs_data.leaderboard.declarations import check_declarations
from synrs_data.leaderboard.intervals import apart
from synrs_data.leaderboard.rules import Finding, Refused
from synrs_data.leaderboard.scores import AnyResult
from synrs_data.leaderboard.submission import Package

Ranked = Classification | SuperResolution
"""Benchmarks that there is a board for."""

_ARMS, _SEEDS = 64, 32
_UNPACKED = 64 * 2**20
_GROUPS = 1000
_RULES: dict[About, str] = {
    "record": "R12",
    "table": "R08",
    "digest": "R13",
    "items": "R09",
    "labels": "R10",
    "values": "R11",
    "numbers": "R12",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        findings: Broken rules; empty for a submission that may be added.
        flags: What a maintainer must accept.
        rows: Predictions that were recomputed.
    """

    findings: tuple[Finding, ...]
    flags: tuple[Finding, ...]
    rows: int

    def check(self, where: str) -> None:
        """Raise unless every rule is kept.

        Raises:
            Refused: One is not.
        """
        if self.findings:
            raise Refused(self.findings, where=where)


def verify(package: Package, *, known: Mapping[str, str] | None = None) -> Report:
    """Check a submission against every rule and recompute every number.

    Args:
        package: What was read.
        known: Id of a submission by the sha256 of a file of predictions, to find copies.
    """
    findings, flags, rows = [*check_declarations(package)], list[Finding](), 0
    for number, result in enumerate(package.results):
        place = f"results/{number}"
        found = _benchmark(package, result)
        if isinstance(found, str):
            findings.append(Finding("R07", f"{place}: {found}"))
            continue
        own, own_flags = _result(package, number, result, found)
        findings += [Finding(each.rule, f"{place}: {each.text}") for each in own]
        flags += [Finding(each.rule, f"{place}: {each.text}") for each in own_flags]
        rows += result.predictions.rows
        if package.submission.kind == "synthetic-dataset" and result.synthetic is None:
            continue  # real arms and controls are references: whoever runs them again gets the same
        digest = hashlib.sha256(package.predictions(number)).hexdigest()
        if (other := (known or {}).get(digest, package.id)) != package.id:
            flags.append(Finding("F03", f"{place}: {PREDICTIONS} is that of '{other}'"))
    return Report(tuple(findings), tuple(flags), rows)


def _benchmark(package: Package, result: AnyResult) -> Ranked | str:
    """Return the shipped benchmark of a result, or why there is no board for it."""
    said = result.benchmark
    if said.id not in benchmarks():
        return f"'{said.id}' is no shipped benchmark"
    benchmark = load_benchmark(said.id)
    if isinstance(benchmark, Retrieval) or benchmark.task != said.task:
        return f"'{said.id}' is of the task {benchmark.task}; the board ranks classification and super-resolution"
    if _keys(benchmark) is None:
        return f"'{said.id}' has no table of its items; the board ranks benchmarks whose items are pinned"
    if (said.version, result.task_hash) != (benchmark.version, benchmark.task_hash):
        return (
            f"is of '{said.id}' version {said.version} with the task hash {result.task_hash}; the shipped one is "
            f"version {benchmark.version} with {benchmark.task_hash}"
        )
    declared = [
        (each.version, each.task_hash) for each in package.submission.benchmarks if each.id == said.id
    ]
    if declared != [(said.version, result.task_hash)]:
        return f"submission.yaml does not declare '{said.id}' once, with this version and task hash"
    return benchmark


def _keys(benchmark: Ranked) -> int | None:
    """Return the number of test items that a benchmark pins; None for one that finds them in another way."""
    if isinstance(benchmark, SuperResolution):
        keys = pinned_keys(benchmark)
        return None if keys is None else len(keys)
    if isinstance(benchmark.dataset, SavedFeatures):
        return benchmark.dataset.count
    if isinstance(benchmark.dataset, Source) and benchmark.dataset.rule is not None:
        return None
    return len(items_of_test(benchmark)[0].keys)


def _result(
    package: Package, number: int, result: AnyResult, benchmark: Ranked
) -> tuple[list[Finding], list[Finding]]:
    """Return what breaks rules in a result, and its flags."""
    content = package.predictions(number)
    if problem := _dear(result):
        return [Finding("R02", problem)], []
    if problem := _unreadable(content, result, _keys(benchmark) or 0):
        return [Finding("R08", problem)], []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, RESULT).write_bytes(package.files[f"results/{number}/{RESULT}"])
        Path(folder, PREDICTIONS).write_bytes(content)
        try:
            if isinstance(benchmark, SuperResolution):
                faults = list(find_pair_faults(Path(folder), benchmark))
            else:
                faults = list(find_faults(Path(folder), benchmark))
        except SynrsError as error:
            return [Finding("R12", error.what)], []
    findings = [Finding(_RULES[fault.about], fault.text) for fault in faults]
    if any(fault.about in ("table", "items", "labels", "values") for fault in faults):
        return findings, []
    table = pl.read_parquet(io.BytesIO(content))
    if isinstance(benchmark, SuperResolution):
        findings += [Finding("R11", text) for text in _left_out(result)]
        return findings + [Finding("R14", text) for text in apart(table, result, 0)], []
    classes = len(benchmark.classes)
    findings += [Finding("R14", text) for text in apart(table, result, classes)]
    return findings, list(find_flags(table, classes))


def _left_out(result: AnyResult) -> Iterator[str]:
    """Yield which metrics leave images out: only of some is a metric not defined, and hard ones would be left out."""
    if isinstance(result, SuperResolutionResult):
        for arm in result.arms:
            for place, metric in enumerate(arm.metrics):
                always = place == 0 or metric.name.startswith(("psnr", "ssim"))
                if always and metric.n < result.n:
                    yield f"{arm.name}: {metric.name} has no value for {result.n - metric.n} of {result.n} images"


def _dear(result: AnyResult) -> str:
    """Return why recomputing a result would cost more than it may."""
    if len(result.arms) > _ARMS or len(result.seeds) > _SEEDS:
        return f"there are {len(result.arms)} arms and {len(result.seeds)} seeds"
    if result.bootstrap.replicates != REPLICATES:
        return f"bootstrap.replicates is {result.bootstrap.replicates}, not {REPLICATES}"
    return ""


def _unreadable(content: bytes, result: AnyResult, items: int) -> str:
    """Return why a file of predictions is not read, by its footer alone: a small file may unpack to a huge table."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        about = pq.ParquetFile(io.BytesIO(content)).metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"{PREDICTIONS} cannot be read: {(str(error).splitlines() or ['no parquet'])[0][:200]}"
    groups = [about.row_group(number) for number in range(min(about.num_row_groups, _GROUPS))]
    unpacked = sum(
        group.column(n).total_uncompressed_size for group in groups for n in range(group.num_columns)
    )
    if unpacked > _UNPACKED or about.num_row_groups > len(groups):
        return f"{PREDICTIONS} unpacks to {unpacked:,} bytes in {about.num_row_groups:,} groups of rows"
    blocks = len(result.arms) * len(result.seeds)
    if about.num_rows > 2 * blocks * items:
        return f"{PREDICTIONS} has {about.num_rows:,} rows; {blocks} arms and seeds have {blocks * items:,}"
    return ""
