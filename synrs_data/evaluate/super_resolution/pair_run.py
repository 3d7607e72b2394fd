"""A run of super-resolution, opened: what is trained on what, and the rows of each arm and seed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data.build.environment import choose_devices, environment, make_deterministic
from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.arms import Arm, parse_arm
from synrs_data.evaluate.benchmark import SuperResolution
from synrs_data.evaluate.results import ZERO_SHOT
from synrs_data.evaluate.super_resolution.arms import draw_pairs, train_arm
from synrs_data.evaluate.super_resolution.compact import CompactSr, records
from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.pairs import Pair, PairSource
from synrs_data.evaluate.super_resolution.results import PairCounts
from synrs_data.evaluate.super_resolution.sources import dataset_record, pair_source
from synrs_data.evaluate.super_resolution.synthetic_pairs import SyntheticPairs, open_pairs
from synrs_data.evaluate.super_resolution.upscalers import Upscaler, checked_outputs
from synrs_data.evaluate.super_resolution.values import measure, schema
from synrs_data.evaluate.training import WORK, begin_work
from synrs_data.shards.table import write_table

Sizes = dict[str, tuple[int, int]]
"""Height and width of high-resolution images by key."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where pairs lie.

    Attributes:
        data: Images of the benchmark; None for its own path.
        synthetic: Folder of a finished build, or hf://datasets/... of a published one; None without any.
    """

    data: str | None = None
    synthetic: str | None = None


class PairRun:
    """One run, opened: every arm and seed can be finished by itself, in any order or process.

    What is finished lies in `.work` of the result's folder until the result is written.

    Args:
        benchmark: What to test on.
        baseline: What to test.
        folder: Of the result.
        places: Where pairs lie.
        arms: What to train on; empty for the default, and for a baseline that is not trained here.
        seeds: How many, from 0.
        device: "auto", "cpu" or "cuda"; what was given to `make_sr_baseline`.
        keep_outputs: Keep the images that are made.

    Raises:
        UserError: Pairs are missing, do not fit, or are too few for an arm; that is found before the first training.
        RecipeError: The benchmark has a metric that there is not, or the wrong way round.
    """

    def __init__(
        self,
        benchmark: SuperResolution,
        baseline: Upscaler | CompactSr,
        folder: Path,
        *,
        places: Places | None = None,
        arms: Sequence[Arm] = (),
        seeds: int = 5,
        device: str = "auto",
        keep_outputs: bool = False,
    ) -> None:
        places = places or Places()
        make_deterministic()
        self.benchmark, self.baseline, self.folder = benchmark, baseline, folder
        self._device = choose_devices(device, 1, 1)[0]
        self._keep = keep_outputs
        self.arms = _arms(baseline, arms, places)
        self.seeds = tuple(range(seeds)) if isinstance(baseline, CompactSr) else (0,)
        self.metrics = metric_set(benchmark, self._device)
        source = pair_source(benchmark, places.data, device=self._device)
        self.test: list[Pair] = list(source.read())
        self._real: PairSource | None = None
        self._synthetic: SyntheticPairs | None = None
        real_sizes: Sizes = {}
        if any(arm.kind != "synthetic" for arm in self.arms):
            self._real = pair_source(benchmark, places.data, split="train", device=self._device)
            real_sizes = {pair.key: (pair.hr.shape[0], pair.hr.shape[1]) for pair in self._real.read()}
        if places.synthetic is not None:
            self._synthetic = open_pairs(places.synthetic, benchmark.scale, source)
        self.counts = self._count(real_sizes)
        self.environment = environment(self._device)
        self.record, self.protocol = records(benchmark, baseline)
        self.dataset = dataset_record(
            benchmark, source, places.data, train=len(real_sizes), test=len(self.test)
        )
        self._work = begin_work(folder / WORK, self._conditions(real_sizes))

    @property
    def synthetic(self) -> SyntheticPairs | None:
        """The synthetic pairs; None without any."""
        return self._synthetic

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(arm.name for arm in self.arms) or (ZERO_SHOT,)

    def finish(self, name: str, seed: int) -> tuple[pl.DataFrame, bool]:
        """Return the rows of an arm and seed, and whether an earlier run had made them.

        Raises:
            UserError: The baseline fails.
            MethodError: It gives images of another number or size.
        """
        kept = self._finished(name, seed)
        if kept is not None:
            return kept, True
        keep = self.outputs(name, seed) if self._keep else None
        table = measure(
            self.test,
            self._made(name, seed),
            self.metrics,
            baseline=self.baseline.name,
            arm=name,
            seed=seed,
            keep=keep,
        )
        write_table(self._path(name, seed), table)
        return table, False

    def outputs(self, name: str, seed: int) -> Path:
        """Return the tar of the kept outputs of an arm and seed."""
        return self._path(name, seed).with_suffix(".tar")

    def _path(self, name: str, seed: int) -> Path:
        return self._work / f"{name}-{seed}.parquet"

    def _made(self, name: str, seed: int) -> Iterator[NDArray[np.uint8]]:
        low, scale = [pair.lr for pair in self.test], self.benchmark.scale
        if not isinstance(self.baseline, CompactSr):
            yield from checked_outputs(self.baseline.name, low, self.baseline.enlarge(low, scale), scale)
            return
        arm = next(each for each in self.arms if each.name == name)
        synthetic = None if self._synthetic is None else self._synthetic.pairs
        # An arm of synthetic pairs alone draws no real one.
        real = self._real or synthetic
        assert real is not None
        network, _ = train_arm(arm, seed, self.baseline.options, real, synthetic, device=self._device)
        yield from (network.enlarge(image) for image in low)

    def _finished(self, name: str, seed: int) -> pl.DataFrame | None:
        """Return the rows of a finished arm and seed; None if there are none, or damaged ones."""
        try:
            table = pl.read_parquet(io.BytesIO(self._path(name, seed).read_bytes()))
        except (OSError, pl.exceptions.PolarsError):
            return None
        whole = dict(table.schema) == schema(self.metrics.ids) and table["key"].to_list() == [
            pair.key for pair in self.test
        ]
        return table if whole and (not self._keep or self.outputs(name, seed).is_file()) else None

    def _count(self, real: Sizes) -> dict[str, PairCounts]:
        if not isinstance(self.baseline, CompactSr):
            return {ZERO_SHOT: PairCounts()}
        made: Sizes = {} if self._synthetic is None else self._synthetic.sizes
        for key, size in (real | made).items():
            _check_crop(key, size, self.benchmark.scale, self.baseline.options.crop)
        counts = {}
        for arm in self.arms:
            drawn = [draw_pairs(arm, seed, list(real), list(made)) for seed in self.seeds]
            counts[arm.name] = PairCounts(
                real=len(drawn[0].real),
                synthetic=len(drawn[0].synthetic),
                real_pixels=_pixels(real, [each.real for each in drawn]),
                synthetic_pixels=_pixels(made, [each.synthetic for each in drawn]),
            )
        return counts

    def _conditions(self, real: Sizes) -> dict[str, Any]:
        """Return everything that rows depend on but arm and seed."""
        return {
            "task_hash": self.benchmark.task_hash,
            "dataset": self.dataset.model_dump(mode="json"),
            "train": None if self._real is None else self._real.digest(),
            "baseline": self.record.model_dump(mode="json"),
            "protocol": self.protocol.model_dump(mode="json"),
            "synthetic": None if self._synthetic is None else self._synthetic.record.model_dump(mode="json"),
            "environment": self.environment,
        }


def metric_set(benchmark: SuperResolution, device: str) -> MetricSet:
    """Return the metrics of a benchmark.

    Raises:
        RecipeError: One does not exist, or its direction is the other one.
        MissingExtraError: pyiqa is not installed and asked for.
        UserError: The weights of one are not here and cannot be fetched.
    """
    metrics = MetricSet([metric.name for metric in benchmark.metrics], device)
    for metric, record in zip(benchmark.metrics, metrics.records(), strict=True):
        if metric.direction != record.direction:
            raise RecipeError(
                f"the metric {metric.name} is better when it is {record.direction}, not {metric.direction}",
                where=f"the benchmark '{benchmark.id}'",
                fix=f"write `direction: {record.direction}`",
            )
    return metrics


def _arms(baseline: Upscaler | CompactSr, arms: Sequence[Arm], places: Places) -> tuple[Arm, ...]:
    """Return the arms of a run, none for a baseline that is not trained here."""
    if not isinstance(baseline, CompactSr):
        if arms or places.synthetic is not None:
            raise UserError(
                f"the baseline '{baseline.name}' is not trained here, so it has no arms and no synthetic pairs",
                fix="take `--baseline compact-sr` for them",
            )
        return ()
    names = ("real",) if places.synthetic is None else ("real", "synthetic", "mixedx1")
    chosen = tuple(arms) or tuple(parse_arm(name) for name in names)
    needs = [arm.name for arm in chosen if arm.needs_synthetic]
    if needs and places.synthetic is None:
        raise UserError(
            f"the arm '{needs[0]}' needs synthetic pairs",
            fix="give `--synthetic DIR` of a finished build, or hf://datasets/USER/NAME",
        )
    if places.synthetic is not None and not needs:
        raise UserError(
            "no arm trains on the synthetic pairs", where="`--arms`", fix="name one, such as `synthetic`"
        )
    return chosen


def _check_crop(key: str, size: tuple[int, int], scale: int, crop: int) -> None:
    low = min(size) // scale
    if low < crop:
        raise UserError(
            f"the low-resolution image of the pair '{key}' has a side of {low} pixels, less than a crop of {crop}",
            where="compact-sr",
            fix=f"set `crop` to at most {low}, as in `--baseline compact-sr:crop={low}`, or give larger pairs",
        )


def _pixels(sizes: Sizes, drawn: Sequence[Sequence[str]]) -> int:
    """Return the high-resolution pixels of some pairs, mean over seeds."""
    return round(sum(sizes[key][0] * sizes[key][1] for keys in drawn for key in keys) / len(drawn))
