"""The loopback Hub as an ASGI application: routes, the log of requests, faults, strays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition, RLock
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.hub import routes_discussions as discussions
from tests.hub import routes_files as files
from tests.hub import routes_repos as repos
from tests.hub import routes_uploads as uploads
from tests.hub.call import Handler, endpoint
from tests.hub.faults import Rule, Turn, hang_up_of
from tests.hub.world import World

if TYPE_CHECKING:
    from starlette.requests import Request

R = "/api/{plural}/{owner}/{name}"
GIT = "/{owner}/{name}.git/info/lfs/objects"

ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/api/whoami-v2", repos.whoami),
    ("POST", "/api/validate-yaml", repos.validate_yaml),
    ("POST", "/api/repos/create", repos.create),
    ("DELETE", "/api/repos/delete", repos.delete),
    ("POST", "/api/repos/move", repos.move),
    ("GET", "/api/{plural}", repos.listing),
    ("GET", R, repos.info),
    ("GET", f"{R}/revision/{{rev}}", repos.info),
    ("PUT", f"{R}/settings", repos.settings),
    ("GET", f"{R}/auth-check", repos.auth_check),
    ("GET", f"{R}/auth-check/write", repos.auth_check_write),
    ("GET", f"{R}/tree/{{rev}}", repos.tree),
    ("GET", f"{R}/tree/{{rev}}/{{path:path}}", repos.tree),
    ("POST", f"{R}/paths-info/{{rev}}", repos.paths_info),
    ("GET", f"{R}/commits/{{rev}}", repos.commits),
    ("GET", f"{R}/refs", repos.refs),
    ("POST", f"{R}/branch/{{branch}}", repos.create_branch),
    ("DELETE", f"{R}/branch/{{branch}}", repos.delete_branch),
    ("POST", f"{R}/tag/{{rev}}", repos.create_tag),
    ("DELETE", f"{R}/tag/{{rev}}", repos.delete_tag),
    ("POST", f"{R}/preupload/{{rev}}", uploads.preupload),
    ("POST", f"{R}/commit/{{rev}}", uploads.commit),
    ("GET", f"{R}/discussions", discussions.listing),
    ("POST", f"{R}/discussions", discussions.create),
    ("GET", f"{R}/discussions/{{num}}", discussions.show),
    ("POST", f"{R}/discussions/{{num}}/comment", discussions.comment),
    ("POST", f"{R}/discussions/{{num}}/title", discussions.rename),
    ("POST", f"{R}/discussions/{{num}}/status", discussions.status),
    ("POST", f"{R}/discussions/{{num}}/merge", discussions.merge_pull),
    ("PUT", "/lfs/upload/{plural}/{owner}/{name}/{oid}", uploads.lfs_put),
    ("PUT", "/lfs/part/{plural}/{owner}/{name}/{oid}/{number}", uploads.lfs_put_part),
    ("POST", "/lfs/complete/{plural}/{owner}/{name}/{oid}", uploads.lfs_complete),
    ("GET", "/lfs/object/{oid}", files.cdn_object),
    ("POST", f"/{{plural}}{GIT}/batch", uploads.lfs_batch),
    ("POST", f"{GIT}/batch", uploads.lfs_batch),
    ("POST", f"/{{plural}}{GIT}/verify", uploads.lfs_verify),
    ("POST", f"{GIT}/verify", uploads.lfs_verify),
    ("GET", "/{plural}/{owner}/{name}/resolve/{rest:path}", files.resolve),
    ("GET", "/{owner}/{name}/resolve/{rest:path}", files.resolve),
]
"""Method, path and handler. Starlette answers HEAD wherever it answers GET."""


@dataclass(slots=True)
class Seen:
    """A request in the log.

    Attributes:
        method: GET, PUT, ...
        path: Unquoted, without the query.
        query: As sent.
        headers: As sent, names in lower case, without the token.
        token: The value of the access token, None without one.
        cdn: Whether it came to the CDN's port.
        status: Status of the answer; None while there is none, and if none was ever sent.
        known: Whether the Hub has such an address.
        fault: Name of the fault that struck.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    token: str | None
    cdn: bool
    status: int | None = None
    known: bool = True
    fault: str | None = None


class HubApp:
    """Logs a request, lets a fault strike it, or answers it.

    A client of a test has this server as its proxy for every other host, so a request that would have
    left the machine arrives here: it is kept in `strays` and answered with 502.
    """

    def __init__(self, world: Callable[[], World], push: Callable[..., object]) -> None:
        self.lock = RLock()
        self.changed = Condition(self.lock)
        self.rules: list[Rule] = []
        self.log: list[Seen] = []
        self.strays: list[Seen] = []
        self.crashes: list[Exception] = []
        self._world, self._push = world, push
        routes = [
            Route(path, endpoint(world, self.lock, handler), methods=[method])
            for method, path, handler in ROUTES
        ]
        self._app = Starlette(routes=routes, exception_handlers={404: self._unknown, 405: self._unknown})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        assert scope["type"] == "http"
        # Routes are found by the path as sent: a quoted slash is part of a name.
        scope["path"] = scope["raw_path"].decode("ascii")
        seen = self._read(scope)
        host = f"http://{seen.headers.get('host')}"
        world = self._world()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                with self.changed:
                    seen.status = message["status"]
                    self.changed.notify_all()
            await send(message)

        seen.cdn = host == world.cdn_url
        if host == world.url.replace("://", "://datasets-server."):
            # The dataset viewer, which `datasets` asks for features (datasets/utils/_dataset_viewer.py): it has none.
            await Response("Not found", 404)(scope, receive, send)
            return
        if host not in (world.url, world.cdn_url) or not scope["path"].startswith("/"):
            with self.changed:
                self.strays.append(seen)
            await Response("No network in tests.", 502)(scope, receive, send)
            return
        scope["seen"] = seen
        with self.changed:
            rule = next((rule for rule in self.rules if rule.strikes(seen.method, seen.path)), None)
            seen.fault = None if rule is None else type(rule.fault).__name__
            self.log.append(seen)
            self.changed.notify_all()
        try:
            if rule is None:
                await self._app(scope, receive, watch)
            else:
                turn = Turn(self._app, scope, receive, watch, hang_up_of(send), self._push)
                await rule.fault.strike(turn)
        except Exception as error:
            self.crashes.append(error)
            raise

    def _read(self, scope: Scope) -> Seen:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        authorization = headers.pop("authorization", None)
        token = None if authorization is None else authorization.removeprefix("Bearer ")
        query = scope["query_string"].decode("ascii")
        return Seen(scope["method"], unquote(scope["path"]), query, headers, token, cdn=False)

    async def _unknown(self, request: Request, error: Exception) -> Response:
        request.scope["seen"].known = False
        return JSONResponse({"error": "Sorry, we can't find the page you are looking for."}, 404)
