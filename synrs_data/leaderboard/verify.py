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

import numpy as np
import polars as pl

from synrs_data.errors import SynrsError
from synrs_data.evaluate.benchmark import Classification, benchmarks, load_benchmark
from synrs_data.evaluate.data import items_of_test
from synrs_data.evaluate.parts import SavedFeatures, Source
from synrs_data.evaluate.results import PREDICTIONS, RESULT, Result
from synrs_data.evaluate.statistics import REPLICATES, STATISTICS, interval_over_seeds
from synrs_data.evaluate.verify import About, find_faults
from synrs_data.leaderboard.agreement import find_flags
from synrs_data.leaderboard.rules import Finding, Refused
from synrs_data.leaderboard.submission import Package

_ARMS, _SEEDS = 64, 32
_UNPACKED = 64 * 2**20
_TOLERANCE = 1e-9
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
    findings, flags, rows = [*_declarations(package)], list[Finding](), 0
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
        digest = hashlib.sha256(package.predictions(number)).hexdigest()
        if (other := (known or {}).get(digest, package.id)) != package.id:
            flags.append(Finding("F03", f"{place}: {PREDICTIONS} is that of '{other}'"))
    return Report(tuple(findings), tuple(flags), rows)


def _declarations(package: Package) -> Iterator[Finding]:
    """Yield what submission.yaml and the results say differently of training, and what mixes kinds of submissions."""
    submission, results = package.submission, package.results
    declared = {each.id for each in submission.benchmarks}
    for unused in sorted(declared - {result.benchmark.id for result in results}):
        yield Finding("R07", f"submission.yaml names the benchmark '{unused}', no result is of it")
    for number, result in enumerate(results):
        place, trained = f"results/{number}", result.baseline.trained_on
        if trained is None:
            yield Finding("R15", f"{place}: nobody declared what '{result.baseline.name}' was trained on")
        elif submission.kind != "synthetic-dataset":
            missing = sorted(set(trained) - set(submission.train_datasets))
            added = (
                sorted(set(submission.train_datasets) - set(trained)) if submission.kind == "baseline" else []
            )
            if missing or added:
                yield Finding(
                    "R15",
                    f"{place}: trained on {_names(trained)}; submission.yaml says {_names(submission.train_datasets)}",
                )
        record = result.synthetic
        if record is not None and submission.kind == "baseline":
            yield Finding("R17", f"{place} has a synthetic set, and the kind is 'baseline'")
        if record is not None:
            leaks = (
                record.leaks.derived_from_train,
                record.leaks.derived_from_other,
                record.leaks.equal_to_train,
            )
            if min(leaks) < 0 or max(leaks) > record.images:
                yield Finding(
                    "R15", f"{place}: leaks are {', '.join(map(str, leaks))} of {record.images} images"
                )
    manifests = {result.synthetic.manifest_sha256 for result in results if result.synthetic is not None}
    # Controls have no synthetic images, so beside a result with a set others may be without.
    if len(manifests) > 1 or (submission.kind != "baseline" and not manifests):
        text = f"the results are of {len(manifests)} synthetic sets, and the kind is '{submission.kind}'"
        yield Finding("R17", text)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def _benchmark(package: Package, result: Result) -> Classification | str:
    """Return the shipped benchmark of a result, or why there is no board for it."""
    said = result.benchmark
    if said.id not in benchmarks():
        return f"'{said.id}' is no shipped benchmark"
    benchmark = load_benchmark(said.id)
    if not isinstance(benchmark, Classification):
        return f"'{said.id}' is of the task {benchmark.task}; the board ranks classification"
    if isinstance(benchmark.dataset, Source) and benchmark.dataset.rule is not None:
        return f"'{said.id}' finds its items by a rule; the board ranks benchmarks whose items are pinned"
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


