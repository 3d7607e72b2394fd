"""Short names that tell the classifiers and synthetic sets of a comparison apart, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synrs_data.evaluate.compare_inputs import Run, classifier_id
from synrs_data.evaluate.compare_records import ClassifierRecord, StrategyRecord
from synrs_data.evaluate.results import Result


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels by what they stand for.

    Attributes:
        classifiers: By `classifier_id`.
        strategies: By the sha256 of the manifest.
        classifier_records: In the order of the results.
        strategy_records: In the order of the results.
        notes: What a reader has to know of them.
    """

    classifiers: dict[str, str]
    strategies: dict[str, str]
    classifier_records: tuple[ClassifierRecord, ...]
    strategy_records: tuple[StrategyRecord, ...]
    notes: tuple[str, ...]

    def classifier(self, result: Result) -> str:
        """Return the label of a result's baseline and protocol."""
        return self.classifiers[classifier_id(result)]


def name_all(runs: Sequence[Run]) -> Labels:
    """Return the labels of all classifiers and synthetic sets.

    A classifier is called by baseline and protocol, a synthetic set by the name of its build. Where that is the same
    for two, the options that differ are added, else the beginning of a sha256.
    """
    results = [run.result for run in runs]
    classifiers: dict[str, Result] = {}
    strategies: dict[str, Result] = {}
    for result in results:
        classifiers.setdefault(classifier_id(result), result)
        if result.synthetic is not None:
            strategies.setdefault(result.synthetic.manifest_sha256, result)
    named = dict(
        zip(classifiers, _distinct([_classifier(r, classifiers) for r in classifiers.values()]), strict=True)
    )
    builds = [_build(digest, strategies) for digest in strategies]
    sets = dict(zip(strategies, _distinct(builds), strict=True))
    return Labels(
        classifiers=named,
        strategies=sets,
        classifier_records=tuple(
            ClassifierRecord(label=named[key], baseline=result.baseline, protocol=result.protocol)
            for key, result in classifiers.items()
        ),
        strategy_records=tuple(
            StrategyRecord(label=sets[key], synthetic=result.synthetic)
            for key, result in strategies.items()
            if result.synthetic is not None
        ),
        notes=tuple(_notes(results, named, sets)),
    )


def _classifier(result: Result, all_of: dict[str, Result]) -> str:
    name = f"{result.baseline.name} {result.protocol.name}"
    alike = [
        each
        for each in all_of.values()
        if (each.baseline.name, each.protocol.name) == (result.baseline.name, result.protocol.name)
    ]
    differing = [
        f"{key}={_short(value)}"
        for key, value in result.protocol.options.items()
        if any(each.protocol.options.get(key) != value for each in alike)
    ]
    weights = {each.baseline.weights_sha256 for each in alike}
    if len(weights) > 1:
        differing.append((result.baseline.weights_sha256 or result.baseline.model)[:8])
    return f"{name} ({', '.join(differing)})" if differing else name


def _short(value: Any) -> str:
    return "none" if value is None else str(value)


def _build(digest: str, all_of: dict[str, Result]) -> str:
    names = [each.synthetic.name for each in all_of.values() if each.synthetic is not None]
    record = all_of[digest].synthetic
    assert record is not None
    return record.name if names.count(record.name) == 1 else f"{record.name} {digest[:8]}"


def _distinct(names: list[str]) -> list[str]:
    """Return names with a number where they are still the same, as where only the preprocessing differs."""
    return [
        name if names.count(name) == 1 else f"{name} #{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _notes(results: list[Result], classifiers: dict[str, str], strategies: dict[str, str]) -> list[str]:
    found: list[str] = []
    for result in results:
        label = classifiers[classifier_id(result)]
        if result.protocol.name != "from-scratch" and result.baseline.in_domain:
            found.append(
                f"the encoder of {label} was trained on {', '.join(result.baseline.trained_on or ())}, which is the "
                "benchmark's data set"
            )
        elif result.protocol.name != "from-scratch" and result.baseline.trained_on is None:
            found.append(f"nobody declared what the encoder of {label} was trained on")
        record = result.synthetic
        if record is None:
            continue
        name = strategies[record.manifest_sha256]
        if made := record.leaks.derived_from_train + record.leaks.equal_to_train:
            found.append(
                f"{made} of the {record.images} images of {name} are, or were made from, real images to train on: arms "
                "of few shots owe them more real images than they name"
            )
        if made := record.leaks.derived_from_other:
            found.append(
                f"{made} of the {record.images} images of {name} were made from real images outside the benchmark, "
                "which arms of real images do not have"
            )
    environments = list({tuple(sorted(result.environment.items())) for result in results})
    if len(environments) > 1:
        names = sorted(
            {
                key
                for each in environments
                for key, value in each
                if any((key, value) not in e for e in environments)
            }
        )
        found.append(f"the results were made in different environments: they differ in {', '.join(names)}")
    return list(dict.fromkeys(found))
