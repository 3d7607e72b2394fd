"""Find a model that is one file of weights: by path, in a folder, or on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synrs_data import files
from synrs_data.errors import WeightsError
from synrs_data.models.ncnn_convert import CONVERTIBLE
from synrs_data.models.published import FOLDER
from synrs_data.models.source import fetch_files, locate, user_path
from synrs_data.resources import suggestion

ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")
"""Endings of files of weights that are looked for."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of weights on this machine.

    Attributes:
        name: What the recipe calls the model, or the file's name if it gives a path.
        path: The file.
        revision: "local", or the Hub's commit.
        license: Licence as the README.md beside it states it, "unknown" where it states none.
    """

    name: str
    path: Path
    revision: str
    license: str

    def sha256(self) -> str:
        """Return the digest of the file's bytes."""
        return files.sha256(self.path)


def locate_file(model: str, *, revision: str | None = None, file: str | None = None) -> WeightsFile:
    """Find a model of one file.

    Args:
        model: A file, a folder that holds one, `ORG/REPO` below `models/`, or a Hub id.
        revision: Branch, tag or commit of a Hub id.
        file: Which file of a folder or of the Hub's repository; None if it has one file of weights.

    Raises:
        WeightsError: There is no such model or file, or more than one.
    """
    path = user_path(model)
    if model and files.exists(path) and path.is_file():
        if file is not None:
            raise WeightsError("is a file already", where=model, fix=f"take `file: {file}` out of the recipe")
        beside = locate(str(path.parent))
        return WeightsFile(path.name, path.resolve(), beside.revision, beside.license)
    _refuse_unconverted(model)
    endings = [f"*{ending}" for ending in ENDINGS]
    folder = locate(model, revision=revision, fetch=fetch_files(endings if file is None else [file]))
    found = sorted(
        path.relative_to(folder.path).as_posix()
        for path in folder.path.rglob("*")
        if path.suffix in ENDINGS and path.is_file()
    )
    if file is None and len(found) != 1:
        what = f"holds {len(found)} files of weights" + (f": {', '.join(found[:5])}" if found else "")
        fix = (
            "name one by `file`" if found else f"give a folder with a file that ends in {', '.join(ENDINGS)}"
        )
        raise WeightsError(what, where=str(folder.path), fix=fix)
    name = found[0] if file is None else file
    if name not in found:
        raise WeightsError(
            f"has no file of weights '{name}'",
            where=str(folder.path),
            fix=suggestion(name, found, what="file of weights"),
        )
    return WeightsFile(folder.name, folder.path / name, folder.revision, folder.license)


def _refuse_unconverted(model: str) -> None:
    """Raise with the command that makes it, if this is a model of `models convert` that is not here yet."""
    for name, known in CONVERTIBLE.items():
        here = Path(FOLDER, known.folder).is_dir()
        if model == known.folder and not here:
            raise WeightsError(
                f"'{model}' is not converted yet",
                where="generator.model",
                fix=f"run: synrs-data models convert {name}",
            )
        if model == name:
            raise WeightsError(
                f"the model '{model}' is called '{known.folder}'",
                where="generator.model",
                fix=f"set `model: {known.folder}`"
                + ("" if here else f" and run: synrs-data models convert {name}"),
            )
