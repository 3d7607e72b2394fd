"""Compute a result of retrieval again from its predictions and the benchmark's captions, and name every difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from synrs_data.evaluate.benchmark import Retrieval
from synrs_data.evaluate.results import ZERO_SHOT, Result, read_result, result_folder
from synrs_data.evaluate.retrieval import DEPTH, Direction, Truth, Variant
from synrs_data.evaluate.retrieval_data import open_captioned
from synrs_data.evaluate.retrieval_run import COLUMNS, metric_values, ways
from synrs_data.evaluate.verify import (
    Fault,
    about,
    key_faults,
    metric_faults,
    read_predictions,
    record_faults,
    some,
)


def find_retrieval_faults(path: Path, benchmark: Retrieval, data: str | None = None) -> Iterator[Fault]:
    """Yield what of a result is not as its predictions and the benchmark's captions say.

    Args:
        path: Folder of the result, or its `result.json`.
        benchmark: The one that the result names.
        data: Folder of images and captions; None for the benchmark's own.

    Raises:
        UserError: There is no result, or the benchmark's data are missing.
        VerificationError: `result.json` cannot be read.
    """
    result = read_result(path)
    opened = open_captioned(benchmark, data)
    record = opened.record
    yield from about("record", record_faults(result, benchmark, record.content_sha256, pinned=record.pinned))
    names = [arm.name for arm in result.arms]
    if (result.protocol.name, names, result.seeds) != (ZERO_SHOT, [ZERO_SHOT], (0,)):
        yield Fault("record", f"retrieval has the one arm {ZERO_SHOT} and seed 0, not {', '.join(names)}")
        return
    table, faults = read_predictions(result_folder(path), result.predictions, COLUMNS)
    yield from faults
    if table is None:
        return
    blocks = dict(table.group_by("direction", "variant", maintain_order=True))
    if list(blocks) != ways(benchmark):
        yield Fault(
            "items", f"the predictions are of {list(blocks)}, those of the benchmark of {ways(benchmark)}"
        )
        return
    found = [
        fault
        for way, block in zip(ways(benchmark), blocks.values(), strict=True)
        for fault in _block(block, opened.truth, *way)
    ]
    yield from found
    if not found:
        yield from about("numbers", _numbers(table, result, benchmark, opened.truth))


def _block(table: pl.DataFrame, truth: Truth, direction: Direction, variant: Variant) -> Iterator[Fault]:
    """Yield which queries of one ranking are not the benchmark's, or found what cannot be."""
    captions = truth.caption_keys()
    queries, names = (truth.images, captions) if direction == "i2t" else (captions, truth.images)
    keys, place = table["key"].to_list(), f"{direction} {variant}"
    if faults := [f"{place}: {text}" for text in key_faults(keys, queries)]:
        yield from about("items", faults)
        return
    candidates = truth.candidates(direction, variant)
    columns = {names[row]: column for column, row in enumerate(candidates)}
    found = table["found"].to_list()
    depth = min(DEPTH, len(candidates))
    outside = [
        key
        for key, each in zip(keys, found, strict=True)
        if len(each) != depth or len(set(each)) != depth or not columns.keys() >= set(each)
    ]
    text = f"{place}: found is not {depth} different candidates of the benchmark"
    yield from about("values", some(text, outside))
    if outside:
        return
    rows = np.array([[columns[name] for name in each] for each in found])
    right = np.take_along_axis(truth.right(direction, variant), rows, axis=1)
    first = table["first"].to_numpy()
    hit = right.any(axis=1)
    ends = (first > depth) & (first <= len(candidates))
    wrong = np.where(hit, right.argmax(axis=1) + 1 != first, ~ends)
    text = f"{place}: first is not the place of the first right candidate"
    yield from about("values", some(text, [key for key, bad in zip(keys, wrong, strict=True) if bad]))


def _numbers(table: pl.DataFrame, result: Result, benchmark: Retrieval, truth: Truth) -> Iterator[str]:
    """Yield every number of the result that is not what the predictions give."""
    for what, number, wanted in (
        ("n", result.n, len(truth.images)),
        ("dataset.test", result.dataset.test, len(truth.images)),
        ("dataset.captions", result.dataset.captions, len(truth.captions)),
        ("predictions.rows", result.predictions.rows, table.height),
    ):
        if number != wanted:
            yield f"{what} is {number}, not {wanted}"
    first = {
        way: table.filter(direction=way[0], variant=way[1])["first"].to_numpy() for way in ways(benchmark)
    }
    said, found = result.arms[0].metrics, metric_values(benchmark, truth, first, result.bootstrap)
    names = [metric.name for metric in said], [metric.name for metric in found]
    if names[0] != names[1]:
        yield f"metrics are {', '.join(names[0])}, those of the benchmark are {', '.join(names[1])}"
        return
    for ours, theirs in zip(said, found, strict=True):
        yield from metric_faults(ours, theirs)
