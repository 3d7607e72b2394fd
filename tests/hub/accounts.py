"""Who may do what on the loopback Hub: users, organisations, tokens with read or write rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.hub.store import Refusal, Repo

Role = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Token:
    """An access token: whose it is and what it allows."""

    value: str
    user: str
    role: Role


class Accounts:
    """Users, organisations and tokens."""

    def __init__(self) -> None:
        self.orgs: dict[str, dict[str, Role]] = {}
        self._tokens: dict[str, Token] = {}

    def add_token(self, user: str, role: Role) -> str:
        """Return a new token of `user`, who is made if new."""
        value = f"hf_{user}_{role}_{len(self._tokens)}"
        self._tokens[value] = Token(value, user, role)
        return value

    def identify(self, authorization: str | None) -> Token | None:
        """Return the token of an `Authorization` header, None without one.

        Raises:
            Refusal: The token is unknown (401).
        """
        if authorization is None:
            return None
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return token

    def orgs_of(self, user: str) -> dict[str, Role]:
        """Return the organisations of a user and the user's role in each."""
        return {org: members[user] for org, members in self.orgs.items() if user in members}

    def may_read(self, repo: Repo, token: Token | None) -> bool:
        """Tell whether the repository exists for that token."""
        return not repo.private or (token is not None and self._role(token.user, repo.owner) is not None)

    def may_write_to(self, owner: str, token: Token) -> bool:
        """Tell whether the token may write in a namespace."""
        return token.role == "write" and self._role(token.user, owner) == "write"

    def require_read(self, repo: Repo | None, token: Token | None) -> Repo:
        """Return the repository if it exists for that token.

        Raises:
            Refusal: It does not: 404 with a token, 401 without. The code is sent with the 401 too, because
                the client tells a 401 of a repository by an address with https, which a loopback server has not.
        """
        if repo is None or not self.may_read(repo, token):
            if token is None:
                raise Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return repo

    def require_content(self, repo: Repo, token: Token | None) -> None:
        """Refuse the files of a gated repository to those without a grant (401 or 403, GatedRepo)."""
        if not repo.gated or (
            token is not None and (token.user in repo.granted or self._role(token.user, repo.owner))
        ):
            return
        text = f"Access to {repo.kind} {repo.id} is restricted."
        if token is None:
            raise Refusal(
                401, f"{text} You must have access to it and be authenticated to access it.", "GatedRepo"
            )
        raise Refusal(403, f"{text} Visit the page of {repo.id} to ask for access.", "GatedRepo")

    def require_write(self, repo: Repo, token: Token | None, *, pull_request: bool = False) -> Token:
        """Return the token if it may change the repository, or with `pull_request` propose a change.

        Raises:
            Refusal: There is no token (401), or it has not the right (403).
        """
        if token is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        if token.role != "write":
            raise Refusal(403, "Forbidden: you must use a write token to upload to a repository.")
        if not pull_request and not self.may_write_to(repo.owner, token):
            raise Refusal(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        return token

    def _role(self, user: str, owner: str) -> Role | None:
        return "write" if user == owner else self.orgs.get(owner, {}).get(user)
