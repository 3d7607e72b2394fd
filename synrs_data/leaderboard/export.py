"""Verified scores for a model's page on the Hub: the model-index of its card, and the newer `.eval_results` files.

Formats: huggingface_hub's `EvalResult` (model-index) and `EvalResultEntry` (`.eval_results/*.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.leaderboard.board import Board, Row
from synrs_data.resources import suggestion

MODEL_INDEX = "model-index.yaml"
EVAL_RESULTS = ".eval_results"

_METRICS = {"top1": "accuracy", "mean-per-class": "mean_per_class_accuracy"}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def export(
    board: Board, submission: str, out: Path, *, datasets: Mapping[str, str] | None = None
) -> list[Path]:
    """Write what a model repository takes of a submission's scores, and return the files.

    Args:
        board: Of the results repository.
        submission: Id of a submission of the models track.
        out: Folder to write: `model-index.yaml`, to be copied into the YAML block of the model's card, and a file of
            `.eval_results` for each score.
        datasets: Dataset of the Hub, USER/NAME, by benchmark. `.eval_results` name a benchmark by its dataset, so
            scores of other benchmarks are left to the model-index.

    Raises:
        UserError: There is no such submission, or it has no scores of a model.
        BuildFolderError: The folder cannot be written.
    """
    rows = [
        (benchmark.id, benchmark.title, benchmark.metric, row)
        for benchmark in board.benchmarks
        for row in benchmark.rows
        if row.submission == submission and row.track == "models"
    ]
    known = {
        row.submission for benchmark in board.benchmarks for row in benchmark.rows if row.track == "models"
    }
    if not rows:
        raise UserError(
            f"there is no model '{submission}' on this board",
            fix=suggestion(submission, sorted(known), what="model"),
        )
    for name, dataset in (datasets or {}).items():
        if not _REPOSITORY.fullmatch(dataset):
            raise UserError(
                f"'{dataset}' is no dataset of the Hub", where=name, fix="write BENCHMARK=USER/NAME"
            )
    written = [out / MODEL_INDEX]
    files.make_folder(out)
    files.write_text(written[0], _yaml({"model-index": _model_index(rows)}))
    for name, _, _, row in rows:
        if (found := (datasets or {}).get(name)) is None:
            continue
        path = out / EVAL_RESULTS / f"{_slug(name, row)}.yaml"
        files.make_folder(path.parent)
        files.write_text(path, _yaml(_entries(name, found, row)))
        written.append(path)
    return written


def _model_index(rows: list[tuple[str, str, str, Row]]) -> Any:
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results = [
        EvalResult(
            task_type="zero-shot-image-classification" if row.protocol == row.arm else "image-classification",
            task_name=row.group,
            dataset_type=name,
            dataset_name=title,
            dataset_args={"task_hash": row.task_hash},
            metric_type=_METRICS.get(metric, metric),
            metric_name=metric,
            metric_config=f"{row.protocol} {row.arm}",
            metric_value=row.value,
            metric_args={"interval_95": [row.low, row.high], "n": row.n, "seeds": row.seeds},
        )
        for name, title, metric, row in rows
    ]
    return eval_results_to_model_index(rows[0][3].name, results)


def _entries(benchmark: str, dataset: str, row: Row) -> Any:
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    notes = f"{row.group}; 95 % interval {row.low:.4f} to {row.high:.4f}, n {row.n}, seeds {row.seeds}; {row.verified}"
    entry = EvalResultEntry(dataset_id=dataset, task_id=benchmark, value=row.value, notes=notes)
    return eval_result_entries_to_yaml([entry])


def _slug(benchmark: str, row: Row) -> str:
    variant = row.protocol if row.protocol == row.arm else f"{row.protocol}-{row.arm}"
    return re.sub(r"[^a-z0-9.-]+", "-", f"{benchmark}-{variant}".lower())


def _yaml(values: object) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
