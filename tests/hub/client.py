"""A process with the real Hub client that runs functions of a test, one after another.

The Hub's client reads its environment at import, which takes a second: the process is started once with
the environment of the loopback Hub, and then called like a function. Run as a program it is the other end.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).parents[2]


@dataclass
class ClientError(Exception):
    """What a function raised in the client process.

    Attributes:
        kinds: Name of its class and of the classes above.
        message: Its text.
        status: Status of the answer behind it, None if there was none.
        cause: The exception it was raised from, if any.
    """

    kinds: list[str]
    message: str
    status: int | None = None
    cause: ClientError | None = field(default=None)

    def __str__(self) -> str:
        return f"{self.kinds[0]} ({self.status}): {self.message}"

    @classmethod
    def of(cls, error: BaseException) -> ClientError:
        """Describe an exception in values that every process knows."""
        status = getattr(getattr(error, "response", None), "status_code", None)
        cause = error.__cause__ or error.__context__
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return cls(kinds, str(error), status, None if cause is None else cls.of(cause))


class Client:
    """A running client process. Call it with a function of a module and its keyword arguments."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hub.client"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**env, "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
            )

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function there and return its value.

        Warnings are errors there as in the suite.

        Raises:
            ClientError: It raised.
            RuntimeError: The process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((function.__module__, function.__qualname__, args, kwargs), self._process.stdin)
        self._process.stdin.flush()
        try:
            value, error = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"The client process died:\n{self._log.read_text()[-3000:]}") from None
        if error is not None:
            raise error
        return cast(T, value)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Run calls until there are no more."""
    while True:
        try:
            module, name, args, kwargs = pickle.load(calls)
        except EOFError:
            return
        function: Callable[..., Any] = getattr(import_module(module), name)
        result: tuple[Any, ClientError | None]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                # As in pyproject.toml: raised inside libraries that we do not own.
                for kind in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings(
                        "ignore", category=kind, module="(datasets|huggingface_hub|httpx2|fsspec|dill).*"
                    )
                result = (function(*args, **kwargs), None)
        except Exception as error:  # noqa: BLE001 - every exception is the caller's to judge
            result = (None, ClientError.of(error))
        pickle.dump(result, answers)
        answers.flush()


if __name__ == "__main__":
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print must not mix with the answers
    # The module is known twice, as a program and by its name; answers must use the name.
    cast(Any, import_module("tests.hub.client")).serve(sys.stdin.buffer, out)
