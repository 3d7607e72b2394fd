"""Figures of a comparison: equal bytes, nothing cut off or told by colour alone, and the lines that a reader needs."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from synrs_data.errors import MissingExtraError
from synrs_data.evaluate.compare import compare
from synrs_data.evaluate.compare_records import Comparison
from synrs_data.evaluate.plots import draw
from synrs_data.evaluate.plots_arms import arms_figure, classes_figure
from synrs_data.evaluate.plots_curves import ratio_figure, shots_figure
from synrs_data.evaluate.plots_style import CONTROLS, house_style, shot_counts, strategies
from tests.evaluate.compare_results import benchmark, synthetic, write

pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra eval")

CLASSIFIER = "encoder linear-probe"
ARMS = {
    "real@2": 0.4, "real@8": 0.6, "real": 0.8, "synthetic": 0.5,
    "mixed@2x1": 0.5, "mixed@2x4": 0.55, "mixed@8x1": 0.65, "mixed@8x4": 0.66, "mixedx1": 0.79,
    "more-real@8x1": 0.7, "flip-crop@8x1": 0.62, "cutout@8x1": 0.61, "flip-crop@8x4": 0.62, "cutmix@8x4": 0.6,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Return a comparison of two synthetic sets with every kind of arm."""
    root = tmp_path_factory.mktemp("results")
    for name, more in (("set-b", 0.0), ("set-le", 0.04)):
        skills = {arm: skill + more * (arm[0] == "m" and arm[1] == "i") for arm, skill in ARMS.items()}
        write(root / name, skills, strategy=synthetic(name))
    return compare([root / "set-b", root / "set-le"])


def figures(comparison: Comparison, synthetic: str | None) -> Iterator[Any]:
    for make in (ratio_figure, shots_figure):
        yield make(comparison, CLASSIFIER)
    for of in (arms_figure, classes_figure):
        yield of(comparison, CLASSIFIER, synthetic)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("small") / "a"
    write(folder, {"real@2": 0.4, "real@8": 0.6, "mixed@8x1": 0.65}, strategy=synthetic("set-b"))
    return compare([folder])


def test_bytes_depend_on_the_numbers_alone(small: Comparison) -> None:
    import matplotlib

    first = draw(small)
    ends = ("ratio-encoder-linear-probe", "shots-encoder-linear-probe")
    own = ("arms-encoder-linear-probe-set-b", "classes-encoder-linear-probe-set-b")
    assert tuple(each.name for each in first) == ends + own
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        again = draw(Comparison.model_validate_json(small.model_dump_json()))
        assert matplotlib.rcParams["font.size"] == 30
    assert first == again
    for each in first:
        assert b"Matplotlib" not in each.svg
        assert b"dc:date" not in each.svg
        assert Image.open(io.BytesIO(each.png)).info.keys() <= {"dpi"}
        assert ElementTree.fromstring(each.svg).tag.endswith("svg")


def test_real_images_alone_have_no_curve_and_no_difference(tmp_path: Path) -> None:
    write(tmp_path / "real", {"real@2": 0.5})
    assert [each.name for each in draw(compare([tmp_path / "real"]))] == ["arms-encoder-linear-probe"]


def test_names_that_files_cannot_tell_apart_get_numbers(tmp_path: Path) -> None:
    for number, name in enumerate(("set b", "set/b")):
        write(tmp_path / str(number), {"synthetic": 0.5}, strategy=synthetic(name))
    drawn = draw(compare([tmp_path / "0", tmp_path / "1"]))
    assert [each.name for each in drawn] == [
        "arms-encoder-linear-probe-set-b",
        "arms-encoder-linear-probe-set-b-2",
    ]


