"""The page and the figures of the EuroSAT study, from its results alone: no number of it is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
from _eurosat import REPO
from _study_plan import (
    ALL_RATIOS,
    CLASSIFIERS,
    PROBE,
    PROTOCOLS,
    RATIOS,
    SCRATCH,
    SEEDS,
    SHOTS,
    STRATEGIES,
    THRESHOLD,
    ZERO_SHOT,
    Run,
    plan,
)
from _study_strategies import ARMS, strategy_differences

from synrs_data import files
from synrs_data.evaluate.compare import compare
from synrs_data.evaluate.compare_records import Compared, Comparison, Row
from synrs_data.evaluate.plots import draw
from synrs_data.evaluate.results import Interval, Result, read_result
from synrs_data.evaluate.statistics import Difference

PAGE, IMAGES = REPO / "docs/study-eurosat.md", REPO / "docs/images"
SHOWN = ("ratio", "shots")
"""Kinds of figures that the page shows."""

AGAINST = ("real", "more-real", "flip-crop", "cutout", "cutmix")

_TEMPLATE = "study_eurosat.md.j2"


def write(results: Path) -> list[Path]:
    """Write the page and its figures, and return them.

    Args:
        results: Folder with a folder for each finished run, and `distances`.
    """
    runs = [each for each in plan() if (results / each.name / "result.json").is_file()]
    folders = [results / each.name for each in runs]
    records = [read_result(folder) for folder in folders]
    comparison = relabelled(compare(folders), records)
    written = []
    for figure in draw(comparison):
        kind = figure.name.partition("-")[0]
        if kind in SHOWN:
            stem = f"study_{figure.name.replace('-', '_').replace('+', '_')}"
            for ending, content in (("png", figure.png), ("svg", figure.svg)):
                written.append(IMAGES / f"{stem}.{ending}")
                files.write_bytes(written[-1], content)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(_TEMPLATE).render(**_context(comparison, runs, records, results, written))
    files.write_text(PAGE, text)
    return [PAGE, *written]


def relabelled(comparison: Comparison, records: list[Result]) -> Comparison:
    """Return a comparison that calls synthetic sets and classifiers by the short names of the study."""
    names: dict[str, str] = {}
    for each in comparison.strategies:
        names[each.label] = strategy(each.synthetic)
    kinds = {"from-scratch": SCRATCH, "linear-probe": PROBE, "zero-shot": ZERO_SHOT}
    for label in comparison.classifiers:
        names[label.label] = CLASSIFIERS[kinds[label.protocol.name]]

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    values = comparison.model_dump(mode="json")
    for part in ("rows", "results", "verdicts"):
        values[part] = renamed(values[part])
    for part in ("strategies", "classifiers"):
        for own in values[part]:
            own["label"] = names[own["label"]]
    return Comparison.model_validate_json(json.dumps(values))


def strategy(record: Any) -> str:
    """Return the study's name of a synthetic set: by its captions, and whether a filter chose."""
    if record.recipe.captions == "class-template":
        return STRATEGIES["b"]
    thresholds = record.recipe.select["thresholds"]
    return STRATEGIES["le-cf" if any(thresholds.values()) else "le"]


