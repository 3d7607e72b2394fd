"""Lists of arms with their differences, and heat maps of the differences of classes."""

from __future__ import annotations

from typing import Any

from synrs_data.evaluate.compare_records import Compared, Comparison, Row
from synrs_data.evaluate.plots_style import (
    INK,
    PAPER,
    REAL,
    Look,
    across,
    chance_line,
    control,
    handle,
    legend,
    strategies,
    title,
    zero_line,
)

_ROW, _CELL = 0.23, 0.46


def rows_of(comparison: Comparison, classifier: str, synthetic: str | None) -> list[Row]:
    """Return the arms that a figure of a synthetic set shows: its own, the real ones and the controls."""
    return [
        row for row in comparison.rows if row.classifier == classifier and row.synthetic in (None, synthetic)
    ]


def arms_figure(comparison: Comparison, classifier: str, synthetic: str | None) -> Any:
    """Return the list of arms: values on the left, differences to the baseline arm on the right."""
    from matplotlib.figure import Figure

    rows = rows_of(comparison, classifier, synthetic)
    figure = Figure(figsize=(7.4, 1.6 + _ROW * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for y, row in enumerate(rows):
        look = _look(comparison, row)
        across(left, y, (row.value, row.interval), look)
        if row.difference is not None:
            across(right, y, (row.difference.value, row.difference.interval), look)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_yticks(range(len(rows)), [row.label for row in rows])
    chance_line(left, comparison.chance, rows, upright=True)
    zero_line(right, upright=True)
    left.set_xlabel(f"{comparison.metric}, per cent")
    right.set_xlabel(f"difference to {comparison.baseline_arm}, points")
    title(figure, _title(comparison, classifier, synthetic))
    if not any(row.difference for row in rows):
        right.set_axis_off()
    entries = {row.kind: handle(_kind_name(row), _look(comparison, row)) for row in rows}
    legend(figure, list(entries.values()))
    return figure


def classes_figure(comparison: Comparison, classifier: str, synthetic: str | None) -> Any | None:
    """Return the heat map of class differences; numbers whose interval leaves zero out are bold.

    Returns:
        A matplotlib figure; None where no arm is compared.
    """
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    found = rows_of(comparison, classifier, synthetic)
    rows: list[tuple[str, Compared]] = [(row.label, row.difference) for row in found if row.difference]
    if not rows:
        return None
    classes = comparison.classes
    values = [
        [None if (part := each.per_class[name]) is None else part.value * 100 for name in classes]
        for _, each in rows
    ]
    most = max([1.0, *(abs(value) for row in values for value in row if value is not None)])
    size = (2.6 + _CELL * len(classes), 2.2 + 0.25 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=False)
    drawn = [[float("nan") if value is None else value for value in row] for row in values]
    mesh = axes.pcolormesh(drawn, cmap="PuOr", norm=Normalize(-most, most), edgecolors=PAPER, linewidth=0.8)
    for y, (_, compared) in enumerate(rows):
        for x, name in enumerate(classes):
            part = compared.per_class[name]
            if part is None:
                text, weight, strong = "–", "normal", False
            else:
                outside = part.interval.low > 0 or part.interval.high < 0
                text, weight = _whole(part.value * 100), "bold" if outside else "normal"
                strong = abs(part.value * 100) > 0.62 * most
            colour = PAPER if strong else INK
            axes.text(
                x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=colour, weight=weight
            )
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([y + 0.5 for y in range(len(rows))], [label for label, _ in rows])
    axes.set_xticks(
        [x + 0.5 for x in range(len(classes))], classes, rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(mesh, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label(f"difference to {comparison.baseline_arm}, points")
    axes.set_xlabel("bold: the interval leaves 0 out")
    title(figure, _title(comparison, classifier, synthetic))
    return figure


def _title(comparison: Comparison, classifier: str, synthetic: str | None) -> str:
    of = f", {synthetic}" if synthetic else ""
    return f"{classifier} on {comparison.benchmark.id}{of}"


def _whole(points: float) -> str:
    return f"{points:+.0f}" if abs(points) >= 0.5 else "0"


def _look(comparison: Comparison, row: Row) -> Look:
    if row.role == "control":
        return control(row.kind)
    if row.synthetic is None:
        return REAL
    own = strategies(comparison)[row.synthetic]
    return own if row.role == "mixed" else Look(own.colour, "d")


def _kind_name(row: Row) -> str:
    return f"{row.kind} (control)" if row.role == "control" else row.kind
