"""One repository on the Hub, asked again when the Hub is busy or the connection breaks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from synrs_data.errors import SynrsError, UserError, VerificationError
from synrs_data.events import EventLog

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_RESET = re.compile(r"\bt=(\d+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Waits:
    """How often and how long a busy Hub is waited for.

    Attributes:
        tries: How often a request is made in all.
        first_s: Seconds before the second try; each further wait is twice the one before.
        longest_s: Longest wait, in seconds. The Hub's quotas of requests count five minutes
            (reference/hub.md, 5); one that asks for more, such as that of commits an hour, is not waited for.
        silence_s: Seconds after which an open connection on which nothing comes or goes counts as broken. The Hub
            itself ends a request with 504 after about a minute.
    """

    tries: int = 7
    first_s: float = 1.0
    longest_s: float = 300.0
    silence_s: float = 120.0

    def seconds(self, attempt: int, asked: float | None) -> float:
        """Return how long to wait after try number `attempt`, from 0, if the Hub asked for `asked` seconds."""
        own: float = min(self.first_s * 2**attempt, self.longest_s)
        return own if asked is None else max(own, asked)


class Moved(Exception):
    """Somebody else committed since the head was read."""


@dataclass(frozen=True, slots=True)
class Session:
    """A dataset repository and how it is asked.

    Attributes:
        repo: USER/NAME.
        api: The Hub's client.
        waits: When to give up.
        events: Takes `hub_waits` events.
        fresh: Whether we have just made the repository, so that a 404 may mean that not all of the Hub knows it yet.
    """

    repo: str
    api: HfApi
    waits: Waits
    events: EventLog = field(repr=False)
    fresh: bool = False
    later: ClassVar[str] = (
        "run the same command later: what was uploaded is kept, and no half of a version is visible"
    )
    """What to do when the Hub is busy for too long."""

    @property
    def url(self) -> str:
        """Address of the repository for people."""
        return f"{self.api.endpoint}/datasets/{self.repo}"

    def headers(self) -> dict[str, str]:
        """Return the headers of a request that the client has no method for."""
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        return dict(build_hf_headers(token=self.api.token))

    def ask(self, request: Callable[[], T]) -> T:
        """Make a request that may be made twice, until it succeeds or there is no point in another try.

        Raises:
            UserError: It failed for good.
        """
        for attempt in range(self.waits.tries):
            try:
                return request()
            except Exception as error:  # noqa: BLE001 - `wait_or_raise` tells them apart
                try:
                    self.wait_or_raise(error, attempt)
                except Moved:
                    # Only a commit names a parent; anything else that is answered so is refused.
                    raise self.refusal(error) from error
        raise AssertionError("wait_or_raise ends the last try")

    def wait_or_raise(self, error: Exception, attempt: int) -> None:
        """Wait if it makes sense to try again after `error`, else raise what a user can read.

        Args:
            error: What a request raised.
            attempt: The number of the try that failed, from 0.

        Raises:
            UserError: It makes no sense.
            Moved: The Hub answered 412.
        """
        if isinstance(error, SynrsError):
            raise error
        status, asked = _status(error), _retry_after(error)
        if status == HTTPStatus.PRECONDITION_FAILED:
            raise Moved from error
        busy = status in _TRANSIENT or (self.fresh and status == HTTPStatus.NOT_FOUND)
        if not (busy or (status is None and _is_broken_connection(error))):
            refusal = self.refusal(error)
            if refusal is error:
                raise error
            raise refusal from error
        seconds = self.waits.seconds(attempt, asked)
        if attempt + 1 >= self.waits.tries or seconds > self.waits.longest_s:
            wanted = f"; it asks to wait {asked:.0f} s" if asked else ""
            elsewhere = (
                f"{self.later}; HF_ENDPOINT names this server" if "HF_ENDPOINT" in os.environ else self.later
            )
            raise UserError(
                f"the Hub does not answer as it should ({_reason(error)}){wanted}",
                where=self.url,
                fix=elsewhere,
            ) from error
        self.events.emit("hub_waits", reason=_reason(error), seconds=seconds)
        time.sleep(seconds)

    def refusal(self, error: Exception) -> Exception:
        """Return the message for an answer that another try will not change; our own bugs come back unchanged."""
        from huggingface_hub.errors import (
            GatedRepoError,
            HFValidationError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        status, reason = _status(error), _reason(error)
        if isinstance(error, JSONDecodeError):
            return UserError(
                "what answers is no Hub: it sends something other than JSON",
                where=self.url,
                fix="check HF_ENDPOINT, and whether a proxy or the network's own page wants a login first",
            )
        if isinstance(error, UnicodeEncodeError) and status is None:
            return no_token(self.url, "your token has characters that no token has")
        if isinstance(error, OfflineModeIsEnabled):
            return UserError("HF_HUB_OFFLINE is set", where=self.url, fix="unset it to publish")
        if isinstance(error, HFValidationError):
            return invalid_name(self.repo)
        if isinstance(error, GatedRepoError):
            return UserError(
                "the repository is gated and not open to you", where=self.url, fix="ask its owner for access"
            )
        if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
            return UserError(
                "there is no such dataset, or it is private and your token may not see it",
                where=self.url,
                fix="check the name, and who you are with `hf auth whoami`",
            )
        if status == HTTPStatus.UNAUTHORIZED:
            return no_token(self.url, "the Hub does not know your token")
        if status == HTTPStatus.FORBIDDEN:
            return UserError(
                f"you may not write here ({reason})",
                where=self.url,
                fix="log in with a token that has write rights (`hf auth login`), publish under your own name, "
                "or propose it to the owner with `--create-pr`",
            )
        gone = next((link for link in _chain(error) if isinstance(link, OSError) and link.filename), None)
        if status is None and gone is not None:
            return VerificationError(
                f"cannot be read any more ({gone.strerror})",
                where=str(gone.filename),
                fix="leave the build alone while it is published, and run the same command again",
            )
        if status is not None or isinstance(error, ValueError):
            return UserError(
                f"the Hub refuses: {reason}", where=self.url, fix="mend what it names and try again"
            )
        return error


def invalid_name(name: str) -> UserError:
    """Return the message for a name that the Hub does not allow."""
    return UserError(
        f"'{name}' is no name of a dataset repository",
        fix="write USER/NAME: letters, digits, '-', '_' and '.', at most 96 characters",
    )


def no_token(where: str, what: str) -> UserError:
    """Return the message for a missing or unknown token."""
    return UserError(
        what, where=where, fix="run `hf auth login` or set HF_TOKEN to a token with write rights"
    )


def check_name(name: str) -> None:
    """Check the name of a repository.

    Raises:
        UserError: It is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise invalid_name(name) from error
    if not _NAME.fullmatch(name):
        raise invalid_name(name)


