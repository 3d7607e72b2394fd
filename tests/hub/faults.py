"""What can go wrong between a client and the Hub, and the rules that say when."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import Event
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Turn:
    """A request whose turn it is to fail.

    Attributes:
        app: Answers the request as if nothing were wrong.
        hang_up: Closes the connection at once.
        push: Makes a commit as somebody else: repository (type and id, as in addresses), files, revision.
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    hang_up: Callable[[], None]
    push: Callable[[str, Mapping[str, bytes | None], str], object]

    async def work(self, send: Send | None = None) -> None:
        """Answer as if nothing were wrong, to `send` instead of the client if given."""
        await self.app(self.scope, self.receive, send or self.send)

    async def drain(self) -> None:
        """Read the body: a client that still writes sees another error than one that waits for the answer."""
        while (message := await self.receive())["type"] == "http.request" and message.get("more_body"):
            pass

    async def drop(self) -> None:
        """Close the connection and wait until the server knows."""
        self.hang_up()
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Fault(ABC):
    """Something that goes wrong with one request."""

    @abstractmethod
    async def strike(self, turn: Turn) -> None:
        """Answer the request, or do not."""


@dataclass(frozen=True, slots=True)
class Answer(Fault):
    """An error instead of the work: 429, 500, 503, 412 or any other status; `code` is the Hub's `X-Error-Code`."""

    status: int
    retry_after: int | None = None
    message: str = "injected by the test"
    code: str | None = None

    async def strike(self, turn: Turn) -> None:
        """Answer the error."""
        await turn.drain()
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.code is not None:
            headers |= {"X-Error-Code": self.code, "X-Error-Message": self.message}
        await JSONResponse({"error": self.message}, self.status, headers)(turn.scope, turn.receive, turn.send)


@dataclass(frozen=True, slots=True)
class Page(Fault):
    """A page for people instead of the work, as a captive portal or a proxy answers it."""

    status: int = 200
    text: str = "<!DOCTYPE html><title>Log in</title>"

    async def strike(self, turn: Turn) -> None:
        """Answer the page."""
        await turn.drain()
        await HTMLResponse(self.text, self.status)(turn.scope, turn.receive, turn.send)


@dataclass(frozen=True, slots=True)
class DropBefore(Fault):
    """The connection breaks before any work is done."""

    async def strike(self, turn: Turn) -> None:
        """Read the request and hang up."""
        await turn.drain()
        await turn.drop()


@dataclass(frozen=True, slots=True)
class DropAfter(Fault):
    """The connection breaks after the work was done: the answer is lost."""

    async def strike(self, turn: Turn) -> None:
        """Do the work and hang up."""

        async def lose(message: Message) -> None:
            """Send nothing."""

        await turn.work(lose)
        await turn.drop()


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """The answer is late by some seconds."""

    seconds: float

    async def strike(self, turn: Turn) -> None:
        """Wait, then work."""
        await asyncio.sleep(self.seconds)
        await turn.work()


@dataclass(frozen=True, slots=True)
class Hold(Fault):
    """The request waits until the test calls `release`: the moment to kill the client.

    `after=True` does the work first and holds only the answer.
    """

    after: bool = False
    _held: Event = field(default_factory=Event)
    _gate: Event = field(default_factory=Event)

    def wait(self, timeout: float = 60) -> None:
        """Wait until a request is held.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        if not self._held.wait(timeout):
            raise TimeoutError("No request came to be held.")

    def release(self) -> None:
        """Let the request go on."""
        self._gate.set()

    async def strike(self, turn: Turn) -> None:
        """Wait for the test."""
        held: list[Message] = []

        async def keep(message: Message) -> None:
            held.append(message)

        if self.after:
            await turn.work(keep)
        self._held.set()
        while not self._gate.is_set():
            await asyncio.sleep(0.01)
        for message in held:
            await turn.send(message)
        if not self.after:
            await turn.work()


@dataclass(frozen=True, slots=True)
class Truncate(Fault):
    """The body ends after `keep` bytes, while the headers announce all of it."""

    keep: int

    async def strike(self, turn: Turn) -> None:
        """Send the head and a part of the body; the server closes a connection that was left unfinished."""

        async def cut(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {"type": message["type"], "body": message["body"][: self.keep], "more_body": True}
            await turn.send(message)

        await turn.work(cut)


@dataclass(frozen=True, slots=True)
class Overtake(Fault):
    """Somebody else commits to the repository just before the request, which then goes its way.

    Attributes:
        repo: `datasets/USER/NAME`.
        files: Contents by path, None removes the file.
        revision: The branch.
    """

    repo: str
    files: Mapping[str, bytes | None]
    revision: str = "main"

    async def strike(self, turn: Turn) -> None:
        """Commit, then work."""
        turn.push(self.repo, self.files, self.revision)
        await turn.work()


@dataclass(slots=True)
class Rule:
    """When a fault strikes.

    Attributes:
        fault: What happens.
        method: The method, or "*".
        path: Shell pattern of the unquoted path; `*` also matches slashes.
        times: How often it strikes, None for always.
        skip: How many requests that match go through before.
        hits: How often it struck.
    """

    fault: Fault
    method: str
    path: str
    times: int | None = 1
    skip: int = 0
    hits: int = 0
    _seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Tell whether the rule strikes this request, and count it."""
        if self.method not in ("*", method) or not fnmatchcase(path, self.path):
            return False
        self._seen += 1
        if self._seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


def hang_up_of(send: Any) -> Callable[[], None]:
    """Return what closes the connection behind uvicorn's `send`, a method of the request's cycle."""
    transport = send.__self__.transport
    return transport.abort  # type: ignore[no-any-return]