def _result(
    package: Package, number: int, result: Result, benchmark: Classification
) -> tuple[list[Finding], list[Finding]]:
    """Return what breaks rules in a result, and its flags."""
    content = package.predictions(number)
    if problem := _dear(result):
        return [Finding("R02", problem)], []
    if problem := _unreadable(content, result, benchmark):
        return [Finding("R08", problem)], []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, RESULT).write_bytes(package.files[f"results/{number}/{RESULT}"])
        Path(folder, PREDICTIONS).write_bytes(content)
        try:
            faults = list(find_faults(Path(folder), benchmark))
        except SynrsError as error:
            return [Finding("R12", error.what)], []
    findings = [Finding(_RULES[fault.about], fault.text) for fault in faults]
    if any(fault.about in ("table", "items", "labels", "values") for fault in faults):
        return findings, []
    table = pl.read_parquet(io.BytesIO(content))
    return [*findings, *_overlaps(table, result, benchmark)], list(find_flags(table, len(benchmark.classes)))


def _dear(result: Result) -> str:
    """Return why recomputing a result would cost more than it may."""
    if len(result.arms) > _ARMS or len(result.seeds) > _SEEDS:
        return f"there are {len(result.arms)} arms and {len(result.seeds)} seeds"
    if result.bootstrap.replicates != REPLICATES:
        return f"bootstrap.replicates is {result.bootstrap.replicates}, not {REPLICATES}"
    return ""


def _unreadable(content: bytes, result: Result, benchmark: Classification) -> str:
    """Return why a file of predictions is not read, by its footer alone: a small file may unpack to a huge table."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        about = pq.ParquetFile(io.BytesIO(content)).metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"{PREDICTIONS} cannot be read: {(str(error).splitlines() or ['no parquet'])[0][:200]}"
    groups = [about.row_group(number) for number in range(min(about.num_row_groups, 1000))]
    unpacked = sum(
        group.column(n).total_uncompressed_size for group in groups for n in range(group.num_columns)
    )
    if unpacked > _UNPACKED or about.num_row_groups > len(groups):
        return f"{PREDICTIONS} unpacks to {unpacked:,} bytes, more than {_UNPACKED:,}"
    blocks = len(result.arms) * len(result.seeds)
    if about.num_rows > 2 * blocks * _items(benchmark):
        return f"{PREDICTIONS} has {about.num_rows:,} rows; {blocks} arms and seeds have {blocks * _items(benchmark):,}"
    return ""


def _items(benchmark: Classification) -> int:
    if isinstance(benchmark.dataset, SavedFeatures):
        return benchmark.dataset.count
    return len(items_of_test(benchmark)[0].keys)


def _overlaps(table: pl.DataFrame, result: Result, benchmark: Classification) -> Iterator[Finding]:
    """Yield which scores lie outside the interval of another bootstrap seed, and which intervals lie apart from it."""
    labels = table["label"].to_numpy()[: table.height // (len(result.arms) * len(result.seeds))]
    cube = table["predicted"].to_numpy().reshape(len(result.arms), len(result.seeds), len(labels))
    for arm, predicted in zip(result.arms, np.asarray(cube == labels), strict=True):
        for metric in arm.metrics:
            statistic = STATISTICS.get(metric.name)
            if statistic is None:
                continue  # R12 names it: the benchmark has no such metric
            low, high = interval_over_seeds(
                labels, predicted, len(benchmark.classes), statistic, seed=result.bootstrap.seed + 1
            )
            claimed = metric.interval
            for what, outside in (
                (f"{metric.value:.6f}", not low - _TOLERANCE <= metric.value <= high + _TOLERANCE),
                (
                    f"its interval, {claimed.low:.6f} to {claimed.high:.6f},",
                    claimed.low > high + _TOLERANCE or claimed.high < low - _TOLERANCE,
                ),
            ):
                if outside:
                    text = f"{arm.name}: {metric.name}: {what} does not overlap {low:.6f} to {high:.6f}"
                    yield Finding("R14", text)
