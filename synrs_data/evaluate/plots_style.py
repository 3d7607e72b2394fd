"""How figures look: colours, markers and dashes of synthetic sets, shot counts and controls."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from synrs_data.evaluate.compare_records import Comparison, Row
from synrs_data.evaluate.results import Interval

INK, FAINT, PAPER = "#222222", "#8a8a8a", "#ffffff"

_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito, Color Universal Design, 2008, less black (real images) and yellow (too light on white)."""

_MARKERS = ("o", "D", "^", "v", "P", "X", "p", "h")

CONTROLS: dict[str, tuple[str, tuple[float, ...]]] = {
    "more-real": ("s", (6, 2)),
    "flip-crop": ("<", (3, 1.5)),
    "cutout": (">", (1, 1)),
    "cutmix": ("*", (6, 1.5, 1, 1.5)),
}
"""Marker and dashes of each control; hollow markers belong to controls alone."""

_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "svg.hashsalt": "synrs-data",
    "text.parse_math": False,
}
"""A dollar sign in the name of a class is no formula."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a series is drawn.

    Attributes:
        colour: Of line and marker.
        marker: As matplotlib names it.
        dashes: On and off lengths; empty for a solid line.
        hollow: Whether the marker is not filled.
    """

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()
    hollow: bool = False

    @property
    def style(self) -> Any:
        """The line style as matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "-"


REAL = Look(INK, "s")
_LONGEST = 36


def control(kind: str, colour: str = "#666666") -> Look:
    """Return the look of a control."""
    marker, dashes = CONTROLS[kind]
    return Look(colour, marker, dashes, hollow=True)


def strategies(comparison: Comparison) -> dict[str, Look]:
    """Return the look of each synthetic set, the same in all figures."""
    return {
        each.label: Look(_OKABE_ITO[n % len(_OKABE_ITO)], _MARKERS[n % len(_MARKERS)])
        for n, each in enumerate(comparison.strategies)
    }


def shot_counts(shots: Sequence[int | None]) -> dict[int | None, Look]:
    """Return the look of each shot count: the more, the lighter; the lightest fifth of viridis is left out."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"]
    last = max(1, len(shots) - 1)
    return {
        each: Look(_hex(colours(0.8 * n / last)), _MARKERS[n % len(_MARKERS)]) for n, each in enumerate(shots)
    }


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with our settings, whatever the user's own configuration of matplotlib is."""
    import matplotlib.style

    with matplotlib.style.context(["default", _SETTINGS], after_reset=True):
        yield


def points(axes: Any, x: Sequence[float], values: Sequence[tuple[float, Interval]], look: Look) -> None:
    """Draw a series: markers joined by a line, with intervals (as fractions, drawn in per cent)."""
    y, bars = _scaled(values)
    axes.errorbar(
        x, y, yerr=bars, color=look.colour, marker=look.marker, linestyle=look.style, elinewidth=0.9, capsize=1.8,
        markerfacecolor=PAPER if look.hollow else look.colour, markeredgewidth=1.0, clip_on=True,
    )  # fmt: skip


def across(axes: Any, y: float, value: tuple[float, Interval], look: Look) -> None:
    """Draw one arm of a list: a marker at its value, and its interval lengthwise."""
    x, bars = _scaled([value])
    drawn = axes.errorbar(
        x, [y], xerr=bars, color=look.colour, marker=look.marker, linestyle="none", elinewidth=1.2, capsize=2.2,
        markerfacecolor=PAPER if look.hollow else look.colour, markeredgewidth=1.0,
    )  # fmt: skip
    if look.dashes:
        drawn.lines[2][0].set_linestyle(look.style)


def _scaled(values: Sequence[tuple[float, Interval]]) -> tuple[list[float], list[list[float]]]:
    """Return values and the lengths of their bars, in per cent.

    A percentile interval may leave out the value that it belongs to; the bar then begins at the value.
    """
    lower = [max(0.0, value - interval.low) * 100 for value, interval in values]
    upper = [max(0.0, interval.high - value) * 100 for value, interval in values]
    return [value * 100 for value, _ in values], [lower, upper]


def handle(label: str, look: Look) -> Any:
    """Return an entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=look.colour, marker=look.marker, linestyle=look.style, label=short(label),
        markerfacecolor=PAPER if look.hollow else look.colour, markeredgewidth=1.0,
    )  # fmt: skip


def short(text: str) -> str:
    """Return a name that fits beside an axis."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def legend(figure: Any, entries: Sequence[Any]) -> None:
    """Put a legend below the panels, in as many columns as there is room for."""
    widest = max(len(each.get_label()) for each in entries)
    columns = int(figure.get_figwidth() / (0.7 + 0.075 * widest))
    figure.legend(
        handles=list(entries),
        loc="outside lower center",
        ncols=max(1, min(columns, len(entries))),
        handlelength=3.4,
    )


def title(figure: Any, text: str) -> None:
    """Put a title above the panels, in as many lines as it needs."""
    figure.suptitle("\n".join(textwrap.wrap(text, int(figure.get_figwidth() * 13))), fontsize=10)


def near_chance(chance: float, rows: Sequence[Row]) -> bool:
    """Return whether there is room on an axis of these values for what guessing reaches."""
    ends = [end for row in rows for end in (row.interval.low, row.interval.high)]
    room = max(max(ends) - min(ends), 0.01)
    return min(ends) - chance <= 1.5 * room


def values_label(comparison: Comparison, *, near: bool) -> str:
    """Return the label of an axis of values; it says what guessing reaches where no line does."""
    text = f"{comparison.metric}, per cent"
    return text if near else f"{text} (chance {comparison.chance * 100:.1f})"


def chance_line(axes: Any, chance: float, *, upright: bool = False) -> None:
    """Draw what guessing reaches."""
    (axes.axvline if upright else axes.axhline)(
        chance * 100, color=FAINT, linewidth=1.0, linestyle=(0, (1, 2))
    )
    place = ((chance * 100, 1), (2, -8)) if upright else ((0, chance * 100), (3, 2))
    frame = ("data", "axes fraction") if upright else ("axes fraction", "data")
    axes.annotate(
        "chance", place[0], place[1], xycoords=frame, textcoords="offset points", color=FAINT, fontsize=7
    )


def zero_line(axes: Any, *, upright: bool = False) -> None:
    """Draw where a difference is none."""
    (axes.axvline if upright else axes.axhline)(0, color=INK, linewidth=0.8)
