"""The page and the figures of the study of super-resolution, from its results alone: no number is typed by hand."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.evaluate.arms import parse_arm
from synrs_data.evaluate.benchmark import SuperResolution, load_benchmark
from synrs_data.evaluate.plots_style import INK, house_style, zero_line
from synrs_data.evaluate.statistics import Difference
from synrs_data.evaluate.super_resolution.pairs import PackedPairs
from synrs_data.evaluate.super_resolution.results import (
    OUTPUTS,
    ImageMetricValue,
    PairArm,
    SuperResolutionResult,
    read_super_resolution,
)
from synrs_data.evaluate.super_resolution.sources import pair_source
from synrs_data.evaluate.super_resolution.values import mean_difference
from synrs_data.image_sources import decode_rgb
from synrs_data.shards.tar import members

REPO = Path(__file__).resolve().parents[1]
PAGE, IMAGES = REPO / "docs/study-sr.md", REPO / "docs/images"
BASELINES = ("bicubic", "lanczos", "compact-sr")
COMPACT, ZERO_SHOT = "compact-sr", "zero-shot"

DIGITS = {"psnr": 2, "ssim": 4, "opensr": 3}

SHOWN = {
    "psnr-y@crop4": "PSNR of luma, dB",
    "ssim-y@crop4": "SSIM of luma",
    "opensr-hallucination": "opensr hallucination (less is better)",
}
"""Metrics of the figure."""

TILE = "denseresidential/denseresidential31"
PICTURED = ("bicubic", "real@4", "mixed@4x16", "synthetic", "mixedx6", "real")
"""A test tile that is shown, chosen before any output was seen, and what of it."""

COMPARISONS = (
    ("real", "bicubic"),
    ("synthetic", "bicubic"),
    ("synthetic", "real"),
    ("synthetic", "real@4"),
    ("mixedx1", "real"),
    ("mixedx6", "real"),
    ("mixed@4x4", "real@4"),
    ("mixed@4x16", "real@4"),
    ("more-real@4x1", "real@4"),
    ("mixed@4x4", "more-real@4x1"),
    ("mixed@4x16", "more-real@4x1"),
)
"""Differences that the page lists."""

# Colours of Okabe and Ito, as in the other figures: real pairs alone in ink.
_COLOURS = {"real": INK, "more-real": "#666666", "synthetic": "#D55E00", "mixed": "#0072B2"}


class Numbers:
    """Looks up numbers of the study, as text.

    Args:
        results: Folder with a folder for each baseline.
    """

    def __init__(self, results: Path) -> None:
        self.records = {name: read_super_resolution(results / name) for name in BASELINES}
        self.table = pl.concat(
            [pl.read_parquet(results / name / "predictions.parquet") for name in BASELINES]
        )

    @property
    def trained(self) -> SuperResolutionResult:
        """The result of the network that is trained."""
        return self.records[COMPACT]

    def arm(self, name: str) -> PairArm:
        """Return an arm of the network, or the one of a baseline that is not trained."""
        if name in BASELINES:
            return self.records[name].arms[0]
        return next(arm for arm in self.trained.arms if arm.name == name)

    def metric(self, arm: str, metric: str) -> ImageMetricValue:
        """Return what an arm reached."""
        return next(each for each in self.arm(arm).metrics if each.name == metric)

    def value(self, arm: str, metric: str) -> str:
        """Return a mean with its interval."""
        found, digits = self.metric(arm, metric), _digits(metric)
        assert found.value is not None
        assert found.interval is not None
        return (
            f"{found.value:.{digits}f} ({found.interval.low:.{digits}f} to {found.interval.high:.{digits}f})"
        )

    def less(self, first: str, second: str, metric: str) -> Difference:
        """Return by how much one arm is above another, paired by seed and image."""
        sides = [(name, ZERO_SHOT) if name in BASELINES else (COMPACT, name) for name in (first, second)]
        return mean_difference(
            self.table, sides[0], sides[1], metric, seed=self.trained.bootstrap.seed,
            replicates=self.trained.bootstrap.replicates,
        )  # fmt: skip

    def gain(self, first: str, second: str, metric: str, *, bold: bool = True) -> str:
        """Return a difference with its interval, bold where that leaves zero out."""
        found, digits = self.less(first, second, metric), _digits(metric)
        text = f"{found.value:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
        return f"**{text}**" if bold and (found.low > 0 or found.high < 0) else text


def write(results: Path) -> list[Path]:
    """Write the page and its figures, and return them."""
    numbers = Numbers(results)
    written = []
    for ending, content in draw(numbers).items():
        written.append(IMAGES / f"study_sr_gains.{ending}")
        files.write_bytes(written[-1], content)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    arms = [arm.name for arm in numbers.trained.arms]
    text = environment.get_template("study_sr.md.j2").render(
        n=numbers, r=numbers.trained, arms=arms, comparisons=COMPARISONS
    )
    files.write_text(PAGE, text)
    return [PAGE, *written]


def draw(numbers: Numbers) -> dict[str, bytes]:
    """Return the figure of gains over bicubic as PNG and SVG."""
    from matplotlib.figure import Figure

    arms = [*(arm.name for arm in numbers.trained.arms), "lanczos"]
    found = {}
    with house_style():
        figure = Figure(figsize=(9.5, 0.32 * len(arms) + 1.2), layout="constrained")
        panels = figure.subplots(1, len(SHOWN), sharey=True)
        for axes, (metric, title) in zip(panels, SHOWN.items(), strict=True):
            for row, arm in enumerate(reversed(arms)):
                gain = numbers.less(arm, "bicubic", metric)
                colour = "#8a8a8a" if arm in BASELINES else _COLOURS[parse_arm(arm).kind]
                bars: Any = [[max(0.0, gain.value - gain.low)], [max(0.0, gain.high - gain.value)]]
                axes.errorbar([gain.value], [row], xerr=bars, color=colour, marker="o", capsize=2.2)
            zero_line(axes, upright=True)
            axes.set_title(title)
            axes.set_xlabel("difference to bicubic")
        panels[0].set_yticks(range(len(arms)), list(reversed(arms)))
        for ending in ("png", "svg"):
            out = io.BytesIO()
            figure.savefig(out, format=ending, dpi=130, metadata={"Date": None} if ending == "svg" else None)
            found[ending] = out.getvalue()
    return found


def draw_pictures(data: Path, work: Path) -> Path:
    """Draw pairs of both kinds, and a part of a test tile as each arm of seed 0 makes it.

    Args:
        data: Tiles of UC Merced.
        work: Folder of the build `pairs`, and of the runs with their kept outputs.
    """
    from matplotlib.figure import Figure

    benchmark = load_benchmark("ucmerced-x4")
    assert isinstance(benchmark, SuperResolution)
    real = pair_source(benchmark, str(data), split="train")
    synthetic = PackedPairs(str(work / "pairs"), benchmark.scale)
    test = pair_source(benchmark, str(data))
    tile = next(test.read([TILE]))
    rows = [
        [("synthetic", pair.hr) for pair in synthetic.read(synthetic.keys[:: len(synthetic.keys) // 7][:7])],
        [
            ("real, a part", pair.hr[96:160, 96:160])
            for pair in real.read(real.keys[:: len(real.keys) // 7][:7])
        ],
        [("truth", tile.hr), *((name, _output(work, name, test.keys.index(TILE))) for name in PICTURED)],
    ]
    rows[2] = [(name, image[96:160, 96:160]) for name, image in rows[2]]
    with house_style():
        figure = Figure(figsize=(9.5, 4.6), layout="constrained")
        for axes_row, row in zip(figure.subplots(3, 7), rows, strict=True):
            for axes, (name, image) in zip(axes_row, row, strict=True):
                axes.imshow(image, interpolation="nearest")
                axes.set_title(name, fontsize=8)
                axes.set_axis_off()
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110)
    path = IMAGES / "study_sr_pictures.png"
    files.write_bytes(path, out.getvalue())
    return path


def _output(work: Path, name: str, number: int) -> NDArray[np.uint8]:
    """Return what a baseline, or an arm of seed 0, made of a test image."""
    folder, file = (name, "zero-shot-0") if name in BASELINES else (COMPACT, f"{name}-0")
    fields = next(itertools.islice(members(work / folder / OUTPUTS / f"{file}.tar"), number, None))[1]
    return decode_rgb(fields["png"], name)


def _digits(metric: str) -> int:
    return DIGITS[metric.partition("-")[0]]