class Numbers:
    """Looks up numbers of a comparison, as text."""

    def __init__(self, comparison: Comparison) -> None:
        self._rows = {(row.classifier, row.synthetic, row.arm): row for row in comparison.rows}

    def row(self, classifier: str, arm: str, synthetic: str | None = None) -> Row | None:
        """Return a row; None where it was not run."""
        return self._rows.get((CLASSIFIERS[classifier], synthetic, arm))

    def known(self, classifier: str, arm: str, synthetic: str | None = None) -> Row:
        """Return a row that a sentence speaks of.

        Raises:
            KeyError: It was not run, so that the sentence has to go.
        """
        return self._rows[CLASSIFIERS[classifier], synthetic, arm]

    def value(self, classifier: str, arm: str, synthetic: str | None = None) -> str:
        """Return a value with its interval, in per cent."""
        row = self.known(classifier, arm, synthetic)
        return f"{row.value * 100:.1f} ({_ends(row.interval, '.1f')})"

    def gain(self, classifier: str, arm: str, synthetic: str | None = None) -> str:
        """Return the difference to the real arm of the same shots."""
        found = self.known(classifier, arm, synthetic).difference
        assert found is not None
        return _difference(found)

    def has(self, classifier: str, arm: str, synthetic: str | None = None) -> bool:
        """Return whether a row was run."""
        return self.row(classifier, arm, synthetic) is not None

    def top1(self, classifier: str, arm: str, synthetic: str | None = None) -> float:
        """Return a value in per cent."""
        return self.known(classifier, arm, synthetic).value * 100

    def classes(self, classifier: str, arm: str, synthetic: str) -> str:
        """Return the classes that gain and lose most of an arm, with their differences to the real arm."""
        found = self.known(classifier, arm, synthetic).difference
        assert found is not None
        parts = sorted(
            ((each.value * 100, name) for name, each in found.per_class.items() if each is not None),
            reverse=True,
        )
        ends = (parts[0], parts[1], parts[-2], parts[-1])
        return ", ".join(f"{name} {value:+.1f}" for value, name in ends)

    def against(self, classifier: str, arm: str, synthetic: str, control: str) -> str:
        """Return the difference of a mixed arm to a control of its shots and ratio."""
        found = self.known(classifier, arm, synthetic).controls
        return _difference(next(each for each in found if each.to == control))


def cell(row: Row | None) -> str:
    """Return a value with its interval for a table."""
    return "–" if row is None else f"{row.value * 100:.1f} ({_ends(row.interval, '.1f')})"


def gain_cell(compared: Compared | None) -> str:
    """Return a difference for a table, bold where its interval leaves zero out."""
    if compared is None:
        return "–"
    text = _difference(compared)
    return f"**{text}**" if compared.interval.low > 0 or compared.interval.high < 0 else text


def _difference(compared: Compared) -> str:
    return f"{compared.value * 100:+.1f} ({_ends(compared.interval, '+.1f')})"


def _between(found: Difference | None) -> str:
    """Return the difference of two sets for a table, bold where its interval leaves zero out."""
    if found is None:
        return "–"
    text = f"{found.value * 100:+.1f} ({found.low * 100:+.1f} to {found.high * 100:+.1f})"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def _ends(interval: Interval, form: str) -> str:
    return f"{interval.low * 100:{form}} to {interval.high * 100:{form}}"


def _gains(numbers: Numbers, classifier: str) -> list[list[str]]:
    """Return the rows of the table of gains: strategy, ratio, a cell for each number of real images."""
    found = []
    for synthetic in STRATEGIES.values():
        for ratio in sorted({*RATIOS, *ALL_RATIOS}):
            arms = [*(f"mixed@{k}x{ratio:g}" for k in SHOTS), f"mixedx{ratio:g}"]
            rows = [numbers.row(classifier, arm, synthetic) for arm in arms]
            if any(rows):
                cells = [gain_cell(row.difference if row else None) for row in rows]
                found.append([synthetic, f"{ratio:g}", *cells])
    return found


def _controls(numbers: Numbers, classifier: str, comparison: Comparison) -> list[list[str]]:
    """Return the rows of the table of controls: arm, and for each strategy the difference to the control."""
    of = CLASSIFIERS[classifier]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in comparison.rows:
        for each in row.controls if row.classifier == of else ():
            found.setdefault((row.arm, each.to), {})[row.synthetic or ""] = gain_cell(each)
    return [
        [
            arm,
            control,
            gain_cell(own.difference if (own := numbers.row(classifier, control)) else None),
            *(cells.get(synthetic, "–") for synthetic in STRATEGIES.values()),
        ]
        for (arm, control), cells in found.items()
    ]


