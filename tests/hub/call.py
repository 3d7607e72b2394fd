"""One request to the loopback Hub as its handlers see it, and how refusals become answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from threading import RLock
from typing import Any
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from tests.hub.accounts import Token
from tests.hub.discussions import Discussion
from tests.hub.store import Kind, Refusal, Repo
from tests.hub.world import KINDS, World

Handler = Callable[["Call"], Response]


class Call:
    """A request with its whole body, and the world it asks about."""

    def __init__(self, world: World, request: Request, body: bytes) -> None:
        self.world, self.request, self.body = world, request, body
        self.token: Token | None = world.accounts.identify(request.headers.get("authorization"))

    def param(self, name: str) -> str:
        """Return a part of the path, unquoted."""
        return unquote(str(self.request.path_params[name]))

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return self.request.query_params.get(name, default)

    def flag(self, name: str) -> bool:
        """Tell whether a query parameter is set; clients write True, true or 1."""
        return self.query(name).lower() in {"true", "1"}

    def json(self) -> dict[str, Any]:
        """Return the body as an object, empty without one."""
        value = json.loads(self.body or b"{}")
        return value if isinstance(value, dict) else {}

    @property
    def kind(self) -> Kind:
        """The type of repository that the path names; without a word it is a model.

        Raises:
            Refusal: The word is another (404).
        """
        word = str(self.request.path_params.get("plural", "models"))
        if word not in KINDS:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")
        return KINDS[word]

    def repo(self) -> Repo:
        """Return the repository that the path names, if it exists for the caller."""
        found = self.world.find(self.kind, f"{self.param('owner')}/{self.param('name')}")
        return self.world.accounts.require_read(found, self.token)

    def writable(self, *, pull_request: bool = False) -> tuple[Repo, Token]:
        """Return the repository and the caller's token, if the caller may change it."""
        repo = self.repo()
        return repo, self.world.accounts.require_write(repo, self.token, pull_request=pull_request)

    def pull(self, revision: str) -> Discussion | None:
        """Return the pull request whose branch is `revision`, None if that is none."""
        return next(
            (pull for pull in self.repo().discussions if pull.ref == revision and pull.is_pull_request), None
        )

    def writable_at(self, revision: str) -> tuple[Repo, Token]:
        """Return repository and token, if the caller may commit to `revision` or to a new pull request on it.

        The author of a pull request may commit to its branch.

        Raises:
            Refusal: The caller may not, or the pull request is over (403).
        """
        pull = self.pull(revision)
        if pull is not None and pull.status not in ("open", "draft"):
            raise Refusal(403, f"This pull request is {pull.status}")
        mine = pull is not None and self.token is not None and pull.author == self.token.user
        return self.writable(pull_request=self.flag("create_pr") or mine)

    def signed_in(self) -> Token:
        """Return the caller's token.

        Raises:
            Refusal: There is none (401).
        """
        if self.token is None:
            raise Refusal(401, "Invalid username or password.")
        return self.token

    def discussion(self) -> tuple[Repo, Discussion]:
        """Return the repository and the discussion that the path names.

        Raises:
            Refusal: There is no such discussion (404).
        """
        repo, num = self.repo(), self.param("num")
        if not num.isdigit() or not 0 < int(num) <= len(repo.discussions):
            raise Refusal(404, "Discussion not found")
        return repo, repo.discussions[int(num) - 1]

    def page(self, entries: list[Any], *, size: int | None = None) -> Response:
        """Answer one page of a list; the `Link` header names the next."""
        size = min(int(self.query("limit", "1000000")), size or self.world.settings.page_size)
        start = int(self.query("cursor", "0"))
        headers = {}
        if start + size < len(entries):
            following = self.request.url.include_query_params(cursor=start + size)
            address = f"{self.world.url}{following.path}?{following.query}"
            headers["Link"] = f'<{address}>; rel="next"'
        return JSONResponse(entries[start : start + size], headers=headers)


def endpoint(world: Callable[[], World], lock: RLock, handler: Handler) -> Callable[[Request], Any]:
    """Return the Starlette endpoint of a handler.

    The body is read first, so that the handler runs in one piece and a client that dies while it sends
    changes nothing.
    """

    async def answer(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            with lock:
                response = handler(Call(world(), request, body))
        except Refusal as refusal:
            response = refuse(refusal)
        response.headers["X-Request-Id"] = str(uuid.uuid4())
        return response

    return answer


def refuse(refusal: Refusal) -> Response:
    """Return the answer of a refusal."""
    headers = {"X-Error-Message": refusal.message.encode("ascii", "replace").decode()}
    if refusal.code is not None:
        headers["X-Error-Code"] = refusal.code
    if refusal.commit is not None:
        headers["X-Repo-Commit"] = refusal.commit
    return JSONResponse({"error": refusal.message, **refusal.body}, refusal.status, headers)
