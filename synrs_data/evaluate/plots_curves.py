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
    points,
    shot_counts,
    strategies,
    title,
    zero_line,
)
from synrs_data.evaluate.results import Interval

_DODGE = 0.05
"""Series stand side by side by this share of a doubling, so that their bars do not cover each other."""

_PANEL, _HEIGHT = 3.1, 2.5


def ratio_figure(comparison: Comparison, classifier: str) -> Any | None:
    """Return the figure over ratios: a column of panels for each synthetic set, a line for each shot count.

    Above are values, with the real arm at ratio 0; below are differences to the baseline arm. Controls are dashed.

    Returns:
        A matplotlib figure; None where no arm is mixed.
    """
    rows = [row for row in comparison.rows if row.classifier == classifier]
    mixed = [row for row in rows if row.role == "mixed"]
    if not mixed:
        return None
    sets = [name for name in strategies(comparison) if any(row.synthetic == name for row in mixed)]
    looks = shot_counts(_sorted_shots(row.shots for row in mixed))
    ratios = sorted({row.ratio for row in rows if row.ratio})
    start = math.log2(ratios[0]) - 1
    figure, panels = _panels(len(sets), f"{classifier} on {comparison.benchmark.id}: over the ratio")
    for column, name in enumerate(sets):
        top, bottom = panels[0][column], panels[1][column]
        shown = []
        lines = _ratio_lines(rows, name, looks)
        for place, (own, real, look) in enumerate(lines):
            shift = _shift(place, len(lines))
            x = [math.log2(row.ratio) + shift for row in own]
            shown += [*own, *([real] if real else [])]
            begin = [(start + shift, real)] if real is not None else []
            points(
                top,
                [at for at, _ in begin] + x,
                [_value(r) for _, r in begin] + [_value(r) for r in own],
                look,
            )
            _draw_differences(bottom, x, own, look)
        chance_line(top, comparison.chance, shown)
        zero_line(bottom)
        top.set_title(name)
        for axes in (top, bottom):
            axes.set_xticks([start, *(math.log2(ratio) for ratio in ratios)])
            axes.set_xticklabels(["0", *(f"{ratio:g}" for ratio in ratios)])
        bottom.set_xlabel("added images for a real one")
    _name_rows(panels, comparison)
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
    rows = [row for row in comparison.rows if row.classifier == classifier]
    real = [row for row in rows if row.role == "real"]
    shots = _sorted_shots(row.shots for row in rows if row.role in ("real", "mixed"))
    if len(shots) < 2 or not real:
        return None
    at = {row.shots: math.log2(row.real_per_class) for row in rows if row.role in ("real", "mixed")}
    ratios = sorted({row.ratio for row in rows if row.ratio}) or [0.0]
    looks = strategies(comparison)
    figure, panels = _panels(len(ratios), f"{classifier} on {comparison.benchmark.id}: over real images")
    for column, ratio in enumerate(ratios):
        top, bottom = panels[0][column], panels[1][column]
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
        chance_line(top, comparison.chance, [*(row for each, _ in series for row in each), *alone])
        zero_line(bottom)
        top.set_title(f"{ratio:g} added for a real one" if ratio else "real images alone")
        for axes in (top, bottom):
            axes.set_xticks([at[each] for each in shots])
            axes.set_xticklabels([_shots_name(each, at[each]) for each in shots])
        bottom.set_xlabel("real images a class")
    _name_rows(panels, comparison)
    used = [row.synthetic for row in rows if row.role == "mixed"]
    entries = [handle("real", REAL)] + [handle(name, look) for name, look in looks.items() if name in used]
    kinds = [kind for kind in CONTROLS if any(row.kind == kind for row in rows)]
    entries += [handle(f"{kind} (control)", control(kind)) for kind in kinds]
    lone = [row.synthetic or "" for row in rows if row.role == "synthetic" and row.shots is None]
    entries += [handle(f"{name} alone, all of it", _alone(looks[name])) for name in lone]
    legend(figure, entries)
    return figure


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


def _panels(columns: int, text: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    width = max(5.0, _PANEL * columns + 0.6)
    figure = Figure(figsize=(width, 2 * _HEIGHT + 1.2), layout="constrained")
    panels = figure.subplots(2, columns, sharex="col", sharey="row", squeeze=False)
    title(figure, text)
    return figure, panels


def _name_rows(panels: Any, comparison: Comparison) -> None:
    panels[0][0].set_ylabel(f"{comparison.metric}, per cent")
    panels[1][0].set_ylabel(f"difference to {comparison.baseline_arm}, points")


def _alone(look: Look) -> Look:
    return Look(look.colour, look.marker, (1, 1.5))


def _value(row: Row) -> tuple[float, Interval]:
    return row.value, row.interval


def _draw_differences(axes: Any, x: Sequence[float], rows: Sequence[Row], look: Look) -> None:
    pairs = [(at, row.difference) for at, row in zip(x, rows, strict=True) if row.difference is not None]
    if pairs:
        points(axes, [at for at, _ in pairs], [(each.value, each.interval) for _, each in pairs], look)


def _shift(place: int, count: int) -> float:
    return _DODGE * (place - (count - 1) / 2)


def _sorted_shots(shots: Any) -> list[int | None]:
    return sorted(set(shots), key=lambda each: math.inf if each is None else each)


def _shots_name(shots: int | None, at: float) -> str:
    return f"all ({2**at:.0f})" if shots is None else str(shots)
