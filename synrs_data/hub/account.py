"""Who publishes, and whether they may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synrs_data.errors import UserError
from synrs_data.hub.session import no_token

if TYPE_CHECKING:
    from synrs_data.hub.remote import RemoteState
    from synrs_data.hub.session import Session


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the Hub.

    Attributes:
        name: The user's name, empty without a token.
        namespaces: Where the user may write; None if the token does not say, as fine-grained ones do not.
    """

    name: str
    namespaces: frozenset[str] | None


def check_account(session: Session, *, dry_run: bool) -> Account:
    """Return whose token there is.

    Args:
        session: The repository.
        dry_run: Do without a token, or with one that cannot write.

    Raises:
        UserError: There is no token, the Hub does not know it, or it has no write rights.
    """
    from huggingface_hub.errors import LocalTokenNotFoundError

    def whoami() -> dict[str, Any] | None:
        try:
            return dict(session.api.whoami())
        except LocalTokenNotFoundError:
            return None

    answer = session.ask(whoami)
    if answer is None:
        if not dry_run:
            raise no_token(session.url, "there is no token")
        session.events.emit("warning", text="no token: a private repository looks as if there were none")
        return Account("", frozenset())
    role = answer.get("auth", {}).get("accessToken", {}).get("role", "")
    if role == "read" and not dry_run:
        raise no_token(session.url, "your token may only read")
    orgs = [org["name"] for org in answer.get("orgs", []) if org.get("roleInOrg") != "read"]
    known = role == "write"
    return Account(str(answer["name"]), frozenset({answer["name"], *orgs}) if known else None)


def check_repository(
    session: Session,
    account: Account,
    state: RemoteState | None,
    *,
    private: bool,
    create_pr: bool,
    dry_run: bool,
) -> None:
    """Check that the account may do to the repository what is asked.

    Raises:
        UserError: It may not, there is none to propose to, or a public one was asked to be private.
    """
    owner = session.repo.split("/")[0]
    if state is None:
        if create_pr:
            raise UserError(
                "there is no such dataset to propose to, or your token may not see it",
                where=session.url,
                fix="check the name, or leave `--create-pr` out to make a repository of your own",
            )
        if account.name and account.namespaces is not None and owner not in account.namespaces:
            raise UserError(
                f"you are '{account.name}' and may not make a repository of '{owner}'",
                where=session.url,
                fix=f"publish to {account.name}/{session.repo.split('/')[1]}, or ask '{owner}' for the right to write",
            )
        return
    if private and not state.private:
        raise UserError(
            "the repository is public, and publishing does not hide it",
            where=session.url,
            fix="make it private in its settings first, or leave `--private` out",
        )
    if not create_pr and not dry_run:
        session.ask(lambda: session.api.auth_check(session.repo, repo_type="dataset", write=True))
