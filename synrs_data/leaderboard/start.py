"""Begin a submission: a folder with results as `eval run` wrote them, and a `submission.yaml` to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.results import PREDICTIONS, RESULT, read_result, result_folder
from synrs_data.leaderboard.submission import SUBMISSION

_HEAD = """\
# Fill in the empty values; docs/leaderboard.md explains the keys. Then: synrs-data leaderboard verify .
"""


def begin(folder: Path, results: Sequence[Path]) -> Path:
    """Copy results into a new folder and write `submission.yaml` with what they say.

    Args:
        folder: Made new.
        results: Folders of results, or their `result.json`.

    Returns:
        The path of `submission.yaml`, in which `revision`, `authors` and `license` are left to the submitter.

    Raises:
        UserError: The folder is there already, or there is no result.
        VerificationError: A result is damaged.
        BuildFolderError: The folder cannot be written.
    """
    if files.exists(folder):
        raise UserError("is there already", where=str(folder), fix="give a new folder")
    found = [read_result(path) for path in results]
    synthetic = next((each.synthetic for each in found if each.synthetic is not None), None)
    trained = [name for each in found for name in each.baseline.trained_on or ()]
    benchmarks = {
        each.task_hash: {
            "id": each.benchmark.id,
            "version": each.benchmark.version,
            "task_hash": each.task_hash,
        }
        for each in found
    }
    values: dict[str, Any] = {
        "name": found[0].baseline.name if synthetic is None else synthetic.name,
        "revision": "",
        "kind": "baseline" if synthetic is None else "synthetic-dataset",
        "authors": [],
        "license": "",
        "links": {},
        # Of a synthetic dataset it is the generator's data, which no result says.
        "train_datasets": list(dict.fromkeys(trained)) if synthetic is None else None,
        "benchmarks": list(benchmarks.values()),
        "description": "",
        "reproduce": "",
    }
    for number, path in enumerate(results):
        target = folder / "results" / str(number)
        files.make_folder(target)
        for name in (RESULT, PREDICTIONS):
            source = result_folder(path) / name
            if not source.is_file():
                raise UserError("is missing", where=str(source), fix="run `synrs-data eval run` again")
            files.write_bytes(target / name, source.read_bytes())
    files.write_text(
        folder / SUBMISSION, _HEAD + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    )
    return folder / SUBMISSION
