"""Every rule refuses what breaks it and names itself; honest submissions pass."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import load_benchmark
from synrs_data.leaderboard.agreement import evenness
from synrs_data.leaderboard.rules import FLAGS, RULES, Refused
from synrs_data.leaderboard.submission import open_package, read_folder, submission_id
from synrs_data.leaderboard.verify import Report, verify
from tests.leaderboard.made import (
    edit_declaration,
    edit_result,
    edit_table,
    made_predictions,
    set_key,
    write_submission,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_submission(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture
def model(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "model"))


def checked(folder: Path) -> Report:
    return verify(open_package(read_folder(folder), where=str(folder)))


def broken(folder: Path) -> set[str]:
    """Return the rules that a submission breaks, wherever that is found."""
    try:
        return {finding.rule for finding in checked(folder).findings}
    except Refused as error:
        return {finding.rule for finding in error.findings}


def test_an_honest_submission_keeps_every_rule(model: Path) -> None:
    report = checked(model)
    assert (report.findings, report.flags, report.rows) == ((), (), 1000)
    report.check("here")


def test_arms_and_seeds_of_a_synthetic_dataset_keep_every_rule(tmp_path: Path) -> None:
    arms = {"real@4": 0.6, "mixed@4x4": 0.7, "synthetic": 0.5}
    report = checked(write_submission(tmp_path / "set", right=arms, seeds=(0, 1), synthetic=True))
    assert (report.findings, report.flags, report.rows) == ((), (), 6000)


def test_a_score_that_is_wrong_in_the_third_decimal_is_refused_with_both_numbers(model: Path) -> None:
    said = dict[str, float]()

    def raise_a_little(values: dict[str, Any]) -> None:
        metric = values["arms"][0]["metrics"][0]
        said.update(before=metric["value"], after=metric["value"] + 0.001)
        metric["value"] = said["after"]

    edit_result(model, raise_a_little)
    report = checked(model)
    assert [finding.rule for finding in report.findings] == ["R12"]
    assert f"top1.value is {said['after']}, the predictions give {said['before']}" in report.findings[0].text
    with pytest.raises(Refused, match=r"R12 results/0: real: top1\.value is") as caught:
        report.check("here")
    assert caught.value.exit_code == 3


# Files and limits, before anything is parsed.


def test_files_that_no_submission_has_are_refused(model: Path) -> None:
    for name in ("weights.pkl", "results/0/model.pt", "verification.json", "results/0/more.parquet", "a.zip"):
        (model / name).write_bytes(b"\x80\x04.")
        assert broken(model) == {"R01"}, name
        (model / name).unlink()
    assert broken(model) == set()


def test_links_and_what_is_no_file_are_refused(model: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = model / "results" / "0" / "result.json"
    content = path.read_bytes()
    path.unlink()
    for make in (partial(path.symlink_to, secret), partial(os.mkfifo, path)):
        make()
        assert broken(model) == {"R01"}
        path.unlink()
    path.write_bytes(content)
    (model / "results" / "1").symlink_to(model / "results" / "0", target_is_directory=True)
    assert broken(model) == {"R01"}


@pytest.mark.parametrize(
    "path",
    [
        "../submission.yaml",
        "/etc/passwd",
        "results/../../x/result.json",
        "results/00/result.json",
        "results/0/result.json/",
        "results\\0\\result.json",
        "results/0/result.json\n",
        "results/\u0660/result.json",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(model: Path, path: str) -> None:
    with pytest.raises(Refused, match="R01"):
        open_package(read_folder(model) | {path: b""}, where="here")


def test_what_a_terminal_would_obey_is_escaped_in_messages(model: Path) -> None:
    (model / "a\x1b[2J\u202eb").touch()
    with pytest.raises(Refused) as caught:
        read_folder(model)
    assert "'a\\x1b[2J\\u202eb' is no file of a submission" in str(caught.value)


def test_a_submission_must_be_whole(model: Path) -> None:
    (model / "results" / "0" / "predictions.parquet").unlink()
    assert broken(model) == {"R01"}
    shutil.rmtree(model / "results")
    assert broken(model) == {"R01"}
    with pytest.raises(UserError, match="is no folder"):
        read_folder(model / "results")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("submission.yaml", 2**16 + 1),
        ("results/0/result.json", 2**20 + 1),
        ("results/0/predictions.parquet", 2**25 + 1),
    ],
)
def test_huge_files_are_refused_unread(model: Path, name: str, size: int) -> None:
    with (model / name).open("r+b") as file:
        file.truncate(size)
    assert broken(model) == {"R02"}


def test_too_many_results_or_files_are_refused(model: Path) -> None:
    files = read_folder(model)
    for number in range(1, 33):
        for name in ("result.json", "predictions.parquet"):
            files[f"results/{number}/{name}"] = b""
    with pytest.raises(Refused, match="R02 there are 33 results"):
        open_package(files, where="here")
    for number in range(1, 100):
        (model / "results" / "0" / f"{number}.json").touch()
    with pytest.raises(Refused, match="there are more than 65 files"):
        read_folder(model)


def test_all_files_together_have_a_limit(model: Path) -> None:
    files = read_folder(model)
    for number in range(1, 4):
        files[f"results/{number}/result.json"] = b""
        files[f"results/{number}/predictions.parquet"] = bytes(25 * 2**20)
    with pytest.raises(Refused, match="R02 the files have"):
        open_package(files, where="here")


# submission.yaml


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: *a\n",
        "a: &a 1\n",
        "a: !!python/object/apply:os.system [ls]\n",
        "a: !!set {x}\n",
        "a: " + "[" * 9 + "]" * 9,
        "a: 1\na: 2\n",
        "a: [",
        "a: 2024-99-99\n",
        "\x00",
    ],
    ids=["bomb", "anchor", "object", "tag", "deep", "twice", "torn", "date", "nul"],
)
def test_yaml_that_is_more_than_plain_values_is_refused(model: Path, text: str) -> None:
    (model / "submission.yaml").write_text(text)
    assert broken(model) == {"R03"}


def test_yaml_that_is_no_text_is_refused(model: Path) -> None:
    (model / "submission.yaml").write_bytes(b"name: \xff\n")
    assert broken(model) == {"R03"}


@pytest.mark.parametrize(
    "changed",
    [
        {"nmae": "x"},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "two\nlines"},
        {"name": "left\u202eright"},
        {"name": "bell\x07"},
        {"authors": []},
        {"kind": "model"},
        {"links": {"code": "javascript:alert(1)"}},
        {"links": {"code": "https://user:word@example.org/"}},
        {"links": {"code": 'https://example.org/"onclick="x'}},
        {"links": {"code": "https://[::1"}},
        {"train_datasets": None},
        {"benchmarks": []},
    ],
    ids=str,
)
def test_a_declaration_that_does_not_fit_its_schema_is_refused(model: Path, changed: dict[str, Any]) -> None:
    edit_declaration(model, **changed)
    assert broken(model) == {"R04"}


def test_markup_in_a_name_stays_text_and_leaves_the_id(model: Path) -> None:
    name = "<script>alert('x')</script> & Söhne"
    edit_declaration(model, name=name)
    files = read_folder(model)
    package = open_package(files, where="here")
    assert package.submission.name == name
    assert package.id.startswith("script-alert-x-script-sohne-")
    assert submission_id("中文", files).startswith("submission-")
    assert submission_id("Model", files) != submission_id("Model", files | {"results/0/result.json": b""})


# result.json


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", '"high"', "null"])
def test_a_number_that_is_none_is_refused(model: Path, value: str) -> None:
    path = model / "results" / "0" / "result.json"
    text = path.read_text()
    start = text.index('"value":') + len('"value":')
    path.write_text(text[:start] + value + text[text.index(",", start) :])
    assert broken(model) == {"R06"}


def test_a_torn_or_foreign_result_is_refused(model: Path) -> None:
    path = model / "results" / "0" / "result.json"
    path.write_text(path.read_text()[:-20])
    assert broken(model) == {"R06"}
    path.write_text("[" * 100_000)
    assert broken(model) == {"R06"}


def other_version(model: Path) -> None:
    edit_result(model, lambda values: values["benchmark"].update(version=1))


def other_hash(model: Path) -> None:
    edit_result(model, lambda values: values.update(task_hash="0" * 64))


def unknown_benchmark(model: Path) -> None:
    edit_result(model, lambda values: values["benchmark"].update(id="mine"))


def ruled_benchmark(model: Path) -> None:
    edit_result(model, lambda values: values["benchmark"].update(id="resisc45", version=1))


def other_declared(model: Path) -> None:
    edit_declaration(model, benchmarks=[{"id": "eurosat-mini", "version": 1, "task_hash": "0" * 64}])


def unused_benchmark(model: Path) -> None:
    declared = [
        {"id": name, "version": found.version, "task_hash": found.task_hash}
        for name in ("eurosat-mini", "eurosat")
        for found in [load_benchmark(name)]
    ]
    edit_declaration(model, benchmarks=declared)


@pytest.mark.parametrize(
    "change",
    [other_version, other_hash, unknown_benchmark, ruled_benchmark, other_declared, unused_benchmark],
)
def test_a_result_of_another_benchmark_or_version_is_refused(
    model: Path, change: Callable[[Path], None]
) -> None:
    change(model)
    assert broken(model) == {"R07"}


def test_a_record_that_does_not_fit_the_benchmark_is_refused_without_a_crash(model: Path) -> None:
    changes: list[dict[str, Any]] = [{"per_class": {}}, {"per_class": {"Forest": 1.0}}, {"metrics": []}]
    for change in [*changes, {"name": "nothing@0"}]:
        folder = model.with_name("changed")
        shutil.copytree(model, folder)
        edit_result(folder, partial(set_key, part="arms", key=0, value=first_arm(folder) | change))
        assert broken(folder) in ({"R12"}, {"R09", "R12"})
        shutil.rmtree(folder)


def first_arm(folder: Path) -> dict[str, Any]:
    arm: dict[str, Any] = json.loads((folder / "results" / "0" / "result.json").read_text())["arms"][0]
    return arm


def test_work_without_end_is_refused_before_it_is_done(model: Path) -> None:
    edit_result(model, lambda values: values["bootstrap"].update(replicates=100_000))
    assert broken(model) == {"R02"}


# predictions.parquet


def test_predictions_that_are_no_table_or_another_one_are_refused(model: Path) -> None:
    edit_table(model, lambda table: table.drop("seed"))
    assert broken(model) == {"R08"}
    edit_table(
        model, lambda table: table.with_columns(pl.lit(0, pl.Int64).alias("seed"), pl.lit(None).alias("x"))
    )
    assert broken(model) == {"R08"}
    (model / "results" / "0" / "predictions.parquet").write_bytes(b"PAR1" + b"\x80\x04." * 50 + b"PAR1")
    assert broken(model) == {"R08"}


def test_a_small_file_that_unpacks_to_a_huge_table_is_refused_unread(model: Path) -> None:
    path = model / "results" / "0" / "predictions.parquet"
    table = pl.read_parquet(path).with_columns(pl.col("key").first() + "0" * 80_000)
    table.write_parquet(
        path, use_pyarrow=True, pyarrow_options={"use_dictionary": False, "compression": "zstd"}
    )
    assert path.stat().st_size < 2**20
    assert broken(model) == {"R08"}
    pl.DataFrame({"seed": pl.repeat(0, 3000, eager=True)}).write_parquet(path)
    with pytest.raises(Refused, match=r"R08 .* has 3,000 rows; 1 arms and seeds have 1,000"):
        checked(model).check("here")


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table[1:],
        lambda table: pl.concat([table, table[:1]]),
        lambda table: pl.concat([table[:1], table[:1], table[2:]]),
        lambda table: table.with_columns(pl.col("key").replace(table["key"][0], "unknown")),
        lambda table: table.reverse(),
        lambda table: table.with_columns(pl.lit(1, pl.Int64).alias("seed")),
    ],
    ids=["missing", "added", "twice", "unknown", "order", "seed"],
)
def test_items_are_there_once_and_no_others(
    model: Path, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    edit_table(model, change)
    assert broken(model) == {"R09"}


def test_labels_are_those_of_the_benchmark(model: Path) -> None:
    edit_table(model, lambda table: table.with_columns(pl.col("predicted").alias("label")))
    assert broken(model) == {"R10"}


@pytest.mark.parametrize("value", [-1, 10, 2**40])
def test_predictions_are_classes(model: Path, value: int) -> None:
    edit_table(model, lambda table: table.with_columns(pl.lit(value, pl.Int64).alias("predicted")))
    assert broken(model) == {"R11"}


def test_scores_are_finite(model: Path) -> None:
    def as_zero_shot(values: dict[str, Any]) -> None:
        values["protocol"]["name"] = values["arms"][0]["name"] = "zero-shot"
        values["arms"][0]["counts"] = {}

    def with_scores(table: pl.DataFrame, changed: float | None = None) -> pl.DataFrame:
        scores = np.eye(10, dtype=np.float32)[table["predicted"].to_numpy()]
        if changed is not None:
            scores[3] = changed
        table = table.select("arm", "seed", "key", "label", "predicted")
        columns = pl.Series("scores", scores.tolist(), dtype=pl.List(pl.Float32))
        return table.with_columns(pl.lit("zero-shot").alias("arm"), columns)

    edit_result(model, as_zero_shot)
    edit_table(model, with_scores)
    assert broken(model) == set()
    for value in (float("nan"), float("inf")):
        edit_table(model, partial(with_scores, changed=value))
        assert broken(model) == {"R11"}


def test_predictions_of_another_digest_are_refused(model: Path) -> None:
    edit_result(model, lambda values: values["predictions"].update(sha256="0" * 64))
    assert broken(model) == {"R13"}


def test_an_interval_that_lies_apart_from_the_predictions_is_refused(model: Path) -> None:
    def raise_all(values: dict[str, Any]) -> None:
        metric = values["arms"][0]["metrics"][0]
        metric["value"] += 0.2
        metric["interval"] = {end: value + 0.2 for end, value in metric["interval"].items()}

    edit_result(model, raise_all)
    report = checked(model)
    assert {finding.rule for finding in report.findings} == {"R12", "R14"}
    assert sum("does not overlap" in finding.text for finding in report.findings) == 2


# What was trained on, and kinds


@pytest.mark.parametrize("declared", [["imagenet", "eurosat"], []])
def test_training_data_are_declared_alike(model: Path, declared: list[str]) -> None:
    edit_declaration(model, train_datasets=declared)
    assert broken(model) == {"R15"}


def test_undeclared_training_data_are_refused(model: Path) -> None:
    edit_result(model, lambda values: values["baseline"].update(trained_on=None, in_domain=None))
    assert broken(model) == {"R15"}


def test_an_in_domain_mark_that_is_taken_away_is_refused(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "model", trained_on=("eurosat",))
    assert broken(folder) == set()
    edit_result(folder, lambda values: values["baseline"].update(in_domain=False))
    assert broken(folder) == {"R12"}


def test_leaks_of_a_synthetic_set_are_possible_numbers(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "set", right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True)
    assert broken(folder) == set()
    for value in (-1, 1001):
        leaks = {"derived_from_train": 0, "derived_from_other": 0, "equal_to_train": value}
        edit_result(folder, partial(set_key, part="synthetic", key="leaks", value=leaks))
        assert broken(folder) == {"R15"}


def test_a_submission_is_of_one_kind(tmp_path: Path, model: Path) -> None:
    edit_declaration(model, kind="synthetic-dataset")
    assert broken(model) == {"R17"}
    folder = write_submission(tmp_path / "set", right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True)
    edit_declaration(folder, kind="baseline")
    assert broken(folder) == {"R17"}
    edit_declaration(folder, kind="synthetic-dataset")
    shutil.copytree(folder / "results" / "0", folder / "results" / "1")
    assert broken(folder) == set()
    edit_result(folder, lambda values: values["synthetic"].update(manifest_sha256="b" * 64))
    assert broken(folder) == {"R17"}


def test_controls_may_stand_beside_a_synthetic_dataset(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "set", right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True)
    controls = write_submission(tmp_path / "controls", right={"real@4": 0.6, "flip-crop@4x4": 0.65})
    shutil.copytree(controls / "results" / "0", folder / "results" / "1")
    assert broken(folder) == set()


# Flags


def flags(folder: Path) -> list[str]:
    report = checked(folder)
    assert report.findings == ()
    return [flag.rule for flag in report.flags]


def noisy(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < share, labels, rng.integers(0, 10, len(labels)))


def test_perfect_agreement_is_flagged(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "m", predictions=lambda labels, arm, seed: labels)
    assert flags(folder) == ["F01"]


@pytest.mark.parametrize("share", [0.4, 0.7, 0.93])
def test_labels_with_noise_are_flagged(tmp_path: Path, share: float) -> None:
    folder = write_submission(
        tmp_path / "m", predictions=lambda labels, arm, seed: noisy(labels, share, seed), seeds=(0, 1)
    )
    assert flags(folder) == ["F02"]


def test_errors_of_models_are_not_flagged_and_few_errors_say_nothing() -> None:
    labels = np.repeat(np.arange(10), 100)
    for seed in range(10):
        assert evenness(labels, made_predictions(labels, 0.9, seed), 10) == 0.001
    assert evenness(labels, noisy(labels, 0.97, 0), 10) is None
    assert evenness(labels, noisy(labels, 0.1, 0), 10) is None
    assert evenness(labels % 2, 1 - labels % 2, 2) is None


def test_predictions_of_another_submission_are_flagged(model: Path) -> None:
    package = open_package(read_folder(model), where="here")
    digest = package.results[0].predictions.sha256
    assert verify(package, known={digest: package.id}).flags == ()
    assert [flag.rule for flag in verify(package, known={digest: "other-0123456789ab"}).flags] == ["F03"]


def test_references_of_a_synthetic_dataset_may_be_those_of_another(tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "set", right={"real@4": 0.6, "mixed@4x4": 0.7}, synthetic=True)
    controls = write_submission(tmp_path / "controls", right={"real@4": 0.6, "flip-crop@4x4": 0.65})
    shutil.copytree(controls / "results" / "0", folder / "results" / "1")
    package = open_package(read_folder(folder), where="here")
    known = {result.predictions.sha256: "other-0123456789ab" for result in package.results}
    flags = verify(package, known=known).flags
    assert [(flag.rule, flag.text.partition(":")[0]) for flag in flags] == [("F03", "results/0")]


def test_every_rule_and_flag_has_one_sentence() -> None:
    assert all(text.endswith(".") and text.count(". ") == 0 for text in (RULES | FLAGS).values())


def test_the_guide_lists_every_rule_and_flag() -> None:
    guide = Path(__file__).parents[2] / "docs" / "leaderboard.md"
    text = guide.read_text(encoding="utf-8")
    assert [rule for rule, says in (RULES | FLAGS).items() if f"| {rule} | {says} |" not in text] == []