def check_endpoint() -> None:
    """Check the address in HF_ENDPOINT, which the Hub's client takes as it is.

    Raises:
        UserError: It is none.
    """
    value = os.environ.get("HF_ENDPOINT")
    if value is None:
        return
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UserError(
            f"'{value}' is no address of a server",
            where="HF_ENDPOINT",
            fix="set it to an address such as https://huggingface.co, or unset it",
        )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # The client wraps what a thread of an upload raised in a RuntimeError (_commit_api.py, _wrapped_lfs_upload).
    while error is not None:
        yield error
        error = error.__cause__


def _response(error: BaseException) -> Any:
    return next(
        (found for link in _chain(error) if (found := getattr(link, "response", None)) is not None), None
    )


def _status(error: BaseException) -> int | None:
    response = _response(error)
    return None if response is None else int(response.status_code)


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds of `Retry-After`, or of the Hub's `RateLimit: "api";r=0;t=55`."""
    response = _response(error)
    if response is None:
        return None
    wanted = str(response.headers.get("Retry-After", ""))
    if wanted.isdigit():
        return float(wanted)
    if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        # The Hub counts every request in `RateLimit`; only 429 means that none is left.
        return None
    match = _RESET.search(str(response.headers.get("RateLimit", "")))
    return float(match[1]) if match else None


def _is_broken_connection(error: BaseException) -> bool:
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    kinds = (httpx2.TransportError, ConnectionError, TimeoutError)
    links = list(_chain(error))
    # A ConnectionError too, but of the user's own making.
    offline = any(isinstance(link, OfflineModeIsEnabled) for link in links)
    return not offline and any(isinstance(link, kinds) for link in links)


def _reason(error: BaseException) -> str:
    """Return what the server said, or the kind of failure; never an address, which may carry a signature."""
    said = next((text for link in _chain(error) if (text := getattr(link, "server_message", None))), None)
    status = _status(error)
    if status is not None:
        return f"{status} {said}" if said else str(status)
    if isinstance(error, ValueError):
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return type([*_chain(error)][-1]).__name__
