"""The plots of a report as inline SVG; colours are classes of the page's style sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from synrs_data.recipe import Threshold
from synrs_data.report.view import Drawn, Step, bounds, number

_BINS = 32
_WIDTH, _HALF, _TOP, _FOOT = 320.0, 56.0, 14.0, 18.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """One score, accepted against rejected.

    Attributes:
        name: The score column.
        meaning: What it measures.
        accepts: The accepted range in words; empty without a threshold.
        svg: The plot.
    """

    name: str
    meaning: str
    accepts: str
    svg: Markup


def histogram(
    name: str,
    meaning: str,
    accepted: NDArray[np.float64],
    rejected: NDArray[np.float64],
    threshold: Threshold | None,
) -> Histogram:
    """Return the mirrored histogram of a score: accepted upwards, rejected downwards, thresholds as lines.

    Each side shows shares of its own samples, so that few rejects can be compared with many accepted.

    Args:
        name: The score column.
        meaning: What it measures.
        accepted: Scores of the packed samples (n,).
        rejected: Scores of the other candidates (m,).
        threshold: The accepted range, if there is one.
    """
    both = np.concatenate([accepted, rejected])
    low, high = _span(both)
    up, down = (_heights(values, low, high) for values in (accepted, rejected))
    peak = max(up.max(), down.max(), 1e-12)
    base = _TOP + _HALF
    bars = "".join(
        _bar("ok", i, base - _HALF * a / peak, _HALF * a / peak) + _bar("no", i, base, _HALF * r / peak)
        for i, (a, r) in enumerate(zip(up, down, strict=True))
    )
    marks = "".join(_mark(limit, low, high) for limit in _limits(threshold))
    accepts = bounds(threshold) if threshold is not None else ""
    medians = _medians(accepted, rejected)
    summary = escape(f"Histogram of {name} from {number(low)} to {number(high)}. {medians}")
    foot = _TOP + 2 * _HALF + _FOOT - 4.0
    svg = (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_TOP + 2 * _HALF + _FOOT:.0f}" role="img" aria-label="{summary}">'
        f'{bars}<line class="axis" x1="0" x2="{_WIDTH:.0f}" y1="{base:.1f}" y2="{base:.1f}"/>{marks}'
        f"{_ends(both, low, high, foot)}</svg>"
    )
    return Histogram(name, meaning, accepts, Markup(svg))


def drawn_plot(drawn: Drawn) -> Histogram:
    """Return the histogram of a drawn parameter, with what is expected of each bin as a line across it."""
    peak = max(*drawn.shares, *drawn.expected, 1e-12)
    height, width = 2 * _HALF, _WIDTH / len(drawn.shares)
    base = _TOP + height
    bars = ""
    for place, (share, expected) in enumerate(zip(drawn.shares, drawn.expected, strict=True)):
        left, right = place * width, (place + 1) * width
        level = base - height * expected / peak
        bars += (
            f'<rect class="ok" x="{left + 0.5:.1f}" y="{base - height * share / peak:.2f}" width="{width - 1:.1f}" '
            f'height="{height * share / peak:.2f}"><title>{_bin_title(drawn, place)}</title></rect>'
            f'<line class="limit" x1="{left:.1f}" x2="{right:.1f}" y1="{level:.2f}" y2="{level:.2f}"/>'
        )
    worst = max(abs(a - b) for a, b in zip(drawn.shares, drawn.expected, strict=True))
    summary = escape(
        f"Histogram of {drawn.name}; the largest difference from what is expected is {worst:.3f}."
    )
    svg = (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_TOP + height + _FOOT:.0f}" role="img" aria-label="{summary}">{bars}'
        f'<line class="axis" x1="0" x2="{_WIDTH:.0f}" y1="{base:.1f}" y2="{base:.1f}"/>'
        f"{_bin_names(drawn, width, base + _FOOT - 4.0)}</svg>"
    )
    return Histogram(drawn.name, f"drawn for {drawn.count:,} candidates", "", Markup(svg))


def _bin_title(drawn: Drawn, place: int) -> str:
    """Return what a bar says when it is pointed at: names that have no room below are there all the same."""
    numbers = f"{drawn.shares[place]:.3f}, expected {drawn.expected[place]:.3f}"
    name = drawn.ends[place] if isinstance(drawn.ends[0], str) else ""
    return str(escape(f"{name}: {numbers}" if name else numbers))


def _bin_names(drawn: Drawn, width: float, y: float) -> str:
    if len(drawn.ends) == 2 and not isinstance(drawn.ends[0], str):
        low, high = (number(float(end)) for end in drawn.ends)
        return f'<text x="0" y="{y:.0f}">{low}</text><text x="{_WIDTH:.0f}" y="{y:.0f}" text-anchor="end">{high}</text>'
    names = [str(end) for end in drawn.ends]
    # Long lists of names have room for some of them alone.
    step = max(1, -(-len(names) // max(1, int(_WIDTH // (6.5 * max(map(len, names)))))))
    return "".join(
        f'<text x="{(place + 0.5) * width:.1f}" y="{y:.0f}" text-anchor="middle">{escape(name)}</text>'
        for place, name in enumerate(names)
        if place % step == 0
    )


def funnel_bar(step: Step, candidates: int) -> Markup:
    """Return one bar of the funnel: what is left, and beside it what the rule dropped."""
    whole = max(candidates, 1)
    left, dropped = 100 * step.left / whole, 100 * step.dropped / whole
    # A rule that dropped anything is seen to have dropped it.
    drawn = max(dropped, 0.6) if step.dropped else 0.0
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="10"/><rect class="ok" width="{left:.2f}" height="10"/>'
        f'<rect class="no" x="{min(left, 100 - drawn):.2f}" width="{drawn:.2f}" height="10"/></svg>'
    )


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    # One value alone would have a range of no width, and a width below what floats can divide.
    room = max(1e-9, abs(low) * 1e-6)
    return (low - 0.5, high + 0.5) if high - low < room else (low, high)


def _heights(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high))
    return counts / max(len(values), 1)


def _bar(kind: str, place: int, top: float, height: float) -> str:
    if height == 0:
        return ""
    width = _WIDTH / _BINS
    x = place * width + 0.5
    return f'<rect class="{kind}" x="{x:.1f}" y="{top:.2f}" width="{width - 1:.1f}" height="{height:.2f}"/>'


def _limits(threshold: Threshold | None) -> list[float]:
    if threshold is None:
        return []
    return [limit for limit in (threshold.min, threshold.max) if limit is not None]


def _mark(limit: float, low: float, high: float) -> str:
    if not low <= limit <= high:
        return ""
    x = _WIDTH * (limit - low) / (high - low)
    anchor = "end" if x > _WIDTH * 0.8 else "start" if x < _WIDTH * 0.2 else "middle"
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP:.0f}" y2="{_TOP + 2 * _HALF:.0f}"/>'
        f'<text class="limit" x="{x:.1f}" y="{_TOP - 4:.0f}" text-anchor="{anchor}">{number(limit)}</text>'
    )


def _ends(values: NDArray[np.float64], low: float, high: float, y: float) -> str:
    """Return the numbers below the axis: its ends, or the one value that all scores have."""
    if len(values) and low < values.min():
        return (
            f'<text x="{_WIDTH / 2:.0f}" y="{y:.0f}" text-anchor="middle">{number(float(values[0]))}</text>'
        )
    return (
        f'<text x="0" y="{y:.0f}">{number(low)}</text>'
        f'<text x="{_WIDTH:.0f}" y="{y:.0f}" text-anchor="end">{number(high)}</text>'
    )


def _medians(accepted: NDArray[np.float64], rejected: NDArray[np.float64]) -> str:
    named = (("accepted", accepted), ("rejected", rejected))
    return " ".join(f"Median of {name}: {number(float(np.median(v)))}." for name, v in named if len(v))
