"""A submission as a stranger sends it: read whole and within limits, checked before any of it is used.

Files are read once into memory: what was verified is what is sent and kept. Nothing of a submission is executed,
unpacked or written under a name of its own choice, and there are no archives.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, ValidationError

from synrs_data.errors import UserError
from synrs_data.evaluate.parts import BenchmarkId, Part, Sha256, canonical_digest
from synrs_data.evaluate.results import PREDICTIONS, RESULT
from synrs_data.leaderboard.board import SubmissionKind
from synrs_data.leaderboard.rules import Finding, Refused
from synrs_data.leaderboard.scores import AnyResult, model_of
from synrs_data.vocabulary import NOT_YAML, explain, parse_yaml

SUBMISSION = "submission.yaml"
FOLDER = "submissions"

_RESULTS = 32
_LIMITS = {SUBMISSION: 64 * 2**10, RESULT: 2**20, PREDICTIONS: 32 * 2**20}
_TOTAL = 64 * 2**20
_DEPTH = 8
_PATH = re.compile(
    rf"{re.escape(SUBMISSION)}|results/(0|[1-9]\d?)/({re.escape(RESULT)}|{PREDICTIONS})", re.ASCII
)
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}-[0-9a-f]{12}", re.ASCII)


def _plain(text: str) -> str:
    """Refuse what does not show, or makes text show as another one: control, format and unassigned characters."""
    hidden = next((c for c in text if unicodedata.category(c).startswith("C") and c != "\n"), None)
    if hidden is not None:
        raise ValueError(f"has the character U+{ord(hidden):04X}, which does not show")
    return text


def _line(text: str) -> str:
    if "\n" in text or text != text.strip():
        raise ValueError("must be one line without spaces around it")
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        fits = False
    if not fits or re.search(r"[\s\"'<>\\`]", text):
        raise ValueError("must be an http or https address")
    return text


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain), AfterValidator(_line)]
Paragraphs = Annotated[str, Field(max_length=10_000), AfterValidator(_plain)]
Address = Annotated[str, Field(max_length=500), AfterValidator(_plain), AfterValidator(_address)]


class DeclaredBenchmark(Part):
    """Which benchmark was run, in which version, by task hash."""

    id: BenchmarkId
    version: int = Field(ge=1)
    task_hash: Sha256


class Submission(Part):
    """`submission.yaml`.

    Attributes:
        format: Of this file.
        name: Of the model or the synthetic dataset, in the submitter's words.
        revision: Version, commit or release of it.
        kind: "baseline", a model's scores; "synthetic-dataset", fixed baselines trained with it; "both".
        authors: Who made it.
        license: Of the model or dataset, an SPDX id or words.
        links: Label and address.
        train_datasets: What it was trained on, by the names that benchmarks use; of a synthetic dataset, its generator.
            An empty list says: on nothing.
        benchmarks: Which were run.
        description: The card, plain text.
        reproduce: Command that gives the results again; empty to have it made of the results.
    """

    format: Literal[1] = 1
    name: Text
    revision: Text
    kind: SubmissionKind
    authors: tuple[Text, ...] = Field(min_length=1, max_length=50)
    license: Text
    links: dict[Text, Address] = Field(default_factory=dict, max_length=10)
    train_datasets: tuple[Text, ...] = Field(max_length=200)
    benchmarks: tuple[DeclaredBenchmark, ...] = Field(min_length=1, max_length=_RESULTS)
    description: Paragraphs = ""
    reproduce: Paragraphs = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A submission that was read.

    Attributes:
        id: The name's slug and the first 12 hexadecimal digits of the content digest.
        files: Contents by path.
        submission: What it declares.
        results: In the order of their folders.
    """

    id: str
    files: Mapping[str, bytes]
    submission: Submission
    results: tuple[AnyResult, ...]

    def predictions(self, number: int) -> bytes:
        """Return the file of predictions of a result."""
        return self.files[f"results/{number}/{PREDICTIONS}"]


def is_submission_id(text: str) -> bool:
    """Tell whether a text could be the id of a submission."""
    return _ID.fullmatch(text) is not None


