"""Our pull request on a repository: found again by author and title, so that there are never two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synrs_data.hub.session import Session


def find_pull_request(session: Session, user: str, title: str) -> int | None:
    """Return the number of the user's open pull request of that title, None if there is none.

    Drafts count: the Hub's client makes some pull requests so, and nobody can merge a draft.
    """

    def search() -> int | None:
        found = session.api.get_repo_discussions(
            session.repo, author=user, discussion_type="pull_request", repo_type="dataset"
        )
        return min(
            (pull.num for pull in found if pull.title == title and pull.status in ("open", "draft")),
            default=None,
        )

    return session.ask(search)


def open_draft(session: Session, number: int) -> None:
    """Set a pull request to open, if it is a draft."""

    def change() -> None:
        found = session.api.get_discussion_details(session.repo, number, repo_type="dataset")
        if found.status == "draft":
            session.api.change_discussion_status(session.repo, number, "open", repo_type="dataset")

    session.ask(change)
