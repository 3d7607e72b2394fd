"""`real-esrgan` draws what the published tables say: every parameter, how often it applies, and what hangs together."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from math import pi
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.degradations.distributions import Choice, Uniform
from synrs_data.degradations.real_esrgan import RealEsrgan, RealEsrganOptions
from tests.degradations.second_order_tables import TABLES, Table

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

Floats = NDArray[np.float64]

COUNT = 20_000
LEAST = 1e-3 / sum(2 * len(tables) for tables, _ in TABLES.values())
"""Smallest accepted p-value: with all tests of this module together, a right sampler fails once in a thousand seeds."""

PRESETS = list(TABLES)
ESRGANS = ["real-esrgan-x4", "resshift"]


def method(preset: str) -> RealEsrgan:
    return RealEsrgan(RealEsrganOptions(preset=preset))


@cache
def draws(preset: str) -> list[dict[str, Any]]:
    made = method(preset)
    return [made.draw(seed, 512, 512) for seed in range(COUNT)]


def values(preset: str, name: str, **given: Any) -> list[Any]:
    """Return the values of a parameter, of the draws in which others (`blur1__kind=...`) have given values."""
    wanted = {key.replace("__", "."): value for key, value in given.items()}
    return [
        drawn[name]
        for drawn in draws(preset)
        if name in drawn and all(drawn.get(key) == value for key, value in wanted.items())
    ]


def mixture(pieces: list[tuple[float, float, float]], points: Floats) -> Floats:
    total = sum(share for share, _, _ in pieces)
    parts = [share / total * np.clip((points - low) / (high - low), 0, 1) for share, low, high in pieces]
    return np.asarray(np.sum(parts, axis=0))


def p_value(found: list[Any], table: Table) -> float:
    """How likely values as far from a table as these are, if they were drawn from it."""
    if isinstance(table, dict):
        counts = Counter(str(value) for value in found)
        assert set(counts) <= {key for key, share in table.items() if share > 0}
        expected = np.array(list(table.values())) * len(found)
        return float(stats.chisquare([counts[key] for key in table], expected).pvalue)
    points = np.array(found, dtype=float)
    alone = {low: share for share, low, high in table if low == high}
    spread = [piece for piece in table if piece[1] < piece[2]]
    worst = 1.0
    for point, share in alone.items():
        worst = min(worst, float(stats.binomtest(int((points == point).sum()), len(points), share).pvalue))
        points = points[points != point]
    assert points.min() >= min(low for _, low, _ in spread)
    assert points.max() <= max(high for _, _, high in spread)
    return min(worst, float(stats.kstest(points, lambda x: mixture(spread, x)).pvalue))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_follows_its_table(preset: str) -> None:
    tables, _ = TABLES[preset]
    small = {name: p for name in tables if (p := p_value(values(preset, name), tables[name])) < LEAST}
    assert small == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_applies_as_often_as_its_table_says(preset: str) -> None:
    tables, shares = TABLES[preset]
    wrong = {}
    for name in tables:
        count, share = len(values(preset, name)), shares.get(name, 1.0)
        p = float(stats.binomtest(count, COUNT, share).pvalue) if share < 1 else float(count == COUNT)
        if p < LEAST:
            wrong[name] = (count, share)
    assert wrong == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_is_drawn_that_no_table_names_but_seeds_of_noise(preset: str) -> None:
    found = {name for drawn in draws(preset) for name in drawn}
    # What follows from the draws and the size: see tests/degradations/test_centre_shift.py.
    found -= {"shift.x", "shift.y"}
    assert {name for name in found if not name.endswith(".seed")} == set(TABLES[preset][0])
    seeds = [drawn[name] for drawn in draws(preset) for name in drawn if name.endswith(".seed")]
    assert all(type(seed) is int and 0 <= seed < 2**53 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("preset", PRESETS)
def test_distributions_are_those_of_the_tables(preset: str) -> None:
    specified = method(preset).distributions()
    tables, _ = TABLES[preset]
    assert set(specified) == set(tables)
    for name, table in tables.items():
        given = specified[name]
        if isinstance(table, dict):
            assert isinstance(given, Choice), name
            assert dict(given.probabilities) == pytest.approx(table), name
        else:
            assert isinstance(given, Uniform), name
            spread = [piece for piece in table if piece[1] < piece[2]]
            grid = np.linspace(given.support[0] - 0.1, given.support[1] + 0.1, 101)
            expected = mixture(spread, grid) * sum(share for share, _, _ in spread)
            expected += sum((grid >= low) * share for share, low, high in table if low == high)
            assert given.cdf(grid) == pytest.approx(expected), name


def test_the_tests_of_this_module_see_small_errors() -> None:
    kinds = values("real-esrgan-x4", "blur1.kind")
    table = dict(TABLES["real-esrgan-x4"][0]["blur1.kind"])  # type: ignore[arg-type]
    assert p_value(kinds, table) > LEAST
    assert p_value(kinds, table | {"iso": table["iso"] + 0.03, "aniso": table["aniso"] - 0.03}) < LEAST
    scales = values("real-esrgan-x4", "resize1.scale")
    assert p_value(scales, [(0.26, 1.0, 1.5), (0.74, 0.15, 1.0)]) < LEAST
    assert p_value(values("real-esrgan-x4", "noise1.sigma"), [(1.0, 1.0, 31.0)]) < LEAST
    assert p_value(values("real-esrgan-x4", "blur1.beta"), [(0.5, 0.5, 1.0), (0.5, 1.0, 4.0)]) < LEAST


@pytest.mark.parametrize("preset", ESRGANS)
@pytest.mark.parametrize("name", ["blur1", "blur2"])
def test_the_cut_off_of_a_sinc_kernel_depends_on_its_size(preset: str, name: str) -> None:
    small: list[float] = []
    large: list[float] = []
    for drawn in draws(preset):
        if drawn.get(f"{name}.kind") == "sinc":
            (small if drawn[f"{name}.size"] < 13 else large).append(drawn[f"{name}.omega_c"])
    assert p_value(small, [(1.0, pi / 3, pi)]) > LEAST
    assert p_value(large, [(1.0, pi / 5, pi)]) > LEAST
    assert min(large) < pi / 3 <= min(small)


@pytest.mark.parametrize("preset", PRESETS)
def test_only_anisotropic_kernels_have_two_widths_and_a_rotation(preset: str) -> None:
    names = {"sigma": ("sigma_x", "sigma_y"), "variance": ("variance_x", "variance_y")}
    first, second = names["variance" if preset == "bsrgan" else "sigma"]
    seen = 0
    for drawn in draws(preset):
        for name in ("blur1", "blur2"):
            turned = str(drawn.get(f"{name}.kind", "")).endswith("aniso")
            assert (f"{name}.{second}" in drawn) == (f"{name}.rotation" in drawn) == turned
            if turned:
                seen += 1
                assert drawn[f"{name}.{first}"] != drawn[f"{name}.{second}"]
    assert seen > 1000


@pytest.mark.parametrize("preset", ESRGANS)
def test_beta_has_a_range_for_each_shape_with_half_of_it_below_one(preset: str) -> None:
    shaped: dict[str, list[float]] = {"generalized": [], "plateau": []}
    for drawn in draws(preset):
        kind = drawn["blur1.kind"].split("_")[0]
        assert ("blur1.beta" in drawn) == (kind in shaped)
        if kind in shaped:
            shaped[kind].append(drawn["blur1.beta"])
    assert p_value(shaped["generalized"], [(0.5, 0.5, 1.0), (0.5, 1.0, 4.0)]) > LEAST
    assert p_value(shaped["plateau"], [(0.5, 1.0, 1.0), (0.5, 1.0, 2.0)]) > LEAST


@pytest.mark.parametrize("preset", ESRGANS)
@pytest.mark.parametrize(("name", "low", "high"), [("resize1", 0.15, 1.5), ("resize2", 0.3, 1.2)])
def test_factors_hang_on_the_direction(preset: str, name: str, low: float, high: float) -> None:
    scale, kind = f"{name}.scale", f"{name}__kind"
    assert p_value(values(preset, scale, **{kind: "up"}), [(1.0, 1.0, high)]) > LEAST
    assert p_value(values(preset, scale, **{kind: "down"}), [(1.0, low, 1.0)]) > LEAST
    assert values(preset, scale, **{kind: "keep"}) == []


@pytest.mark.parametrize("preset", ESRGANS)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("blur1.kind", "blur1.size"),
        ("resize1.kind", "resize1.mode"),
        ("noise1.kind", "noise1.channels"),
        ("blur1.kind", "blur2.kind"),
        ("blur2.applied", "noise2.kind"),
        ("final.order", "resize3.mode"),
        ("final.order", "sinc.applied"),
    ],
)
def test_choices_are_independent_of_each_other(preset: str, one: str, other: str) -> None:
    pairs = Counter((drawn[one], drawn[other]) for drawn in draws(preset) if one in drawn and other in drawn)
    rows, columns = (sorted({pair[place] for pair in pairs}) for place in (0, 1))
    table = [[pairs[row, column] for column in columns] for row in rows]
    assert stats.chi2_contingency(table).pvalue > LEAST


def test_only_gaussian_noise_has_a_sigma_and_only_poisson_noise_a_scale() -> None:
    for drawn in draws("real-esrgan-x4"):
        gaussian = drawn["noise1.kind"] == "gaussian"
        assert ("noise1.sigma" in drawn, "noise1.poisson_scale" in drawn) == (gaussian, not gaussian)


def test_resshift_leaves_out_its_second_part_as_a_whole() -> None:
    part = ("blur2.", "resize2.", "noise2.")
    for drawn in draws("resshift"):
        done = {name for name in drawn if name.startswith(part)}
        assert bool(done) == drawn["second.applied"]
        assert {"jpeg2.quality", "resize3.mode"} <= drawn.keys()


@pytest.mark.parametrize(("option", "left"), [("whole", 4), ("half", 2)])
def test_ranges_of_bsrgan_hang_on_what_is_left_to_shrink(option: str, left: int) -> None:
    for name, high in (
        ("blur1.variance_x", 4.0 + left),
        ("blur1.variance_y", 4.0 + left),
        ("blur1.sigma_x", 2.0 + 0.2 * left),
    ):
        assert p_value(values("bsrgan", name, start__option=option), [(1.0, 0.0, high)]) > LEAST
    divisors = values("bsrgan", "shrink.divisor", start__option=option)
    assert p_value(divisors, [(1.0, 1.0, 2.0 * left)]) > LEAST
    sigmas = values("bsrgan", "centred.sigma_x", start__option=option)
    assert p_value(sigmas, [(1.0, 0.1, 0.6 * left)]) > LEAST
    assert (len(values("bsrgan", "halve.mode", start__option=option)) > 0) == (option == "half")


def test_the_second_shrinking_of_bsrgan_comes_before_the_third() -> None:
    for order in values("bsrgan", "shuffled.order"):
        steps = order.split()
        assert steps.index("downsample2") < steps.index("downsample3")


@pytest.mark.parametrize("preset", PRESETS)
def test_draws_are_a_function_of_the_seed_alone(preset: str) -> None:
    import torch

    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    made = method(preset)
    for seed in (0, 1, 2**63 - 1):
        drawn = made.draw(seed, 512, 512)
        other = method(preset).draw(seed, 16, 100)
        assert {name: drawn[name] for name in drawn if name[:5] != "shift"} == {
            name: other[name] for name in other if name[:5] != "shift"
        }
        assert drawn != made.draw(seed ^ 4, 512, 512)
    assert states[0] == random.getstate()
    assert states[1] == str(np.random.get_state())
    assert torch.equal(states[2], torch.get_rng_state())


@pytest.mark.parametrize("preset", PRESETS)
def test_draws_are_flat_json_that_comes_back_as_it_was(preset: str) -> None:
    for drawn in draws(preset)[:500]:
        assert all(type(value) in (str, int, float, bool) for value in drawn.values())
        assert json.loads(json.dumps(drawn)) == drawn