def texts(figure: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, Any]]:
    """Return every text that is drawn, with its angle and its place in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", lambda self, renderer: drawn.append(self))
        canvas.draw()
    kept = [each for each in drawn if each.get_text().strip() and each.get_visible()]
    return [
        (each.get_text(), each.get_rotation(), each.get_window_extent(canvas.get_renderer())) for each in kept
    ]


def long_names(tmp_path: Path) -> Comparison:
    classes = [f"class {n} of <land> & $cover$ with a rather long name" for n in range(20)]
    name = "a very long name of a build " * 4
    skills = {"real@8": 0.6, "real@2": 0.3, "mixed@8x1": 0.65, "mixed@2x1": 0.4, "cutmix@8x1": 0.6}
    write(tmp_path / "long", skills, of=benchmark(classes), strategy=synthetic(name))
    return compare([tmp_path / "long"])


@pytest.mark.parametrize("kind", ["usual", "long"])
def test_no_text_is_cut_off_or_lies_on_another(
    whole: Comparison, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = whole if kind == "usual" else long_names(tmp_path)
    with house_style():
        for figure in figures(comparison, comparison.strategies[0].label):
            found = texts(figure, monkeypatch)
            assert len(found) > 8
            for text, _, box in found:
                assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1, text
                assert figure.bbox.y0 - 1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1, text
            # Boxes of turned texts overlap though their letters do not.
            level = [(text, box) for text, angle, box in found if angle == 0]
            for (one, a), (other, b) in itertools.combinations(level, 2):
                apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
                assert apart, (one, other)


def lines_of(axes: Any) -> list[Any]:
    return [each.lines[0] for each in axes.containers if each.lines[0] is not None]


def test_curves_over_the_ratio_begin_at_the_real_arm_and_show_every_arm(whole: Comparison) -> None:
    with house_style():
        figure = ratio_figure(whole, CLASSIFIER)
    assert figure is not None
    panels = figure.axes
    assert [axes.get_title() for axes in panels if axes.get_title()] == ["set-b", "set-le"]
    assert [label.get_text() for label in panels[2].get_xticklabels()] == ["0", "1", "4"]
    assert list(panels[2].get_xticks()) == [-1, 0, 2]
    values = {row.label: row.value * 100 for row in whole.rows if row.synthetic in (None, "set-b")}
    drawn = [list(line.get_ydata()) for line in lines_of(panels[0])]
    assert [values[name] for name in ("real@8", "mixed@8x1", "mixed@8x4")] in drawn
    assert [values[name] for name in ("real", "mixedx1")] in drawn
    assert [values[name] for name in ("flip-crop@8x1", "flip-crop@8x4")] in drawn
    differences = {
        row.label: row.difference.value * 100
        for row in whole.rows
        if row.difference is not None and row.synthetic in (None, "set-b")
    }
    below = [list(line.get_ydata()) for line in lines_of(panels[2])]
    assert [differences["mixed@8x1"], differences["mixed@8x4"]] in below


def test_curves_over_shots_are_logarithmic_and_have_a_line_for_each_set(whole: Comparison) -> None:
    with house_style():
        figure = shots_figure(whole, CLASSIFIER)
    assert figure is not None
    top, bottom = figure.axes[0], figure.axes[2]
    assert list(bottom.get_xticks()) == [1, 3, math.log2(100)]
    assert [label.get_text() for label in bottom.get_xticklabels()] == ["2", "8", "all (100)"]
    real = [
        row.value * 100 for name in ("real@2", "real@8", "real") for row in whole.rows if row.label == name
    ]
    assert real in [list(line.get_ydata()) for line in lines_of(top)]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:3] == ["real", "set-b", "set-le"]
    assert "flip-crop (control)" in legend
    assert "set-le alone, all of it" in legend


def test_controls_are_dashed_and_hollow_and_nothing_else_is_hollow(whole: Comparison) -> None:
    with house_style():
        figure = shots_figure(whole, CLASSIFIER)
    assert figure is not None
    handles = figure.legends[0].legend_handles
    hollow = [each.get_label() for each in handles if each.get_markerfacecolor() == "#ffffff"]
    assert hollow == [f"{kind} (control)" for kind in CONTROLS]
    dashed = [each.get_label() for each in handles if each.is_dashed()]
    assert set(hollow) <= set(dashed)
    assert not {"real", "set-b", "set-le"} & set(dashed)


def test_error_bars_are_the_intervals(whole: Comparison) -> None:
    with house_style():
        figure = arms_figure(whole, CLASSIFIER, "set-b")
    shown = [row for row in whole.rows if row.synthetic in (None, "set-b")]
    left, right = figure.axes
    for row, container in zip(shown, left.containers, strict=True):
        (segment,) = container.lines[2][0].get_segments()
        assert segment[:, 0].tolist() == pytest.approx([row.interval.low * 100, row.interval.high * 100])
    compared = [row.difference for row in shown if row.difference is not None]
    for difference, container in zip(compared, right.containers, strict=True):
        (segment,) = container.lines[2][0].get_segments()
        assert segment[:, 0].tolist() == pytest.approx(
            [difference.interval.low * 100, difference.interval.high * 100]
        )


def test_chance_is_a_line_or_is_said_where_it_is_far_off(tmp_path: Path) -> None:
    write(tmp_path / "low", {"real@2": 0.4, "real@8": 0.8})
    write(tmp_path / "high", {"real@2": 0.99, "real@8": 0.999}, n=1500)
    with house_style():
        near = shots_figure(compare([tmp_path / "low"]), CLASSIFIER)
        far = shots_figure(compare([tmp_path / "high"]), CLASSIFIER)
    assert near is not None
    assert far is not None
    assert [each.get_text() for each in near.axes[0].texts] == ["chance"]
    assert list(far.axes[0].texts) == []
    assert far.axes[0].get_ylabel() == "top1, per cent (chance 33.3)"
    assert far.axes[0].get_ylim()[0] > 60


def test_series_differ_without_their_colours(whole: Comparison) -> None:
    looks = list(strategies(whole).values())
    assert len({look.marker for look in looks}) == len(looks)
    counts = list(shot_counts([1, 2, 4, 8, 16, None]).values())
    assert len({look.marker for look in counts}) == len(counts)
    parts = [[int(look.colour[i : i + 2], 16) for i in (1, 3, 5)] for look in counts]
    grey = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in parts]
    assert grey == sorted(grey)
    assert min(np.diff(grey)) > 8


def test_cells_say_their_numbers_and_bold_ones_leave_zero_out(whole: Comparison) -> None:
    with house_style():
        figure = classes_figure(whole, CLASSIFIER, "set-le")
    assert figure is not None
    rows = [row.difference for row in whole.rows if row.difference and row.synthetic in (None, "set-le")]
    cells = [cell for each in rows for cell in each.per_class.values()]
    texts = figure.axes[0].texts
    assert len(texts) == len(cells)
    bold = [each.get_weight() == "bold" for each in texts]
    assert bold == [cell is not None and (cell.interval.low > 0 or cell.interval.high < 0) for cell in cells]
    assert True in bold
    assert False in bold
    said = [float(each.get_text()) for each in texts]
    assert said == pytest.approx([cell.value * 100 if cell else 0 for cell in cells], abs=0.5001)


def test_many_classes_stand_below_each_other(tmp_path: Path) -> None:
    comparison = long_names(tmp_path)
    with house_style():
        figure = classes_figure(comparison, CLASSIFIER, comparison.strategies[0].label)
    assert figure is not None
    assert len(figure.axes[0].get_yticks()) == 20
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()] == [
        "mixed@2x1",
        "cutmix@8x1",
        "mixed@8x1",
    ]


def test_a_class_without_an_item_has_a_dash(tmp_path: Path) -> None:
    labels = np.zeros(2, dtype=np.int64)
    made = {"real@8": labels[None], "mixed@8x1": labels[None]}
    write(tmp_path / "a", {"real@8": 1, "mixed@8x1": 1}, n=2, seeds=(0,), strategy=synthetic("b"), made=made)
    with house_style():
        figure = classes_figure(compare([tmp_path / "a"]), CLASSIFIER, "b")
    assert figure is not None
    assert [each.get_text() for each in figure.axes[0].texts] == ["0", "0", "–"]


def test_without_matplotlib_the_extra_is_named(whole: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs the optional dependencies 'eval'"):
        draw(whole)
