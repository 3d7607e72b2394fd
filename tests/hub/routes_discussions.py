"""Discussions and pull requests: open, list, show, comment, rename, change status, merge."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from tests.hub import payloads
from tests.hub.accounts import Token
from tests.hub.call import Call
from tests.hub.discussions import Discussion, merge, open_pull
from tests.hub.store import Refusal, Repo


def listing(call: Call) -> Response:
    """List discussions, newest first; by type, status and author."""
    repo = call.repo()
    wanted = {"pull_request": [True], "discussion": [False]}.get(call.query("type"), [True, False])
    shown = [
        payloads.discussion(repo, found)
        for found in reversed(repo.discussions)
        if found.is_pull_request in wanted
        and call.query("author") in ("", found.author)
        and call.query("status") in ("", "all", found.status)
    ]
    return JSONResponse({"discussions": shown, "count": len(shown), "start": 0})


def create(call: Call) -> Response:
    """Open a discussion, or a pull request without commits: a draft, as the client documents."""
    repo, token = call.writable(pull_request=True)
    wanted, num = call.json(), len(call.repo().discussions) + 1
    title = str(wanted["title"])
    if wanted.get("pullRequest"):
        opened = open_pull(repo, num, author=token.user, title=title, status="draft")
    else:
        opened = Discussion(num, token.user, title, "open")
    opened.comment(token.user, str(wanted.get("description", "")))
    repo.discussions.append(opened)
    return JSONResponse({"num": num, "pullRequest": opened.is_pull_request})


def show(call: Call) -> Response:
    """Show a discussion with its events."""
    return JSONResponse(payloads.discussion(*call.discussion()))


def comment(call: Call) -> Response:
    """Add a comment."""
    _, found, token = _changeable(call, anyone=True)
    return JSONResponse({"newMessage": found.comment(token.user, str(call.json()["comment"]))})


def rename(call: Call) -> Response:
    """Change the title."""
    _, found, token = _changeable(call)
    old, found.title = found.title, str(call.json()["title"])
    return JSONResponse(
        {"newTitle": found.note("title-change", token.user, **{"from": old, "to": found.title})}
    )


def status(call: Call) -> Response:
    """Open (also a draft) or close."""
    _, found, token = _changeable(call)
    wanted = call.json()
    if found.status == "merged" or wanted["status"] not in ("open", "closed"):
        raise Refusal(400, f"Cannot change the status from {found.status} to {wanted['status']}")
    if wanted.get("comment"):
        found.comment(token.user, str(wanted["comment"]))
    return JSONResponse({"newStatus": found.set_status(token.user, wanted["status"])})


def merge_pull(call: Call) -> Response:
    """Merge a pull request; only who may write to the repository can."""
    repo, found = call.discussion()
    token = call.world.accounts.require_write(repo, call.token)
    if not found.is_pull_request:
        raise Refusal(400, "This is not a pull request")
    merge(repo, found, author=token.user)
    if wanted := call.json().get("comment"):
        found.comment(token.user, str(wanted))
    return JSONResponse({})


def _changeable(call: Call, *, anyone: bool = False) -> tuple[Repo, Discussion, Token]:
    repo, found = call.discussion()
    mine = call.token is not None and call.token.user == found.author
    return repo, found, call.world.accounts.require_write(repo, call.token, pull_request=anyone or mine)
