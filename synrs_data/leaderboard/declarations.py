"""What submission.yaml and the results say of training and of kinds: rules R07, R15 and R17, without a prediction."""

from __future__ import annotations

from collections.abc import Iterator

from synrs_data.evaluate.super_resolution.synthetic_pairs import PairsRecord
from synrs_data.leaderboard.rules import Finding
from synrs_data.leaderboard.scores import AnyResult
from synrs_data.leaderboard.submission import Package, Submission


def check_declarations(package: Package) -> Iterator[Finding]:
    """Yield what submission.yaml and the results say differently, and what mixes kinds of submissions."""
    submission, results = package.submission, package.results
    declared = {each.id for each in submission.benchmarks}
    for unused in sorted(declared - {result.benchmark.id for result in results}):
        yield Finding("R07", f"submission.yaml names the benchmark '{unused}', no result is of it")
    for number, result in enumerate(results):
        for finding in (*_training(submission, result), *_synthetic(submission, result)):
            yield Finding(finding.rule, f"results/{number}: {finding.text}")
    manifests = {result.synthetic.manifest_sha256 for result in results if result.synthetic is not None}
    # Controls have no synthetic images, so beside a result with a set others may be without.
    if len(manifests) > 1 or (submission.kind != "baseline" and not manifests):
        text = f"the results are of {len(manifests)} synthetic sets, and the kind is '{submission.kind}'"
        yield Finding("R17", text)


def _training(submission: Submission, result: AnyResult) -> Iterator[Finding]:
    trained, said = result.baseline.trained_on, submission.train_datasets
    if trained is None:
        yield Finding("R15", f"nobody declared what '{result.baseline.name}' was trained on")
        return
    # Of a synthetic dataset submission.yaml says what its generator was trained on.
    missing = submission.kind != "synthetic-dataset" and not set(trained) <= set(said)
    added = submission.kind == "baseline" and not set(said) <= set(trained)
    if missing or added:
        yield Finding("R15", f"trained on {_names(trained)}; submission.yaml says {_names(said)}")


def _synthetic(submission: Submission, result: AnyResult) -> Iterator[Finding]:
    record = result.synthetic
    if record is None:
        return
    if submission.kind == "baseline":
        yield Finding("R17", "there is a synthetic set, and the kind is 'baseline'")
    if isinstance(record, PairsRecord):
        made, counts = record.pairs, [record.derived]
    else:
        made, counts = record.images, list(record.leaks.model_dump().values())
    if min(counts) < 0 or max(counts) > made:
        yield Finding("R15", f"leaks are {', '.join(map(str, counts))} of {made} images")


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"
