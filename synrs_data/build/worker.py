"""Run one shard: generate, score, encode and write it, atomically, in any process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.build.candidates import marker_text
from synrs_data.build.environment import environment, make_deterministic
from synrs_data.build.pairs import PairMaker, Pairs
from synrs_data.build.plan import BuildPlan, make, make_filters
from synrs_data.build.protocol import (
    calling,
    check_batch_size,
    check_identity,
    check_images,
    check_inputs,
    check_scores,
)
from synrs_data.build.record import Pair, Provenance
from synrs_data.errors import UserError
from synrs_data.filters.base import Batch, Scores
from synrs_data.generators.base import ConditionedGenerator
from synrs_data.sample import Caption, Inputs, Request, sample_key
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.table import write_table
from synrs_data.shards.tar import TarWriter, sample_bytes

Report = Callable[..., None]
"""Called with the kind of an event and its fields."""

_WAITING = 2


@dataclass(slots=True)
class _Rows:
    """Rows of a shard's table, filled by the writing thread."""

    writer: TarWriter
    rows: list[dict[str, Any]]
    unreadable: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A finished batch, ready to be written.

    Attributes:
        indices: Numbers of its candidates in the whole build.
        drawn: Caption and request of each.
        images: What is stored, of pairs the high-resolution images.
        inputs: What shaped each image alone; None for a generator that starts from no images.
        pairs: The pairs; None unless the recipe makes them.
        scores: Columns of scores.
    """

    indices: list[int]
    drawn: list[tuple[Caption, Request]]
    images: list[NDArray[np.uint8]]
    inputs: list[Inputs] | None
    pairs: Pairs | None
    scores: Scores


class ShardWorker:
    """Makes shards in this process; models are loaded with the first one.

    Args:
        plan: The build.
        folder: Where it goes.
        device: Where the generator and the encoders run.
        report: Told of every batch.
    """

    def __init__(self, plan: BuildPlan, folder: BuildFolder, device: str, report: Report) -> None:
        self._plan = plan
        self._folder = folder
        self._device = device
        self._report = report
        self._loaded = False

    def _load(self) -> None:
        if self._loaded:
            return
        started = time.perf_counter()
        make_deterministic()
        plan = self._plan
        name = plan.recipe.generator.method
        self._generator = make("generators", plan.recipe.generator)
        with calling("generators", name):
            self._batch_size = check_batch_size(self._generator.batch_size, name)
            identity = check_identity(self._generator.load(self._device), name)
        spec = plan.recipe.degradation
        self._pairs = None if spec is None else PairMaker(spec, self._device, self._report)
        self._filters = make_filters(plan.recipe, plan.labels)
        self._provenance = Provenance(plan.recipe, plan.fingerprint, plan.labels.names, identity)
        self._loaded = True
        self._report("loaded", load_s=round(time.perf_counter() - started, 3))

    def run_shard(self, shard: int) -> None:
        """Make one shard: its tar, then its table, then the done marker that names both.

        Raises:
            SynrsError: Something the user can mend.
        """
        self._load()
        tar, table = self._folder.candidate_tar(shard), self._folder.candidate_table(shard)
        with files.atomic(tar) as file, ThreadPoolExecutor(1, thread_name_prefix="write") as thread:
            output = _Rows(TarWriter(file), [])
            waiting: list[Future[None]] = []
            for indices in self._plan.batches(shard, self._batch_size):
                self._run_batch(shard, indices, output, thread, waiting)
            for future in waiting:
                future.result()
            output.writer.close()
        frame = pl.DataFrame(output.rows, schema_overrides=_TABLE_TYPES)
        write_table(table, frame)
        marker = {
            "shard": shard,
            "samples": frame.height,
            "fingerprint": self._plan.fingerprint,
            "files": {
                path.name: {"sha256": files.sha256(path), "bytes": path.stat().st_size}
                for path in (tar, table)
            },
            "generator": asdict(self._provenance.identity),
            "environment": environment(self._device),
            **({"unreadable": sorted(output.unreadable)} if output.unreadable else {}),
            **({"compared": compared} if (compared := self._compared()) else {}),
        }
        files.write_text(self._folder.done(shard), marker_text(marker))

    def _compared(self) -> dict[str, int]:
        """Return with how many real images each filter that looks for copies compared the candidates."""
        found = zip(self._plan.recipe.filters, self._filters, strict=True)
        counts = {spec.method: getattr(scorer, "compared", None) for spec, scorer in found}
        return {name: count for name, count in counts.items() if type(count) is int}

    def _run_batch(
        self,
        shard: int,
        indices: range,
        output: _Rows,
        thread: ThreadPoolExecutor,
        waiting: list[Future[None]],
    ) -> None:
        drawn = [self._plan.request(index) for index in indices]
        started = time.perf_counter()
        requests = [request for _, request in drawn]
        inputs = self._inputs(requests)
        self._tell_of_unreadable(shard, inputs or [], output)
        images = self._generate(shard, requests)
        pairs = None if self._pairs is None else self._pairs.make(requests, images)
        if pairs is not None:
            images = pairs.hr
        generated = time.perf_counter()
        scores = self._score(drawn, images, pairs)
        scored = time.perf_counter()
        # Encoding and writing overlap the next batch; a bound keeps finished images from piling up.
        if len(waiting) >= _WAITING:
            waiting.pop(0).result()
        batch = _Batch(list(indices), drawn, images, inputs, pairs, scores)
        waiting.append(thread.submit(self._write, batch, output))
        self._report(
            "batch",
            shard=shard,
            images=len(indices),
            generate_s=round(generated - started, 4),
            score_s=round(scored - generated, 4),
            accepted=self._count_accepted(scores),
        )

    def _inputs(self, requests: list[Request]) -> list[Inputs] | None:
        """Return what shapes each image alone, None for a generator that starts from no images."""
        if not isinstance(self._generator, ConditionedGenerator):
            return None
        name = self._plan.recipe.generator.method
        return [
            check_inputs(self._generator.inputs(request), self._plan.extra_fields, name)
            for request in requests
        ]

    def _tell_of_unreadable(self, shard: int, inputs: list[Inputs], output: _Rows) -> None:
        """Count the source images that cannot be used, and tell of each once a shard, with the reason."""
        reasons = getattr(self._generator, "unreadable", {})
        for name in sorted({name for given in inputs for name in given.parameters.get("unreadable", [])}):
            if name not in output.unreadable:
                output.unreadable.add(name)
                self._report("unreadable", shard=shard, image=name, reason=reasons.get(name, ""))

    def _generate(self, shard: int, requests: list[Request]) -> list[NDArray[np.uint8]]:
        try:
            images = self._generator.generate(requests)
        except MemoryError as error:
            if len(requests) == 1:
                raise UserError(
                    f"the device has too little memory for one image: {error}",
                    where="generator",
                    fix="choose a smaller size, another dtype, or a larger device",
                ) from error
            half = len(requests) // 2
            self._report("sliced", shard=shard, images=len(requests), into=half, reason=str(error))
            return self._generate(shard, requests[:half]) + self._generate(shard, requests[half:])
        return check_images(images, len(requests), self._plan.recipe.generator.method)

    def _score(
        self, drawn: list[tuple[Caption, Request]], images: list[NDArray[np.uint8]], pairs: Pairs | None
    ) -> Scores:
        batch = Batch(
            images=images,
            captions=[caption.text for caption, _ in drawn],
            labels=[caption.label for caption, _ in drawn],
            device=self._device,
            lr=pairs.lr if pairs else (),
            scale=self._pairs.scale if self._pairs else 1,
            degradations=pairs.parameters if pairs else (),
        )
        scores: Scores = {}
        for spec, scorer in zip(self._plan.recipe.filters, self._filters, strict=True):
            scores |= check_scores(scorer.score(batch), scorer.columns, len(images), spec.method)
        return scores

    def _count_accepted(self, scores: Scores) -> int | None:
        """Return how many pass the thresholds; quotas and near-duplicates are known only at the end."""
        passed: NDArray[np.bool_] | None = None
        for name, threshold in self._plan.recipe.select.thresholds.items():
            if threshold is not None:
                values = np.asarray(scores[name], dtype=np.float64)
                low = -np.inf if threshold.min is None else threshold.min
                high = np.inf if threshold.max is None else threshold.max
                fits = (values >= low) & (values <= high)
                passed = fits if passed is None else passed & fits
        return None if passed is None else int(passed.sum())

    def _write(self, batch: _Batch, output: _Rows) -> None:
        for position, (index, (caption, request), image) in enumerate(
            zip(batch.indices, batch.drawn, batch.images, strict=True)
        ):
            own = {name: values[position] for name, values in batch.scores.items()}
            numbers = {name: float(value) for name, value in own.items() if not isinstance(value, str)}
            given = Inputs() if batch.inputs is None else batch.inputs[position]
            pair = self._pair(batch.pairs, position)
            record = self._provenance.record(index, caption, request, image, numbers, given, pair)
            blocks = sample_bytes(sample_key(index), self._provenance.fields(record, image, given, pair))
            span = output.writer.write(blocks)
            row = {name: record[name] for name in _PROVENANCE} | own
            if batch.inputs is not None:
                row["derived_from"] = given.derived_from
            if pair is not None:
                row["degradation_parameters"] = record["degradation_parameters"]
            row |= {
                "offset": span.offset,
                "length": span.length,
                "sha256": hashlib.sha256(blocks).hexdigest(),
            }
            output.rows.append(row)

    def _pair(self, pairs: Pairs | None, position: int) -> Pair | None:
        if pairs is None or self._pairs is None:
            return None
        return Pair(pairs.lr[position], self._pairs.scale, pairs.parameters[position])


_PROVENANCE = (
    "key",
    "shard",
    "label",
    "label_name",
    "caption",
    "caption_source",
    "seed",
    "geo",
    "width",
    "height",
)
_TABLE_TYPES = {"shard": pl.Int64, "label": pl.Int64, "seed": pl.Int64, "width": pl.Int64, "height": pl.Int64}
