"""The results repository: a folder, or a dataset of the Hub, with `submissions/<id>/` for each verified submission.

`verification.json` beside a submission says that a maintainer added it. It names the submission's id, which is a digest
of its contents: a submission that changed since is not shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from synrs_data import __version__, files
from synrs_data.errors import SynrsError, UserError
from synrs_data.evaluate.parts import Part
from synrs_data.evaluate.results import PREDICTIONS
from synrs_data.leaderboard.differences import differences
from synrs_data.leaderboard.rules import RULES
from synrs_data.leaderboard.submission import FOLDER, Package, is_submission_id, open_package, read_folder
from synrs_data.leaderboard.verify import Report

VERIFICATION = "verification.json"

_RECORD_BYTES = 2**20


class Verification(Part):
    """`verification.json`: who added a submission after what.

    Attributes:
        format: Of this file.
        id: Of the submission, and so of its contents.
        version: Of synrs-data.
        rules: Which were kept.
        flags: Which a maintainer accepted.
        rows: Predictions that every number was recomputed from.
        differences: See `synrs_data.leaderboard.differences`.
        source: Where it came from: address of a pull request, or "local".
        commit: Of the pull request; empty for none.
        author: Who opened the pull request; empty for none.
    """

    format: Literal[1] = 1
    id: str
    version: str = Field(max_length=100)
    rules: tuple[str, ...]
    flags: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    differences: dict[str, dict[str, tuple[float, float, float]]] = Field(default_factory=dict)
    source: str = Field("local", max_length=500)
    commit: str = Field("", max_length=100)
    author: str = Field("", max_length=100)

    def sentence(self, task: str) -> str:
        """Return what was done for a result of a task, for people."""
        if task == "super-resolution":
            return (
                f"synrs-data {self.version} recomputed every mean and interval from the values of each image and "
                "checked names and hashes against the benchmark; the images themselves were not measured again"
            )
        return (
            f"synrs-data {self.version} recomputed every score and interval from {self.rows:,} predictions and checked "
            "items, labels and hashes against the benchmark; the model was not run again"
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A verified submission of a repository."""

    folder: Path
    package: Package
    verification: Verification


def verification_of(package: Package, report: Report, **source: str) -> Verification:
    """Return the record of a submission that kept every rule.

    Args:
        package: The submission.
        report: Of `verify`, with no finding; its flags were accepted.
        source: `source`, `commit` and `author` of a pull request.
    """
    assert not report.findings
    flags = tuple(sorted({flag.rule for flag in report.flags}))
    return Verification(
        id=package.id,
        version=__version__,
        rules=tuple(RULES),
        flags=flags,
        rows=report.rows,
        differences=differences(package),
        **source,
    )


def stored_files(package: Package, verification: Verification) -> dict[str, bytes]:
    """Return what a repository keeps of a submission, by path in the repository."""
    record = (verification.model_dump_json(indent=2) + "\n").encode()
    return {
        f"{FOLDER}/{package.id}/{path}": content
        for path, content in [*package.files.items(), (VERIFICATION, record)]
    }


def write_stored(root: Path, package: Package, verification: Verification) -> Path:
    """Write a submission into a local repository; its record comes last, so that it is whole or not shown.

    Raises:
        BuildFolderError: The folder cannot be written.
    """
    folder = root / FOLDER / package.id
    for path, content in stored_files(package, verification).items():
        files.make_folder((root / path).parent)
        files.write_bytes(root / path, content)
    return folder


def stored(root: Path, report: Callable[[str], None] = lambda line: None) -> Iterator[Stored]:
    """Yield the verified submissions of a local repository by id; others are reported and left out.

    Args:
        root: The repository.
        report: Takes a line for each that is left out.

    Raises:
        UserError: It is none.
    """
    place = root / FOLDER
    if place.is_symlink() or not place.is_dir():
        raise UserError(
            f"has no folder '{FOLDER}'",
            where=str(root),
            fix="give a results repository: a folder, or hf://datasets/USER/NAME",
        )
    for folder in sorted(place.iterdir()):
        try:
            found = _stored(folder)
        except SynrsError as error:
            report(f"left out '{folder.name}': {error.what}")
            continue
        if isinstance(found, str):
            report(f"left out '{folder.name}': {found}")
        else:
            yield found


def _stored(folder: Path) -> Stored | str:
    """Return a submission, or why it is not shown."""
    if folder.is_symlink() or not folder.is_dir() or not is_submission_id(folder.name):
        return "is no folder of a submission"
    record = folder / VERIFICATION
    if record.is_symlink() or not record.is_file() or record.stat().st_size > _RECORD_BYTES:
        return f"has no {VERIFICATION}; `leaderboard add` writes it"
    try:
        verification = Verification.model_validate_json(record.read_bytes())
    except ValidationError:
        return f"{VERIFICATION} is damaged"
    package = open_package(read_folder(folder, besides=VERIFICATION), where=str(folder))
    if not package.id == folder.name == verification.id:
        return f"its contents have the id '{package.id}': they changed after they were verified"
    return Stored(folder, package, verification)


def known_predictions(root: Path) -> dict[str, str]:
    """Return the id of the submission by the sha256 of each file of predictions of a local repository."""
    return {
        hashlib.sha256(content).hexdigest(): found.package.id
        for found in stored(root)
        for path, content in found.package.files.items()
        if path.endswith(PREDICTIONS)
    }
