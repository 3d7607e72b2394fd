"""A program of somebody else's as a baseline: a folder of PNG files in, a folder of PNG files out.

Research code keeps its own environment; the contract is three words of a command line.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image as PillowImage
from pydantic import BaseModel, Field, field_validator

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.baselines.base import BaselineOptions
from synrs_data.evaluate.super_resolution.upscalers import Image, UpscalerRecord
from synrs_data.image_sources.decoding import decode_rgb

_WORDS = ("{input}", "{output}", "{scale}")
_TAIL = 2000


class ExternalCommandOptions(BaselineOptions):
    """Options of `external-command`."""

    command: str = Field(
        description="Program and arguments, with {input} and {output} for the two folders and {scale} for the factor; "
        "no shell reads it."
    )
    name: str = Field(
        "external", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="What its results are called."
    )
    folder: str = Field("", description="Where the program starts; by default here.")
    weights: str = Field("", description="File of weights whose sha256 the result records.")
    timeout: float = Field(3600, gt=0, description="Seconds after which the program is stopped.")

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {error}") from error
        missing = [word for word in _WORDS[:2] if not any(word in part for part in words)]
        if missing:
            raise ValueError(f"lacks {' and '.join(missing)}")
        return value


class ExternalCommand:
    """A program that reads `000000000.png` and so on from one folder and writes larger ones to another.

    An output has the name of its input, or one that begins with the same nine digits and ends in `.png`.

    Args:
        options: What to run.
        device: Unused: the program chooses its own.
    """

    Options: ClassVar[type[BaseModel]] = ExternalCommandOptions

    def __init__(self, options: ExternalCommandOptions, device: str) -> None:
        self._options = options
        self.name = options.name

    def record(self) -> UpscalerRecord:
        """Return the command, and the digest of its weights if they are named; see `Upscaler.record`."""
        options = self._options
        path = Path(options.weights)
        if options.weights and not (files.exists(path) and path.is_file()):
            raise UserError(
                "there is no such file of weights", where=options.weights, fix="correct `weights`"
            )
        return UpscalerRecord(
            name=self.name,
            method="external-command",
            model=options.command,
            weights_sha256=files.sha256(path) if options.weights else None,
            preprocessing={"input": "8-bit RGB PNG", "output": "8-bit RGB PNG"},
            trained_on=options.trained_on,
        )

    def enlarge(self, images: Sequence[Image], scale: int) -> Iterator[Image]:
        """Run the program once on all images and yield what it wrote; see `Upscaler.enlarge`."""
        with tempfile.TemporaryDirectory(prefix="synrs-data-sr-") as root:
            source, target = Path(root, "input"), Path(root, "output")
            source.mkdir()
            target.mkdir()
            for number, image in enumerate(images):
                PillowImage.fromarray(image).save(source / f"{number:09d}.png")
            self._run(source, target, Path(root, "log"), scale)
            for number, image in enumerate(images):
                yield self._read(target, number, len(images), image, scale)

    def _run(self, source: Path, target: Path, log: Path, scale: int) -> None:
        values = dict(zip(_WORDS, (str(source), str(target), str(scale)), strict=True))
        words = []
        for word in shlex.split(self._options.command):
            for name, value in values.items():
                word = word.replace(name, value)
            words.append(word)
        with log.open("wb") as out:
            try:
                process = subprocess.Popen(
                    words,
                    cwd=self._options.folder or None,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    # A group of its own, so that what it has started ends with it.
                    start_new_session=True,
                )
            except OSError as error:
                raise self._fault(
                    f"cannot be started: {error.strerror} ({error.filename})", "correct `command` or `folder`"
                ) from error
            try:
                code = process.wait(self._options.timeout)
            except subprocess.TimeoutExpired as error:
                _end(process)
                raise self._fault(
                    f"did not end in {self._options.timeout:g} seconds and was stopped{_tail(log)}",
                    "raise `timeout`, or test on fewer images",
                ) from error
            except BaseException:
                _end(process)
                raise
        if code:
            raise self._fault(f"ended with the exit code {code}{_tail(log)}", "run it by hand to see why")

    def _read(self, target: Path, number: int, count: int, image: Image, scale: int) -> Image:
        stem = f"{number:09d}"
        exact = target / f"{stem}.png"
        found = [exact] if exact.is_file() else sorted(target.glob(f"{stem}*.png"))
        if len(found) != 1:
            there = len(list(target.glob("*.png")))
            what = f"no output {stem}.png" if not found else f"{len(found)} outputs of {stem}.png"
            raise self._fault(
                f"wrote {what} ({there} PNG files of {count})",
                "let it write one file of the same name for each input, to {output} itself",
            )
        pixels = decode_rgb(found[0].read_bytes(), f"the output {found[0].name} of '{self.name}'")
        wanted = (image.shape[1] * scale, image.shape[0] * scale)
        if (pixels.shape[1], pixels.shape[0]) != wanted:
            raise self._fault(
                f"wrote {found[0].name} with {pixels.shape[1]} x {pixels.shape[0]} pixels, not "
                f"{wanted[0]} x {wanted[1]}",
                f"let it enlarge by exactly {scale}, as {{scale}} says",
            )
        return np.array(pixels)

    def _fault(self, what: str, fix: str) -> UserError:
        return UserError(f"the command {what}", where=f"the baseline '{self.name}'", fix=fix)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, with all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path) -> str:
    """Return the last line that a program wrote, for a message; empty if there is none."""
    lines = log.read_bytes()[-_TAIL:].decode(errors="replace").strip().splitlines()
    return f"; its last line: {lines[-1].strip()}" if lines else ""