def _verdicts(comparison: Comparison) -> list[list[str]]:
    """Return the rows of the table of verdicts on mixed arms: classifier, set, and a cell for each kind of arm."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for each in comparison.verdicts:
        if each.kind == "mixed":
            own = found.setdefault((each.classifier, each.synthetic or ""), {})
            own[each.against] = f"{each.above} / {each.across} / {each.below}"
    order = list(STRATEGIES.values())
    return [
        [classifier, synthetic, *(cells.get(kind, "–") for kind in AGAINST)]
        for (classifier, synthetic), cells in sorted(
            found.items(), key=lambda item: (item[0][0], order.index(item[0][1]))
        )
    ]


def _further(comparison: Comparison) -> dict[str, int]:
    """Return how many mixed arms are better and worse than as many further real images."""
    own = [each for each in comparison.verdicts if each.kind == "mixed" and each.against == "more-real"]
    return {
        "better": sum(each.above for each in own),
        "worse": sum(each.below for each in own),
        "arms": sum(each.arms for each in own),
    }


def _ahead(found: list[Difference | None]) -> str:
    """Return in how many arms a set is ahead of another one, and in how many behind, by their intervals."""
    known = [each for each in found if each is not None]
    above, below = sum(each.low > 0 for each in known), sum(each.high < 0 for each in known)
    return f"ahead in {above} and behind in {below} of {len(known)} arms"


def _missing(runs: list[Run], records: list[Result]) -> list[str]:
    """Return what of the plan has not been run, a line a run."""
    by_name = {each.name: record for each, record in zip(runs, records, strict=True)}
    found = []
    for each in plan():
        record = by_name.get(each.name)
        if record is None:
            found.append(f"`{each.name}`: {', '.join(each.arms)}")
        elif each.arms and len(record.seeds) < SEEDS:
            found.append(f"`{each.name}`: has {len(record.seeds)} seeds of {SEEDS}")
    return found


def _distances(folder: Path) -> list[dict[str, Any]]:
    """Return a table for each extractor: its name, n, and rows of measure, floor and a cell for each set."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        name = report["extractor"]["id"]
        table = found.setdefault(name, {"extractor": name, "n": 0, "rows": {}, "reports": {}})
        key = path.stem.removesuffix(f"-{name}")
        table["reports"][key] = report
        for each in report["measures"]:
            if each["cautions"]:
                continue
            own = table["rows"].setdefault(each["name"].partition("@")[0], {})
            own[key if each["pair"] == "synthetic-real" else "floor"] = _measure(each)
            table["n"] = each["n"]
    return [found[name] for name in sorted(found, key=lambda name: name != "eurosat-tiny-clip")]


def _measure(each: dict[str, Any]) -> str:
    if each["low"] is not None:
        return f"{each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f})"
    error = each["standard_error"] or each["settings"].get("deviation", 0.0)
    return f"{each['value']:.3g} ± {error:.2g}"


def _context(
    comparison: Comparison, runs: list[Run], records: list[Result], results: Path, written: list[Path]
) -> dict[str, Any]:
    numbers = Numbers(comparison)
    sides = {name: strategy_differences(results, runs, records, name) for name in (PROBE, SCRATCH)}
    sets = {strategy(each.synthetic): each.synthetic for each in comparison.strategies}
    images = sorted(path.name for path in written if path.suffix == ".png")

    def pictures(kind: str, protocol: str) -> list[str]:
        return [name for name in images if name.startswith(f"study_{kind}_") and protocol in name]

    return {
        "c": comparison,
        "environment": records[0].environment,
        "numbers": numbers,
        "cell": cell,
        "gain_cell": gain_cell,
        "gains": {name: _gains(numbers, name) for name in (PROBE, SCRATCH)},
        "controls": {name: _controls(numbers, name, comparison) for name in (PROBE, SCRATCH)},
        "strategy_arms": ARMS,
        "between": {
            name: [[pair, *map(_between, own)] for pair, own in each] for name, each in sides.items()
        },
        "ahead": {(name, pair): _ahead(own) for name, each in sides.items() for pair, own in each},
        "verdicts": _verdicts(comparison),
        "against": AGAINST,
        "further": _further(comparison),
        "missing": _missing(runs, records),
        "distances": _distances(results / "distances"),
        "sets": sets,
        "runs": runs,
        "seconds": sum(record.wall_seconds for record in records),
        "options": {each.label: each.protocol.options for each in comparison.classifiers},
        "pictures": pictures,
        "classifiers": CLASSIFIERS,
        "strategies": STRATEGIES,
        "protocols": PROTOCOLS,
        "shots": SHOTS,
        "threshold": THRESHOLD,
        "zero": ZERO_SHOT,
        "probe": PROBE,
        "scratch": SCRATCH,
    }
