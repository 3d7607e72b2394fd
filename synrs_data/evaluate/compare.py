"""Compare results of one benchmark: paired differences to the real arm of the same shots, and to controls.

Differences, intervals and McNemar's tests are those of `statistics`, over the seeds and items that both arms have.
P-values of McNemar's test over all seeds are corrected by Holm's method, once for the differences to the baseline arm
and once for those to controls. Intervals are not corrected; their number is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from synrs_data import __version__
from synrs_data.errors import UserError
from synrs_data.evaluate.arms import Kind, parse_arm
from synrs_data.evaluate.compare_inputs import Run, Trained, class_names, gather, read_runs
from synrs_data.evaluate.compare_labels import Labels, name_all
from synrs_data.evaluate.compare_records import (
    SIGNIFICANT,
    Compared,
    Comparison,
    ResultRecord,
    Row,
    Verdict,
)
from synrs_data.evaluate.compare_rows import Task, correct, make_row
from synrs_data.evaluate.results import Bootstrap
from synrs_data.resources import suggestion

_USUAL_SEEDS = 5
_REPORTED = 10
_ROLES = ("real", "control", "mixed", "synthetic", "zero-shot")


def compare(
    paths: Sequence[Path],
    *,
    metric: str | None = None,
    baseline_arm: str = "real",
    bootstrap_seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Compute a comparison from the predictions of results.

    Args:
        paths: Folders of results, or their `result.json`.
        metric: Of the benchmark; None for its first.
        baseline_arm: What arms are compared with: a kind, which stands for the arm of the same shots (and of the same
            ratio, where it has one), or an arm, which all others are then compared with.
        bootstrap_seed: Of the intervals.
        report: Takes a line now and then.

    Raises:
        UserError: Results are missing, of different tasks or data, or lack the metric or the baseline arm.
        VerificationError: A result is damaged, or its numbers do not follow from its predictions.
    """
    runs = read_runs(paths)
    said = {each.name: each for each in runs[0].result.arms[0].metrics}
    name = metric or next(iter(said))
    chosen = next((value for key, value in said.items() if key == name), None)
    if chosen is None:
        raise UserError(
            f"the results have no metric '{name}'", fix=suggestion(name, [*map(str, said)], what="metric")
        )
    arms, notes = gather(runs)
    task = Task(runs, chosen, Bootstrap(seed=bootstrap_seed), _baseline(baseline_arm, arms))
    labels = name_all(runs)
    arms.sort(key=lambda arm: _order(arm, labels))
    rows = []
    for arm in arms:
        rows.append(make_row(arm, arms, labels, task))
        if len(rows) % _REPORTED == 0 or len(rows) == len(arms):
            report(f"{len(rows)} of {len(arms)} arms compared")
    rows = correct(rows)
    first = runs[0].result
    return Comparison(
        versions={"synrs-data": __version__, "numpy": np.__version__},
        benchmark=first.benchmark,
        task_hash=first.task_hash,
        content_sha256=first.dataset.content_sha256,
        n=first.n,
        classes=class_names(first),
        metric=chosen.name,
        direction=chosen.direction,
        chance=chosen.chance,
        baseline_arm=task.baseline_arm,
        bootstrap=task.bootstrap,
        results=tuple(_result(run, labels) for run in runs),
        classifiers=labels.classifier_records,
        strategies=labels.strategy_records,
        rows=tuple(rows),
        comparisons=sum(row.difference is not None for row in rows),
        control_comparisons=sum(len(row.controls) for row in rows),
        verdicts=tuple(_verdicts(rows, task.baseline_arm)),
        unmatched=tuple(_unmatched(rows, task.baseline_arm)),
        notes=(*notes, *labels.notes, *_seed_notes(rows)),
    )


def _baseline(text: str, arms: list[Trained]) -> str:
    """Return the kind or the arm that a user named, if any result has it."""
    kinds: list[str] = list(get_args(Kind))
    if text not in kinds:
        parse_arm(text)
    of_synthetic = [arm for arm in arms if text in (arm.kind, arm.name) and arm.synthetic]
    if of_synthetic or text in ("mixed", "synthetic"):
        raise UserError(
            f"'{text}' has synthetic images, so it is no baseline",
            where="`--baseline-arm`",
            fix="give real, or a control such as flip-crop",
        )
    if text != "real" and not any(text in (arm.kind, arm.name) for arm in arms):
        names = dict.fromkeys(name for arm in arms if not arm.synthetic for name in (arm.kind, arm.name))
        raise UserError(
            f"no result has the arm '{text}'",
            where="`--baseline-arm`",
            fix=suggestion(text, list(names), what="arm"),
        )
    return text


