"""A comparison as people read it: lines of a terminal, `compare.md`, `compare.json` and figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synrs_data import files
from synrs_data.evaluate.compare_records import (
    SIGNIFICANT,
    ClassifierRecord,
    Compared,
    Comparison,
    Row,
)
from synrs_data.evaluate.plots import Figure, draw
from synrs_data.evaluate.results import Interval
from synrs_data.report.templates import markdown_environment

_TEMPLATE = "results.md.j2"
_WIDEST = 36
JSON, MARKDOWN = "compare.json", "compare.md"


@dataclass(frozen=True, slots=True)
class _Table:
    """A classifier's part of the page."""

    title: str
    training: str
    rows: list[list[str]]
    controls: list[list[str]]
    figures: list[Figure]


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write figures as PNG and SVG, the page, and the numbers; they hold no date, so the same results give equal bytes.

    Returns:
        The files, the page first.

    Raises:
        MissingExtraError: matplotlib is not installed.
        BuildFolderError: The folder cannot be written.
    """
    figures = draw(comparison)
    files.make_folder(folder)
    written = []
    for figure in figures:
        for ending, content in (("png", figure.png), ("svg", figure.svg)):
            written.append(folder / f"{figure.name}.{ending}")
            files.write_bytes(written[-1], content)
    files.write_text(folder / MARKDOWN, page(comparison, figures))
    files.write_text(folder / JSON, comparison.model_dump_json(indent=2) + "\n")
    return [folder / MARKDOWN, folder / JSON, *written]


def page(comparison: Comparison, figures: list[Figure]) -> str:
    """Return the comparison as Markdown."""
    text = (
        markdown_environment()
        .get_template(_TEMPLATE)
        .render(
            c=comparison,
            verdicts=list(verdict_lines(comparison)),
            tables=[_table(comparison, each, figures) for each in comparison.classifiers],
            per_cent=_per_cent,
            by_chance=_by_chance,
        )
    )
    return text.rstrip("\n") + "\n"


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield the comparison as lines of plain text: a table for each classifier, then verdicts and notes."""
    c = comparison
    metric = c.metric
    seeds = sorted({len(row.seeds) for row in c.rows})
    yield (
        f"{c.benchmark.id}: {metric} in per cent, {_seeds(seeds)}, {c.n} test images, "
        f"chance {_per_cent(c.chance)}"
    )
    heads = ["arm", "synthetic set", "real", "synth.", "copies", metric, "95 % interval", "difference"]
    heads += ["95 % interval", "P(>0)", "McNemar", "Holm"]
    for classifier in c.classifiers:
        yield classifier.label
        cells = [heads] + [[*row[:5], *row[6:8], *row[9:]] for row in _rows(c, classifier)]
        yield from _columns(cells, left=2)
        if beside := _controls(c, classifier):
            yield "  beside controls of the same shots and as many added images"
            head = [
                "arm",
                "synthetic set",
                "control",
                "difference",
                "95 % interval",
                "P(>0)",
                "McNemar",
                "Holm",
            ]
            yield from _columns([head, *beside], left=3)
    if c.verdicts:
        yield "arms whose 95 % interval of the difference is above, below or across 0:"
    yield from (f"  {line}" for line in verdict_lines(c))
    total = c.comparisons + c.control_comparisons
    if total:
        yield f"{total} comparisons: about {_by_chance(total)} intervals would leave zero out by chance"
    yield from (f"compared with nothing: {line}" for line in c.unmatched)
    yield from (f"note: {line}" for line in c.notes)


def verdict_lines(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence for each classifier, synthetic set and kind of arm: how often an interval leaves zero out."""
    for each in comparison.verdicts:
        of = f"{each.classifier}, {each.synthetic}" if each.synthetic else f"{each.classifier}, controls"
        yield (
            f"{of}: {each.arms} {each.kind} against {each.against}: above 0 in {each.above}, below 0 in {each.below}, "
            f"across 0 in {each.across}; p < {SIGNIFICANT} after Holm's correction in {each.holm}"
        )


def _table(comparison: Comparison, classifier: ClassifierRecord, figures: list[Figure]) -> _Table:
    options = classifier.protocol.options
    training = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
    return _Table(
        title=classifier.label,
        training=f"Options of {classifier.protocol.name}: {training}." if training else "",
        rows=_rows(comparison, classifier),
        controls=_controls(comparison, classifier),
        figures=[figure for figure in figures if figure.classifier == classifier.label],
    )


def _rows(comparison: Comparison, classifier: ClassifierRecord) -> list[list[str]]:
    return [
        [
            row.label,
            row.synthetic or "",
            *(str(n) for n in (row.counts.real, row.counts.synthetic, row.counts.copies)),
            str(len(row.seeds)),
            _per_cent(row.value),
            _ends(row.interval, signed=False),
            *_difference(row),
        ]
        for row in _of(comparison, classifier)
    ]


def _controls(comparison: Comparison, classifier: ClassifierRecord) -> list[list[str]]:
    return [
        [row.label, row.synthetic or "", each.to, *_numbers(each)]
        for row in _of(comparison, classifier)
        for each in row.controls
    ]


def _of(comparison: Comparison, classifier: ClassifierRecord) -> list[Row]:
    return [row for row in comparison.rows if row.classifier == classifier.label]


def _difference(row: Row) -> list[str]:
    if row.difference is None:
        return [""] * 6
    return [row.difference.to, *_numbers(row.difference)]


def _numbers(compared: Compared) -> list[str]:
    test = compared.mcnemar
    return [
        f"{compared.value * 100:+.2f}",
        _ends(compared.interval, signed=True),
        f"{compared.above_zero:.3f}",
        f"{test.better}+ {test.worse}- of {len(test.p_values)}",
        f"{test.holm:.2g}",
    ]


def _seeds(numbers: list[int]) -> str:
    return f"{' or '.join(map(str, numbers))} seed{'' if numbers == [1] else 's'}"


def _ends(interval: Interval, *, signed: bool) -> str:
    form = "+.2f" if signed else ".2f"
    return f"{interval.low * 100:{form}} to {interval.high * 100:{form}}"


def _per_cent(value: float) -> str:
    return f"{value * 100:.2f}"


def _by_chance(comparisons: int) -> str:
    return f"{comparisons * 0.05:.1f}"


def _columns(cells: list[list[str]], *, left: int) -> Iterator[str]:
    """Yield rows with columns of equal width; the first `left` are words, the others numbers."""
    shown = [[cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…" for cell in row] for row in cells]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        padded = [
            f"{cell:<{width}}" if place < left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(padded)}".rstrip()