def submission_id(name: str, files: Mapping[str, bytes]) -> str:
    """Return the id: the name's slug, and 12 digits of `canonical_digest` of the sha256 of every file by path."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:48].strip("-") or "submission"
    digest = canonical_digest({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})
    return f"{slug}-{digest[:12]}"


def check_listing(sizes: Mapping[str, int]) -> list[Finding]:
    """Return what of the paths and sizes breaks R01 and R02, before anything is read."""
    findings = [
        Finding("R01", f"'{path[:200]}' is no file of a submission")
        for path in sizes
        if not _PATH.fullmatch(path)
    ]
    if findings:
        return findings[:3]
    numbers = {int(path.split("/")[1]) for path in sizes if path != SUBMISSION}
    wanted = [SUBMISSION]
    for number in range(max(len(numbers), 1)):
        wanted += [f"results/{number}/{RESULT}", f"results/{number}/{PREDICTIONS}"]
    findings += [Finding("R01", f"'{path}' is missing") for path in wanted if path not in sizes]
    if len(numbers) > _RESULTS:
        findings.append(Finding("R02", f"there are {len(numbers)} results, not at most {_RESULTS}"))
    for path, size in sizes.items():
        limit = _LIMITS[path.rpartition("/")[2]]
        if size > limit:
            findings.append(Finding("R02", f"'{path}' has {size:,} bytes, more than {limit:,}"))
    if (total := sum(sizes.values())) > _TOTAL:
        findings.append(Finding("R02", f"the files have {total:,} bytes, more than {_TOTAL:,}"))
    return findings


def read_folder(root: Path, *, besides: str = "") -> dict[str, bytes]:
    """Read a submission's folder, contents by path.

    Args:
        root: The folder.
        besides: Name of a file that is left alone; a results repository has one.

    Raises:
        UserError: There is no such folder.
        Refused: It holds what no submission has, or too much of it.
    """
    if not root.is_dir():
        raise UserError("is no folder", where=str(root), fix="give the folder that has submission.yaml")
    sizes, findings = {}, []
    for path, found in _walk(root, ""):
        if path == besides:
            continue
        if not stat.S_ISREG(found.st_mode):
            kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
            findings.append(Finding("R01", f"'{path}' is {kind}"))
        else:
            sizes[path] = found.st_size
        if len(sizes) + len(findings) > 2 * _RESULTS + 1:
            findings.append(Finding("R02", f"there are more than {2 * _RESULTS + 1} files"))
            break
    findings = findings or check_listing(sizes)
    if findings:
        raise Refused(findings, where=str(root))
    return {path: _read(root / path, size) for path, size in sorted(sizes.items())}


def _walk(root: Path, below: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything that is no folder, by path, following no link and going three levels deep."""
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            path = f"{below}/{entry.name}" if below else entry.name
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) and path.count("/") < 3:
                yield from _walk(root, path)
            else:
                yield path, found


def _read(path: Path, size: int) -> bytes:
    # The file may have been replaced since it was listed: no link is followed, no more than its size is read.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        content = file.read(size + 1)
    if len(content) != size:
        raise UserError("changed while it was read", where=str(path), fix="leave it alone and run it again")
    return content


def open_package(files: Mapping[str, bytes], *, where: str) -> Package:
    """Return the submission that files make up.

    Args:
        files: Contents by path.
        where: The submission, for messages.

    Raises:
        Refused: It breaks one of the rules R01 to R06.
    """
    if findings := check_listing({path: len(content) for path, content in files.items()}):
        raise Refused(findings, where=where)
    try:
        submission = Submission.model_validate(_yaml(files[SUBMISSION], where))
    except ValidationError as error:
        raise Refused([Finding("R04", f"{SUBMISSION}: {explain(error, Submission)}")], where=where) from error
    results = list[AnyResult]()
    for number in range((len(files) - 1) // 2):
        path = f"results/{number}/{RESULT}"
        model = model_of(files[path])
        try:
            results.append(model.model_validate_json(files[path]))
        except ValidationError as error:
            text = f"{path}: {_first(explain(error, model))}"
            raise Refused([Finding("R06", text)], where=where) from error
    return Package(submission_id(submission.name, files), files, submission, tuple(results))


def _yaml(content: bytes, where: str) -> object:
    """Return the values of plain YAML; its events are looked at first, because composing an alias is what blows up."""
    depth = 0
    try:
        text = content.decode()
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise ValueError("has an anchor or alias")
            if (tag := getattr(event, "tag", None)) is not None:
                raise ValueError(f"has the tag {str(tag)[:80]}")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH:
                raise ValueError(f"is nested more than {_DEPTH} levels deep")
        return parse_yaml(text)
    except NOT_YAML as error:
        reason = getattr(error, "problem", None) or str(error)
        raise Refused([Finding("R03", f"{SUBMISSION} {_first(reason)}")], where=where) from error


def _first(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:497]}..."
