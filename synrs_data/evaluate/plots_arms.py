"""Lists of arms with their differences, and heat maps of the differences of classes."""

from __future__ import annotations

from typing import Any

from synrs_data.evaluate.compare_records import ClassDifference, Compared, Comparison, Row
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
    near_chance,
    short,
    strategies,
    title,
    values_label,
    zero_line,
)

_ROW, _CELL = 0.23, 0.46
_FEW = 15


def rows_of(comparison: Comparison, classifier: str, synthetic: str | None) -> list[Row]:
    """Return the arms that a figure of a synthetic set shows: its own, the real ones and the controls."""
    return [
        row for row in comparison.rows if row.classifier == classifier and row.synthetic in (None, synthetic)
    ]


def arms_figure(comparison: Comparison, classifier: str, synthetic: str | None) -> Any:
    """Return the list of arms: values on the left, differences to the baseline arm on the right."""
    from matplotlib.figure import Figure

    rows = rows_of(comparison, classifier, synthetic)
    compared = any(row.difference for row in rows)
    figure = Figure(figsize=(7.4, 1.6 + _ROW * len(rows)), layout="constrained")
    panels = figure.subplots(1, 1 + compared, sharey=True, squeeze=False)[0]
    left, right = panels[0], panels[-1]
    for y, row in enumerate(rows):
        look = _look(comparison, row)
        across(left, y, (row.value, row.interval), look)
        if row.difference is not None:
            across(right, y, (row.difference.value, row.difference.interval), look)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_yticks(range(len(rows)), [short(row.label) for row in rows])
    near = near_chance(comparison.chance, rows)
    left.set_xlabel(values_label(comparison, near=near))
    if near:
        chance_line(left, comparison.chance, upright=True)
    if compared:
        zero_line(right, upright=True)
        right.set_xlabel(f"difference to {comparison.baseline_arm}, points")
    title(figure, _title(comparison, classifier, synthetic))
    entries = {row.kind: handle(_kind_name(row), _look(comparison, row)) for row in rows}
    legend(figure, list(entries.values()))
    return figure


def classes_figure(comparison: Comparison, classifier: str, synthetic: str | None) -> Any | None:
    """Return the heat map of class differences; numbers whose interval leaves zero out are bold.

    Many classes stand below each other, with an arm a column; few beside each other, with an arm a row.

    Returns:
        A matplotlib figure; None where no arm is compared.
    """
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    found = rows_of(comparison, classifier, synthetic)
    arms: list[tuple[str, Compared]] = [(row.label, row.difference) for row in found if row.difference]
    if not arms:
        return None
    classes = comparison.classes
    cells = [[each.per_class[name] for name in classes] for _, each in arms]
    names = [short(label) for label, _ in arms], [short(name) for name in classes]
    if len(classes) > max(_FEW, len(arms)):
        cells, names = [list(column) for column in zip(*cells, strict=True)], names[::-1]
    most = max([1.0, *(abs(cell.value * 100) for row in cells for cell in row if cell is not None)])
    across_, down = len(names[1]), len(names[0])
    width = max(5.0, 1.4 + 0.08 * max(map(len, names[0])) + _CELL * across_)
    figure = Figure(figsize=(width, 2.2 + 0.25 * down), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=False)
    drawn = [[float("nan") if cell is None else cell.value * 100 for cell in row] for row in cells]
    mesh = axes.pcolormesh(drawn, cmap="PuOr", norm=Normalize(-most, most), edgecolors=PAPER, linewidth=0.8)
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            text, weight, colour = _cell(cell, most)
            axes.text(
                x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=colour, weight=weight
            )
    axes.set_ylim(down, 0)
    axes.set_yticks([y + 0.5 for y in range(down)], names[0])
    axes.set_xticks(
        [x + 0.5 for x in range(across_)], names[1], rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.colorbar(mesh, ax=axes, fraction=0.05, pad=0.02, aspect=12)
    axes.set_xlabel(f"points less {comparison.baseline_arm}; bold: the interval leaves 0 out")
    title(figure, _title(comparison, classifier, synthetic))
    return figure


def _cell(cell: ClassDifference | None, most: float) -> tuple[str, str, str]:
    """Return the text of a cell, its weight and its colour."""
    if cell is None:
        return "–", "normal", INK
    points = cell.value * 100
    outside = cell.interval.low > 0 or cell.interval.high < 0
    # Of small differences the sign would be that of a rounding error.
    text = f"{points:+.0f}" if abs(points) >= 0.5 else "0"
    return text, "bold" if outside else "normal", PAPER if abs(points) > 0.62 * most else INK


def _title(comparison: Comparison, classifier: str, synthetic: str | None) -> str:
    of = f", {synthetic}" if synthetic else ""
    return f"{classifier} on {comparison.benchmark.id}{of}"


def _look(comparison: Comparison, row: Row) -> Look:
    if row.role == "control":
        return control(row.kind)
    if row.synthetic is None:
        return REAL
    own = strategies(comparison)[row.synthetic]
    return own if row.role == "mixed" else Look(own.colour, "d")


def _kind_name(row: Row) -> str:
    return f"{row.kind} (control)" if row.role == "control" else row.kind
