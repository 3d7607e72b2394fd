"""Run a build that kills itself with SIGKILL at its n-th step of writing; a program, not a test.

    python -m tests.build.killer OUT N [GENERATOR]

Steps are every open for writing, write, fsync, rename and unlink below OUT. Without reaching step N it ends
normally and prints the number of steps.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from synrs_data.build.run import build
from tests.build.painted import painted

_STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate"}


class Killer:
    """An audit hook that counts steps of writing and kills the process at one of them."""

    def __init__(self, out: Path, at: int) -> None:
        self._out = str(out)
        self._at = at
        self.steps = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STEPS and str(arguments[0]).startswith(self._out):
            if event == "open" and not self._writes(arguments):
                return
            self.step()

    def step(self) -> None:
        """Count one step."""
        self.steps += 1
        if self.steps == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        mode, flags = arguments[1], arguments[2]
        return (
            bool(flags & (os.O_WRONLY | os.O_RDWR))
            if mode is None
            else any(letter in mode for letter in "wax+")
        )


def main(out: Path, at: int, generator: str = "paint") -> None:
    """Build with the engine inline and die at step `at`."""
    killer = Killer(out, at)
    fsync = os.fsync

    def counted(handle: Any) -> None:
        killer.step()
        fsync(handle)

    # fsync raises no audit event, so it is counted where it is called.
    setattr(os, "fsync", counted)  # noqa: B010 - mypy guards the standard library's own name
    sys.addaudithook(killer)
    build(painted(generator={"method": generator}), out, engine="inline")
    print(killer.steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