def _order(arm: Trained, labels: Labels) -> tuple[float, ...]:
    """Return where a row stands: by classifier, shots and ratio, controls before mixed arms of the same ratio."""
    strategies = [each.label for each in labels.strategy_records]
    classifiers = [each.label for each in labels.classifier_records]
    synthetic = labels.strategies[arm.synthetic] if arm.synthetic else None
    return (
        classifiers.index(labels.classifiers[arm.classifier]),
        float("inf") if arm.shots is None else arm.shots,
        arm.role == "synthetic",
        arm.ratio,
        _ROLES.index(arm.role),
        [*get_args(Kind), arm.kind].index(arm.kind),
        strategies.index(synthetic) if synthetic else -1,
    )


def _verdicts(rows: list[Row], baseline_arm: str) -> list[Verdict]:
    """Return the counts of each classifier, synthetic set and kind of arm."""
    found: dict[tuple[str, str | None, str, str], list[Compared]] = {}
    kinds = {(row.classifier, row.label): row.kind for row in rows}
    # Of a synthetic set first what it adds, then that beside controls, then what it is worth alone; controls come last.
    names = list(dict.fromkeys(row.classifier for row in rows))
    groups = sorted(
        rows, key=lambda row: (names.index(row.classifier), row.synthetic is None, row.role == "synthetic")
    )
    for classifier, synthetic in dict.fromkeys((row.classifier, row.synthetic) for row in groups):
        own = [row for row in groups if (row.classifier, row.synthetic) == (classifier, synthetic)]
        for row in own:
            if row.difference is not None:
                found.setdefault((classifier, synthetic, row.kind, baseline_arm), []).append(row.difference)
        for row in own:
            for each in row.controls:
                key = (classifier, synthetic, row.kind, kinds[classifier, each.to])
                found.setdefault(key, []).append(each)
    return [
        Verdict(
            classifier=classifier,
            synthetic=synthetic,
            kind=kind,
            against=against,
            above=(above := sum(each.interval.low > 0 for each in all_of)),
            below=(below := sum(each.interval.high < 0 for each in all_of)),
            across=len(all_of) - above - below,
            holm=sum(each.mcnemar.holm < SIGNIFICANT for each in all_of),
        )
        for (classifier, synthetic, kind, against), all_of in found.items()
    ]


def _unmatched(rows: list[Row], baseline_arm: str) -> list[str]:
    found = []
    for row in rows:
        if row.difference is None and row.kind != "real" and baseline_arm not in (row.kind, row.arm):
            of = f" of {row.synthetic}" if row.synthetic else ""
            why = (
                "trains nothing"
                if row.role == "zero-shot"
                else f"no {baseline_arm} arm of the same shots and seeds"
            )
            found.append(f"{row.label}{of}, {row.classifier}: {why}")
    return found


def _seed_notes(rows: list[Row]) -> list[str]:
    trained = [row for row in rows if row.role != "zero-shot"]
    fewest = min((len(row.seeds) for row in trained), default=_USUAL_SEEDS)
    found = []
    if fewest == 1:
        found.append("arms of one seed: their intervals say nothing about other seeds")
    elif fewest < _USUAL_SEEDS:
        found.append(f"arms of {fewest} seeds: where seeds differ much, their intervals are too narrow")
    if fewer := [row for row in trained if row.difference and row.difference.seeds != row.seeds]:
        found.append(
            f"{len(fewer)} differences are over those seeds alone that both arms have, so they are not the difference "
            f"of the values: {', '.join(dict.fromkeys(row.label for row in fewer))}"
        )
    return found


def _result(run: Run, labels: Labels) -> ResultRecord:
    result = run.result
    return ResultRecord(
        name=run.name,
        classifier=labels.classifier(result),
        synthetic=labels.strategies[result.synthetic.manifest_sha256] if result.synthetic else None,
        arms=tuple(arm.name for arm in result.arms),
        seeds=result.seeds,
        environment=result.environment,
        predictions_sha256=result.predictions.sha256,
    )
