"""Figures of a comparison, as PNG and SVG whose bytes depend on its numbers alone.

What is shown is never told by colour alone: series differ in their markers and dashes too, shot counts in lightness,
and cells of heat maps have their numbers. Synthetic sets have the colours of Okabe and Ito, shot counts those of
viridis. Error bars are 95 % intervals, controls are dashed and hollow.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from synrs_data.errors import MissingExtraError
from synrs_data.evaluate.compare_records import Comparison
from synrs_data.evaluate.plots_arms import arms_figure, classes_figure
from synrs_data.evaluate.plots_curves import ratio_figure, shots_figure
from synrs_data.evaluate.plots_style import house_style

_DPI = 150
_LONGEST = 100
_NO_WORD = re.compile(r"[^A-Za-z0-9.@=]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Attributes:
        name: Of its files, without ending.
        title: What it shows, in a line.
        classifier: Label of the classifier that it is of.
        png: The bitmap.
        svg: The same as vectors.
    """

    name: str
    title: str
    classifier: str
    png: bytes
    svg: bytes


def check_plots() -> None:
    """Raise a MissingExtraError unless figures can be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("drawing a comparison", "eval")


def draw(comparison: Comparison) -> list[Figure]:
    """Return all figures of a comparison, those that there is something to draw for.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_plots()
    found: list[Figure] = []
    names: list[str] = []
    with house_style():
        for kind, title, classifier, figure in _figures(comparison):
            begun = _NO_WORD.sub("-", kind).lower()[:_LONGEST].strip("-.")
            choices = chain([begun], (f"{begun}-{number}" for number in count(2)))
            name = next(each for each in choices if each not in names)
            names.append(name)
            # Without these entries the files would name the version of matplotlib and the time.
            png, svg = (
                _bytes(figure, "png", {"Software": None}),
                _bytes(figure, "svg", {"Date": None, "Creator": None}),
            )
            found.append(Figure(name, title, classifier, png, svg))
    return found


def _figures(comparison: Comparison) -> Iterator[tuple[str, str, str, Any]]:
    """Yield the name, title, classifier and matplotlib figure of each."""
    for each in comparison.classifiers:
        label = each.label
        for kind, curves, over in (("ratio", ratio_figure, "ratio"), ("shots", shots_figure, "real images")):
            figure = curves(comparison, label)
            if figure is not None:
                yield f"{kind}-{label}", f"{label}: {comparison.metric} over {over}", label, figure
        own = [row.synthetic for row in comparison.rows if row.classifier == label and row.synthetic]
        for synthetic in dict.fromkeys(own) or (None,):
            of = f", {synthetic}" if synthetic else ""
            end = f"{label}-{synthetic or ''}"
            yield f"arms-{end}", f"{label}{of}: arms", label, arms_figure(comparison, label, synthetic)
            figure = classes_figure(comparison, label, synthetic)
            if figure is not None:
                yield f"classes-{end}", f"{label}{of}: differences of classes", label, figure


def _bytes(figure: Any, kind: str, metadata: dict[str, None]) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=_DPI, metadata=metadata)
    return out.getvalue()
