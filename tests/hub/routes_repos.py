"""Accounts and repositories: whoami, create, settings, info, trees, commits, branches and tags."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from tests.hub import payloads
from tests.hub.call import Call
from tests.hub.store import Kind, Refusal, Repo
from tests.hub.world import KINDS


def whoami(call: Call) -> Response:
    """Say whose the token is and what it allows."""
    token = call.signed_in()
    orgs = [{"name": org, "roleInOrg": role} for org, role in call.world.accounts.orgs_of(token.user).items()]
    access = {"displayName": "test", "role": token.role}
    return JSONResponse(
        {
            "type": "user",
            "id": token.user,
            "name": token.user,
            "fullname": token.user,
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": access},
        }
    )


def create(call: Call) -> Response:
    """Make a repository in a namespace where the caller may write."""
    token, wanted = call.signed_in(), call.json()
    kind, owner = _kind(wanted), wanted.get("organization") or token.user
    if not call.world.accounts.may_write_to(owner, token):
        raise Refusal(403, f"You don't have the rights to create a {kind} under this namespace")
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    repo = call.world.create(kind, f"{owner}/{wanted['name']}", private=private)
    return JSONResponse({"url": f"{call.world.url}/{repo.path}", "name": repo.id})


def delete(call: Call) -> Response:
    """Delete a repository."""
    wanted = call.json()
    owner = wanted.get("organization") or call.signed_in().user
    call.world.remove(_owned(call, _kind(wanted), f"{owner}/{wanted['name']}"))
    return JSONResponse({})


def move(call: Call) -> Response:
    """Rename a repository."""
    wanted = call.json()
    call.world.move(_owned(call, _kind(wanted), str(wanted["fromRepo"])), str(wanted["toRepo"]))
    return JSONResponse({})


def settings(call: Call) -> Response:
    """Change visibility and gating."""
    repo, _ = call.writable()
    wanted = call.json()
    if "visibility" in wanted:
        repo.private = wanted["visibility"] == "private"
    if "gated" in wanted:
        repo.gated = wanted["gated"]
    return JSONResponse({"private": repo.private, "gated": repo.gated})


def listing(call: Call) -> Response:
    """List the repositories of a type that the caller may see, by author and a part of the name."""
    shown = [
        payloads.info(repo, repo.resolve())
        for repo in call.world.repos(call.kind)
        if call.world.accounts.may_read(repo, call.token)
        and call.query("author") in ("", repo.owner)
        and call.query("search").lower() in repo.id.lower()
    ]
    return call.page(shown)


def info(call: Call) -> Response:
    """Describe a repository; `expand` picks the fields, `blobs` adds sizes and hashes of files."""
    repo = call.repo()
    commit = repo.resolve(call.param("rev") if "rev" in call.request.path_params else "main")
    shown = payloads.info(repo, commit, blobs=call.flag("blobs"))
    params = call.request.query_params
    if wanted := params.getlist("expand") + params.getlist("expand[]"):
        shown = {key: value for key, value in shown.items() if key in {"_id", "id", *wanted}}
    return JSONResponse(shown)


def auth_check(call: Call) -> Response:
    """Answer 200 if the caller may read the files."""
    call.world.accounts.require_content(call.repo(), call.token)
    return JSONResponse({})


def auth_check_write(call: Call) -> Response:
    """Answer 200 if the caller may write."""
    call.writable()
    return JSONResponse({})


def tree(call: Call) -> Response:
    """List files and folders, 1000 a page, or 50 with their last commits."""
    repo, expand = call.repo(), call.flag("expand")
    folder = call.param("path").strip("/") if "path" in call.request.path_params else ""
    commit = repo.resolve(call.param("rev"))
    shown = payloads.tree(repo, commit, folder, recursive=call.flag("recursive"), expand=expand)
    return call.page(shown, size=min(50, call.world.settings.page_size) if expand else None)


def paths_info(call: Call) -> Response:
    """Describe the paths of a form, those that do not exist left out."""
    repo, form = call.repo(), parse_qs(call.body.decode())
    commit = repo.resolve(call.param("rev"))
    expand = form.get("expand", ["false"])[0].lower() == "true"
    return JSONResponse(payloads.path_entries(repo, commit, form.get("paths", []), expand=expand))


def commits(call: Call) -> Response:
    """List the commits of a revision, newest first."""
    return call.page([payloads.log_entry(commit) for commit in call.repo().history(call.param("rev"))])


def refs(call: Call) -> Response:
    """List branches and tags, and pull requests if asked."""
    repo = call.repo()

    def shown(names: dict[str, str], prefix: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": prefix + name, "targetCommit": oid} for name, oid in names.items()]

    found: dict[str, Any] = {
        "branches": shown(repo.branches, "refs/heads/"),
        "tags": shown(repo.tags, "refs/tags/"),
        "converts": [],
    }
    if call.flag("include_prs"):
        found["pullRequests"] = shown(repo.pull_refs, "")
    return JSONResponse(found)


def create_branch(call: Call) -> Response:
    """Make a branch at `startingPoint` or at the head of main."""
    repo, _ = call.writable()
    return _add_ref(
        repo.branches, call.param("branch"), repo.resolve(call.json().get("startingPoint", "main")).oid
    )


def delete_branch(call: Call) -> Response:
    """Delete a branch, never main."""
    repo, _ = call.writable()
    if call.param("branch") == "main":
        raise Refusal(403, "Cannot delete the branch main")
    return _delete_ref(repo.branches, call.param("branch"))


def create_tag(call: Call) -> Response:
    """Tag the revision that the path names."""
    repo, _ = call.writable()
    return _add_ref(repo.tags, str(call.json()["tag"]), repo.resolve(call.param("rev")).oid)


def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    repo, _ = call.writable()
    return _delete_ref(repo.tags, call.param("rev"))


def validate_yaml(call: Call) -> Response:
    """Check the YAML block of a card: its syntax, and that it is there."""
    block = payloads.metadata(str(call.json()["content"]).encode())
    warnings = [] if block else [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [], "warnings": warnings})


def _kind(wanted: dict[str, Any]) -> Kind:
    kind: str = wanted.get("type") or "model"
    return KINDS[f"{kind}s"]


def _owned(call: Call, kind: Kind, repo_id: str) -> Repo:
    accounts = call.world.accounts
    repo = accounts.require_read(call.world.find(kind, repo_id), call.token)
    accounts.require_write(repo, call.token)
    return repo


def _add_ref(names: dict[str, str], name: str, oid: str) -> Response:
    if name in names:
        raise Refusal(409, f"Reference {name} already exists")
    names[name] = oid
    return JSONResponse({})


def _delete_ref(names: dict[str, str], name: str) -> Response:
    if name not in names:
        raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
    del names[name]
    return JSONResponse({})
