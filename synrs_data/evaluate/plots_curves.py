"""Curves: what arms reach over the ratio of added images, and over the number of real ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from synrs_data.evaluate.compare_records import Comparison, Row
from synrs_data.evaluate.plots_style import (
    CONTROLS,
    REAL,
    Look,
    chance_line,
    control,
    handle,
    legend,
    near_chance,
    points,
    short,
    shot_counts,
    strategies,
    title,
    values_label,
    zero_line,
)
from synrs_data.evaluate.results import Interval

_DODGE, _WIDEST = 0.06, 0.5
"""Series stand side by side by this share of a doubling, so that their bars do not cover each other; all together
they take no more than the second number."""

_ACROSS, _WIDTH, _HEIGHT = 3, 3.1, 2.4


def ratio_figure(comparison: Comparison, classifier: str) -> Any | None:
    """Return the figure over ratios: a column of panels for each synthetic set, a line for each shot count.

    Above are values, with the real arm at ratio 0; below are differences to the baseline arm. Controls are dashed.

    Returns:
        A matplotlib figure; None where no arm is mixed.
    """
    rows = _rows_of(comparison, classifier)
    mixed = [row for row in rows if row.role == "mixed"]
    if not mixed:
        return None
    sets = [name for name in strategies(comparison) if any(row.synthetic == name for row in mixed)]
    looks = shot_counts(_sorted_shots(row.shots for row in mixed))
    ratios = sorted({row.ratio for row in rows if row.ratio})
    start = math.log2(ratios[0]) - 1
    figure, panels = _panels(
        len(sets), f"{classifier} on {comparison.benchmark.id}: over the ratio", comparison, rows
    )
    for (top, bottom), name in zip(panels, sets, strict=True):
        lines = _ratio_lines(rows, name, looks)
        for place, (own, real, look) in enumerate(lines):
            shift = _shift(place, len(lines))
            x = [math.log2(row.ratio) + shift for row in own]
            begin = [(start + shift, real)] if real is not None else []
            points(
                top,
                [at for at, _ in begin] + x,
                [_value(r) for _, r in begin] + [_value(r) for r in own],
                look,
            )
            _draw_differences(bottom, x, own, look)
        zero_line(bottom)
        top.set_title(short(name))
        marks = [start, *(math.log2(ratio) for ratio in ratios)]
        bottom.set_xticks(marks, ["0", *(f"{ratio:g}" for ratio in ratios)])
        bottom.set_xlabel("added images for a real one")
    kinds = [kind for kind in CONTROLS if any(row.kind == kind for row in rows)]
    entries = [handle("all real" if s is None else f"{s} a class", look) for s, look in looks.items()]
    legend(figure, entries + [handle(f"{kind} (control)", control(kind)) for kind in kinds])
    return figure


def shots_figure(comparison: Comparison, classifier: str) -> Any | None:
    """Return the figure over shots: a column of panels for each ratio, a line for each synthetic set.

    The axis is logarithmic to base 2 and has real images a class; "all" stands where its number belongs. Synthetic
    images alone are a horizontal line, since they have no real ones.

    Returns:
        A matplotlib figure; None with fewer than two shot counts.
    """
    rows = _rows_of(comparison, classifier)
    real = [row for row in rows if row.role == "real"]
    shots = _sorted_shots(row.shots for row in rows if row.role in ("real", "mixed"))
    if len(shots) < 2 or not real:
        return None
    at = {row.shots: math.log2(row.real_per_class) for row in rows if row.role in ("real", "mixed")}
    ratios = sorted({row.ratio for row in rows if row.ratio}) or [0.0]
    looks = strategies(comparison)
    figure, panels = _panels(
        len(ratios), f"{classifier} on {comparison.benchmark.id}: over real images", comparison, rows
    )
    for (top, bottom), ratio in zip(panels, ratios, strict=True):
        own = [row for row in rows if ratio and row.ratio == ratio]
        series = [(real, REAL)]
        series += [([r for r in own if r.synthetic == name], look) for name, look in looks.items()]
        series += [([r for r in own if r.kind == kind], control(kind)) for kind in CONTROLS]
        series = [(each, look) for each, look in series if each]
        for place, (each, look) in enumerate(series):
            x = [at[row.shots] + _shift(place, len(series)) for row in each if row.shots in at]
            kept = [row for row in each if row.shots in at]
            points(top, x, [_value(row) for row in kept], look)
            _draw_differences(bottom, x, kept, look)
        ends = [at[shots[0]] - 0.4, at[shots[-1]] + 0.4]
        alone = [row for row in rows if row.role == "synthetic" and row.shots is None]
        for row in alone:
            points(top, ends, [_value(row)] * 2, _alone(looks[row.synthetic or ""]))
        zero_line(bottom)
        top.set_title(f"{ratio:g} added for a real one" if ratio else "real images alone")
        bottom.set_xticks([at[each] for each in shots], [_shots_name(each, at[each]) for each in shots])
        bottom.set_xlabel("real images a class")
    used = [row.synthetic for row in rows if row.role == "mixed"]
    entries = [handle("real", REAL)] + [handle(name, look) for name, look in looks.items() if name in used]
    kinds = [kind for kind in CONTROLS if any(row.kind == kind for row in rows)]
    entries += [handle(f"{kind} (control)", control(kind)) for kind in kinds]
    lone = [row.synthetic or "" for row in rows if row.role == "synthetic" and row.shots is None]
    entries += [handle(f"{name} alone, all of it", _alone(looks[name])) for name in lone]
    legend(figure, entries)
    return figure


def _rows_of(comparison: Comparison, classifier: str) -> list[Row]:
    """Return the arms of a classifier; of those that several results give other predictions for, the first."""
    found: dict[tuple[str | None, str, int | None, float], Row] = {}
    for row in comparison.rows:
        if row.classifier == classifier:
            found.setdefault((row.synthetic, row.kind, row.shots, row.ratio), row)
    return list(found.values())


def _ratio_lines(
    rows: list[Row], name: str, looks: dict[int | None, Look]
) -> list[tuple[list[Row], Row | None, Look]]:
    """Return the lines of a panel: arms in the order of their ratios, the real arm they begin at, and their look."""
    found = []
    for shots, look in looks.items():
        real = next((row for row in rows if row.role == "real" and row.shots == shots), None)
        own = [row for row in rows if row.role == "mixed" and (row.synthetic, row.shots) == (name, shots)]
        if own:
            found.append((own, real, look))
        for kind in CONTROLS:
            beside = [row for row in rows if (row.kind, row.shots) == (kind, shots)]
            if beside:
                found.append((beside, None, control(kind, look.colour)))
    return found


def _panels(
    count: int, text: str, comparison: Comparison, rows: Sequence[Row]
) -> tuple[Any, list[tuple[Any, Any]]]:
    """Return a figure with pairs of panels, values above differences, all on the same two scales."""
    from matplotlib.figure import Figure

    columns = min(count, _ACROSS)
    blocks = -(-count // columns)
    figure = Figure(
        figsize=(max(5.0, _WIDTH * columns + 0.6), 2 * _HEIGHT * blocks + 1.2), layout="constrained"
    )
    title(figure, text)
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    near = near_chance(comparison.chance, rows)
    pairs: list[tuple[Any, Any]] = []
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        top, bottom = grid[2 * block][column], grid[2 * block + 1][column]
        if place >= count:
            top.set_axis_off()
            bottom.set_axis_off()
            continue
        top.sharex(bottom)
        top.tick_params(labelbottom=False)
        if pairs:
            top.sharey(pairs[0][0])
            bottom.sharey(pairs[0][1])
        if column:
            top.tick_params(labelleft=False)
            bottom.tick_params(labelleft=False)
        else:
            top.set_ylabel(values_label(comparison, near=near))
            bottom.set_ylabel(f"difference to {comparison.baseline_arm}, points")
        if near:
            chance_line(top, comparison.chance)
        pairs.append((top, bottom))
    return figure, pairs


def _alone(look: Look) -> Look:
    return Look(look.colour, look.marker, (1, 1.5))


def _value(row: Row) -> tuple[float, Interval]:
    return row.value, row.interval


def _draw_differences(axes: Any, x: Sequence[float], rows: Sequence[Row], look: Look) -> None:
    pairs = [(at, row.difference) for at, row in zip(x, rows, strict=True) if row.difference is not None]
    if pairs:
        points(axes, [at for at, _ in pairs], [(each.value, each.interval) for _, each in pairs], look)


def _shift(place: int, count: int) -> float:
    return min(_DODGE, _WIDEST / count) * (place - (count - 1) / 2)


def _sorted_shots(shots: Any) -> list[int | None]:
    return sorted(set(shots), key=lambda each: math.inf if each is None else each)


def _shots_name(shots: int | None, at: float) -> str:
    return f"all ({2**at:.0f})" if shots is None else str(shots)
