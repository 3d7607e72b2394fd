"""The runs of the EuroSAT study, in the order of their importance, and how each is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from _eurosat import REPO

SEEDS = 5
SHOTS = (1, 2, 4, 8, 16)
RATIOS = (0.5, 1, 2, 4, 8)
FIRST = (1, 4)
"""Ratios that come first, and that controls are made at."""

ALL_RATIOS = (0.25, 0.5, 1)
"""With all real images: 648 of a class are trained on, and there are 1,000 synthetic ones."""

STRATEGIES = {"b": "B", "le": "LE", "le-cf": "LE+CF"}
"""Names of synthetic sets by that of their folders."""

ZERO_SHOT, PROBE, SCRATCH = "zero-shot", "probe", "scratch"

PROTOCOLS = {
    ZERO_SHOT: ("--baseline", "eurosat-tiny-clip"),
    PROBE: ("--baseline", "eurosat-tiny-clip", "--protocol", "linear-probe"),
    # Fewer steps than the usual 300, so that some 500 trainings are affordable on two cores.
    SCRATCH: ("--protocol", "from-scratch:steps=200"),
}
CLASSIFIERS = {
    ZERO_SHOT: "eurosat-tiny-clip zero-shot",
    PROBE: "linear probe on eurosat-tiny-clip",
    SCRATCH: "small CNN from scratch",
}

THRESHOLD = "select.thresholds.clip_agreement_p.min=0.1"
"""Strategy CF of He et al. (ICLR 2023): an image is kept if the probability of its class is above 1 / classes."""


@dataclass(frozen=True, slots=True)
class Run:
    """A call of `eval run`: its folder's name, its classifier, its synthetic set (if any) and its arms."""

    name: str
    classifier: str
    synthetic: str | None
    arms: tuple[str, ...]


def plan() -> list[Run]:
    """Return every run: the probe, which is cheap, as a whole; training from scratch in parts, the first ones first."""
    sets = list(STRATEGIES)
    few, kinds = ("more-real", "flip-crop", "cutout"), ("more-real", "flip-crop", "cutout", "cutmix")
    return [
        Run("zero-shot", ZERO_SHOT, None, ()),
        Run("probe-real", PROBE, None, _real()),
        Run("probe-controls", PROBE, None, _controls(few, SHOTS)),
        *(Run(f"probe-{name}", PROBE, name, (*_first(name), *_ratios(name), *_shots())) for name in sets),
        Run("scratch-real", SCRATCH, None, _real()),
        Run("scratch-controls", SCRATCH, None, _controls(kinds, (16,))),
        *(Run(f"scratch-{name}-first", SCRATCH, name, _first(name)) for name in sets[:2]),
        *(Run(f"scratch-le-cf-x{ratio}", SCRATCH, "le-cf", _halves(ratio)) for ratio in reversed(FIRST)),
        Run("scratch-controls-few", SCRATCH, None, ("flip-crop@4x4", "flip-crop@1x4")),
        *(Run(f"scratch-{name}-ratios", SCRATCH, name, _ratios(name)) for name in sets),
        Run("scratch-controls-all", SCRATCH, None, ("flip-cropx1", "cutmixx1")),
        Run(
            "scratch-controls-rest",
            SCRATCH,
            None,
            tuple(arm for arm in _controls(kinds, (4, 1)) if arm not in ("flip-crop@4x4", "flip-crop@1x4")),
        ),
        *(Run(f"scratch-{name}-shots", SCRATCH, name, _shots()) for name in sets),
    ]


def _real() -> tuple[str, ...]:
    return ("real", *(f"real@{shots}" for shots in reversed(SHOTS)))


def _controls(kinds: tuple[str, ...], shots: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}@{k}x{ratio}" for ratio in FIRST for k in shots for kind in kinds)


def _first(synthetic: str) -> tuple[str, ...]:
    few = tuple(f"mixed@{k}x{ratio}" for k in (16, 4, 1) for ratio in FIRST)
    return ("synthetic", f"mixedx{_all_ratios(synthetic)[-1]:g}", *few)


def _halves(ratio: int) -> tuple[str, ...]:
    """Return the arms of `_first` of LE+CF at one of the two ratios; that of all real images is with the lower one."""
    arms = _first("le-cf")
    high = ("synthetic", *(arm for arm in arms if arm.endswith(f"x{FIRST[-1]}")))
    return high if ratio == FIRST[-1] else tuple(arm for arm in arms if arm not in high)


def _ratios(synthetic: str) -> tuple[str, ...]:
    """Return the other ratios of the same shots."""
    every = [f"mixedx{ratio:g}" for ratio in _all_ratios(synthetic)]
    # Half an image is one, so that mixed@1x0.5 would be mixed@1x1.
    every += [f"mixed@{k}x{ratio:g}" for k in (16, 4, 1) for ratio in RATIOS if (k, ratio) != (1, 0.5)]
    return tuple(arm for arm in every if arm not in _first(synthetic))


def _shots() -> tuple[str, ...]:
    """Return the mixed arms of the other shots."""
    return tuple(f"mixed@{k}x{ratio:g}" for k in (8, 2) for ratio in RATIOS)


def _all_ratios(synthetic: str) -> tuple[float, ...]:
    """Return the ratios for all real images: the filter leaves too few of one class for more than a quarter."""
    return ALL_RATIOS[:1] if synthetic == "le-cf" else ALL_RATIOS


def synrs(*arguments: str) -> None:
    """Run the program of this environment, with one thread and no network."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "synrs_data", *arguments], check=True, env=environment)


def build_all(builds: Path) -> None:
    """Build the three sets, those that are not there yet; LE+CF is another selection of the candidates of LE."""
    for name in ("b", "le"):
        if not (builds / name / "manifest.json").is_file():
            recipe = str(REPO / f"builders/scene_caption/eurosat-study-{name}.yaml")
            synrs("build", recipe, "--out", str(builds / name), "--workers", "2", "--device", "cpu")
    if not (builds / "le-cf" / "manifest.json").is_file():
        shutil.rmtree(builds / "le-cf", ignore_errors=True)
        shutil.copytree(builds / "le", builds / "le-cf.copy", dirs_exist_ok=True)
        synrs("select", str(builds / "le-cf.copy"), "--set", THRESHOLD)
        (builds / "le-cf.copy").rename(builds / "le-cf")


def start(run: Run, data: Path, builds: Mapping[str, Path], results: Path, cache: Path, seeds: int) -> bool:
    """Make a run, or go on with it; False where it is finished, or its synthetic set is not."""
    folder = results / run.name
    if (folder / "result.json").is_file():
        return False
    options: tuple[str, ...] = ("--arms", ",".join(run.arms), "--seeds", str(seeds)) if run.arms else ()
    if run.synthetic is not None:
        build = builds[run.synthetic]
        if not (build / "manifest.json").is_file():
            return False
        options += ("--synthetic", str(build))
    location = ("--data", str(data), "--cache", str(cache), "--out", str(folder))
    synrs("eval", "run", "eurosat", *PROTOCOLS[run.classifier], *options, *location, "--device", "cpu")
    return True
