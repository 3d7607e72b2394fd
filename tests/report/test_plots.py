"""Plots put bars and thresholds where the scores are."""

from __future__ import annotations

import re

import numpy as np
import pytest

from synrs_data.recipe import Threshold
from synrs_data.report.plots import Histogram, funnel_bar, histogram
from synrs_data.report.view import Step, aligned, bounds, number, share


def plot(accepted: list[float], rejected: list[float], threshold: Threshold | None = None) -> Histogram:
    """Return the histogram of some scores."""
    return histogram("score", "what it means", np.array(accepted), np.array(rejected), threshold)


def bars(svg: str, kind: str) -> list[tuple[float, float]]:
    """Return place and height of the bars of a kind."""
    found = re.findall(rf'<rect class="{kind}" x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', svg)
    return [(float(x), float(height)) for x, height in found]


def test_accepted_and_rejected_bars_stand_at_their_scores() -> None:
    svg = plot([1.0, 1.0, 1.0, 0.0], [0.0, 0.0]).svg

    assert bars(svg, "ok") == [(0.5, 14.0), (310.5, 42.0)]
    assert bars(svg, "no") == [(0.5, 56.0)]


def test_threshold_is_marked_at_its_value() -> None:
    svg = plot([0.0, 1.0], [], Threshold(min=0.25)).svg

    assert '<line class="limit" x1="80.0" x2="80.0"' in svg


def test_threshold_outside_all_scores_is_said_and_not_drawn() -> None:
    found = plot([0.4, 0.5], [], Threshold(max=9.0))

    assert 'line class="limit"' not in found.svg
    assert found.accepts == "at most 9"


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-12, 1e12])
def test_one_value_alone_is_one_bar_above_its_number(value: float) -> None:
    svg = plot([value] * 3, []).svg

    assert len(bars(svg, "ok")) == 1
    assert re.findall(r"<text[^>]*>([^<]*)<", svg) == [number(value)]


def test_no_scores_at_all_are_an_empty_plot() -> None:
    assert "<rect" not in plot([], []).svg


def test_plot_is_described_for_who_cannot_see_it() -> None:
    assert "Median of accepted: 2. Median of rejected: 0.5." in plot([1.0, 2.0, 3.0], [0.5]).svg


def test_rule_that_dropped_one_of_a_million_is_visible() -> None:
    widths = [float(w) for w in re.findall(r' width="([\d.]+)"', funnel_bar(Step("r", 1, 999_999), 10**6))]

    assert widths[-1] >= 0.5


def test_rule_that_dropped_nothing_has_no_bar() -> None:
    assert 'class="no" x="100.00" width="0.00"' in funnel_bar(Step("r", 0, 10), 10)


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (Threshold(min=0.1), "at least 0.1"),
        (Threshold(min=0), "at least 0"),
        (Threshold(max=0.2), "at most 0.2"),
        (Threshold(min=-1, max=1), "−1 to 1"),
        (Threshold(), "any value"),
    ],
)
def test_range_in_words(threshold: Threshold, words: str) -> None:
    assert bounds(threshold) == words


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "–"),
        (0, 7, "0 %"),
        (7, 7, "100 %"),
        (1, 10**6, "0.1 %"),
        (10**6 - 1, 10**6, "99.9 %"),
        (1, 3, "33.3 %"),
    ],
)
def test_share_is_whole_only_when_it_is_exact(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


def test_numbers_have_three_digits() -> None:
    assert [number(v) for v in (0.0, 0.5, 0.03125, 123456.0, 0.00001)] == [
        "0",
        "0.5",
        "0.0312",
        "123,456",
        "1.0e−05",
    ]
    assert [aligned(v) for v in (0.0, 0.5, 4.8449, 512.0)] == ["0", "0.500", "4.84", "512"]
