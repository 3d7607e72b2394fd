"""The state of one loopback Hub: accounts, contents, repositories, settings."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from tests.hub import attributes
from tests.hub.accounts import Accounts
from tests.hub.store import ATTRIBUTES, Contents, Kind, Refusal, Repo

KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}
"""Types of repositories by their name in addresses of the API."""


@dataclass(slots=True)
class Settings:
    """What a test may set to meet a limit with tiny data.

    Attributes:
        lfs_threshold: Bytes from which a file goes to LFS whatever its name; the Hub's is 10 MiB.
        page_size: Entries of a page of a list; the Hub's is 1000.
        part_size: Bytes of a part of a multipart upload; None sends every object in one PUT.
        pr_status: Status of a pull request that a commit with `create_pr` opens. The client documents
            "draft" for those made through discussions and says nothing of these.
    """

    lfs_threshold: int = 10 * 2**20
    page_size: int = 1000
    part_size: int | None = None
    pr_status: Literal["draft", "open"] = "open"


class World:
    """Everything that a new server starts without."""

    def __init__(self, url: str, cdn_url: str) -> None:
        self.url, self.cdn_url = url, cdn_url
        self.settings = Settings()
        self.accounts = Accounts()
        self.contents = Contents()
        self.parts: dict[str, dict[int, bytes]] = {}
        self._repos: dict[tuple[Kind, str], Repo] = {}

    def find(self, kind: Kind, repo_id: str) -> Repo | None:
        """Return a repository, None if there is none of that name."""
        return self._repos.get((kind, repo_id))

    def repos(self, kind: Kind) -> list[Repo]:
        """Return all repositories of a type."""
        return [repo for repo in self._repos.values() if repo.kind == kind]

    def create(self, kind: Kind, repo_id: str, *, private: bool = False) -> Repo:
        """Make a repository with the Hub's first commit, a `.gitattributes`.

        Raises:
            Refusal: There is one (409).
        """
        if (kind, repo_id) in self._repos:
            url = f"{self.url}/{self._repos[kind, repo_id].path}"
            raise Refusal(409, f"You already created this {kind} repo", url=url)
        repo = self._repos[kind, repo_id] = Repo(kind, repo_id, self.contents, private)
        first = self.contents.file(ATTRIBUTES, self.contents.add(attributes.DEFAULT.encode()), lfs=False)
        repo.branches["main"] = repo.graft({ATTRIBUTES: first}, (), repo.owner, "initial commit").oid
        return repo

    def remove(self, repo: Repo) -> None:
        """Forget a repository."""
        del self._repos[repo.kind, repo.id]

    def move(self, repo: Repo, repo_id: str) -> None:
        """Give a repository another name.

        Raises:
            Refusal: The name is taken (409).
        """
        if (repo.kind, repo_id) in self._repos:
            raise Refusal(409, f"A {repo.kind} of the name {repo_id} exists")
        self.remove(repo)
        repo.id = repo_id
        self._repos[repo.kind, repo_id] = repo

    def sign(self, *parts: str) -> str:
        """Return the signature of an address: whoever has it needs no token, as with a bucket's."""
        return hmac.new(b"loopback", "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:32]
