"""The running loopback Hub, and what a test may do with it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import uvicorn

from tests.hub.accounts import Role
from tests.hub.app import HubApp, Seen
from tests.hub.faults import Fault, Hold, Rule
from tests.hub.store import Commit, Kind, Put, Remove, Repo
from tests.hub.world import KINDS, Settings, World

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Hub:
    """A Hub on two ports of 127.0.0.1: one for the API, one for the CDN that keeps LFS files.

    Two ports are two origins, so the client does what it does in the world: it stops at the redirect of a
    HEAD request and keeps its token from the CDN.

    Attributes:
        url: What HF_ENDPOINT should be.
        cdn_url: Where LFS files are uploaded and read.
    """

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for one in self._sockets:
            # Head and body of an answer are two writes: without this the second waits for the client's ACK.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url, self.cdn_url = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in self._sockets)
        self._world = World(self.url, self.cdn_url)
        self._app = HubApp(lambda: self._world, self.commit)
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            log_level="critical",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(self._sockets,), daemon=True)

    def start(self) -> None:
        """Serve from a thread."""
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("The loopback Hub did not start.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop serving and close both ports."""
        self._release()
        self._server.should_exit = True
        self._thread.join(timeout=30)
        if self._thread.is_alive():
            raise RuntimeError("The loopback Hub did not stop.")

    def reset(self) -> None:
        """Forget everything: accounts, repositories, rules, log."""
        self._release()
        with self._app.lock:
            self._world = World(self.url, self.cdn_url)
            for kept in (self._app.rules, self._app.log, self._app.strays, self._app.crashes):
                kept.clear()

    def check(self) -> None:
        """Fail if the server crashed, a client left the machine, or a rule never struck.

        Raises:
            AssertionError: One of these.
        """
        with self._app.lock:
            strays = [f"{seen.method} {seen.path}" for seen in self.strays]
            idle = [rule for rule in self._app.rules if rule.hits == 0]
            assert not self._app.crashes, f"the Hub crashed: {self._app.crashes!r}"
            assert not strays, f"requests that would have left this machine: {strays}"
            assert not idle, f"faults that never struck: {idle}"

    # Accounts and repositories

    @property
    def settings(self) -> Settings:
        """Limits, which a test may change."""
        return self._world.settings

    def add_token(self, user: str, role: Role = "write") -> str:
        """Return a new token of a user, who is made if new."""
        with self._app.lock:
            return self._world.accounts.add_token(user, role)

    def add_org(self, org: str, members: Mapping[str, Role]) -> None:
        """Make an organisation."""
        with self._app.lock:
            self._world.accounts.orgs[org] = dict(members)

    def create(self, path: str, *, private: bool = False, gated: bool = False) -> Repo:
        """Make a repository, `datasets/USER/NAME` or `models/USER/NAME`, with the Hub's first commit."""
        with self._app.lock:
            repo = self._world.create(*_split(path), private=private)
            repo.gated = "manual" if gated else False
            return repo

    def repo(self, path: str) -> Repo:
        """Return a repository to look at: `history`, `resolve`, `read`, `branches`, `discussions`.

        Raises:
            KeyError: There is none.
        """
        with self._app.lock:
            found = self._world.find(*_split(path))
            if found is None:
                raise KeyError(path)
            return found

    def commit(
        self,
        path: str,
        files: Mapping[str, bytes | None],
        revision: str = "main",
        *,
        user: str = "somebody-else",
        title: str = "A commit by somebody else",
    ) -> Commit:
        """Commit to a repository from the server's side: contents by path, None removes the file.

        Files go to LFS by the repository's `.gitattributes`.
        """
        from tests.hub.attributes import is_lfs

        with self._app.lock:
            repo = self.repo(path)
            rules, edits = repo.attributes(repo.resolve(revision)), list[Put | Remove]()
            for name, content in files.items():
                if content is None:
                    edits.append(Remove(name))
                elif is_lfs(name, rules):
                    sha256 = repo.contents.add(content)
                    repo.lfs.add(sha256)
                    edits.append(Put(name, sha256=sha256))
                else:
                    edits.append(Put(name, content))
            return repo.commit(edits, revision=revision, author=user, title=title)

    # Faults and the log

    def fault(
        self, fault: Fault, method: str = "*", path: str = "*", *, times: int | None = 1, skip: int = 0
    ) -> Rule:
        """Let a fault strike the next requests that match, and return the rule, which counts its hits.

        Args:
            fault: What goes wrong, see tests/hub/faults.py.
            method: The method, or "*".
            path: Shell pattern of the unquoted path, for example "*/commit/*".
            times: How often, None for always.
            skip: How many requests that match go through before.
        """
        rule = Rule(fault, method, path, times, skip)
        with self._app.lock:
            self._app.rules.append(rule)
        return rule

    @property
    def strays(self) -> list[Seen]:
        """Requests of clients to hosts other than this server. Empty it if they are meant."""
        return self._app.strays

    def requests(self, method: str = "*", path: str = "*") -> list[Seen]:
        """Return the requests so far that match, in the order of arrival."""
        with self._app.lock:
            return [seen for seen in self._app.log if _fits(seen, method, path)]

    def wait_for(
        self, method: str = "*", path: str = "*", *, count: int = 1, timeout: float = 60
    ) -> list[Seen]:
        """Wait until `count` requests that match have arrived (answered or not) and return them.

        Raises:
            TimeoutError: They did not come within `timeout` seconds.
        """
        with self._app.changed:
            if not self._app.changed.wait_for(lambda: len(self.requests(method, path)) >= count, timeout):
                raise TimeoutError(f"{method} {path}: {len(self.requests(method, path))} of {count} requests")
            return self.requests(method, path)

    def env(self, home: Path, token: str | None = None, *, xet: bool = False) -> dict[str, str]:
        """Return the environment of a client process that can reach this server only.

        Every other host is behind a proxy, which is this server: it refuses and keeps the request in `strays`.

        Args:
            home: Folder for HOME and HF_HOME.
            token: HF_TOKEN; None leaves the client without.
            xet: Leave Xet on, as it is on a user's machine. This server has no Xet.
        """
        dropped = {
            "HF_TOKEN",
            "HF_ENDPOINT",
            "HF_DATASETS_CACHE",
            "HF_HUB_CACHE",
            "NO_PROXY",
            "SSLKEYLOGFILE",
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in dropped and name.lower() not in {*_PROXIES, "no_proxy"}
        }
        proxies = {name: self.url for lower in _PROXIES for name in (lower, lower.upper())}
        return {
            **kept,
            **proxies,
            "no_proxy": "127.0.0.1",
            "NO_PROXY": "127.0.0.1",
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # load_dataset counts loads on another host (datasets/load.py, increase_load_count).
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            **({} if token is None else {"HF_TOKEN": token}),
        }

    def _release(self) -> None:
        for rule in self._app.rules:
            if isinstance(rule.fault, Hold):
                rule.fault.release()


def _split(path: str) -> tuple[Kind, str]:
    plural, _, repo_id = path.partition("/")
    return KINDS[plural], repo_id


def _fits(seen: Seen, method: str, path: str) -> bool:
    return method in ("*", seen.method) and fnmatchcase(seen.path, path)
