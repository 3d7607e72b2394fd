"""Writing: preupload, the LFS batch with its uploads, and the commit."""

from __future__ import annotations

import base64
import hashlib
import json
from math import ceil
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.hub import attributes, payloads
from tests.hub.call import Call
from tests.hub.discussions import open_pull
from tests.hub.store import Commit, Put, Refusal, Remove, Repo


def preupload(call: Call) -> Response:
    """Say of each file whether it goes to LFS, whether `.gitignore` hides it, and what is there already.

    LFS takes what `.gitattributes` names, what is large, and what looks binary: a sample with a NUL byte.
    """
    repo, _ = call.writable_at(call.param("rev"))
    commit, wanted = repo.resolve(call.param("rev")), call.json()
    rules, threshold = repo.attributes(commit), call.world.settings.lfs_threshold
    hidden = wanted.get("gitIgnore", _text(repo, commit, ".gitignore"))
    answers = []
    for asked in wanted["files"]:
        path, size = str(asked["path"]), int(asked["size"])
        binary = b"\0" in base64.b64decode(asked["sample"])
        lfs = attributes.is_lfs(path, rules) or size >= threshold or binary
        there = commit.files.get(path)
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": attributes.is_ignored(path, hidden),
                "oid": None if there is None else there.sha256 if there.lfs else there.oid,
            }
        )
    return JSONResponse({"files": answers})


def lfs_batch(call: Call) -> Response:
    """Say of each LFS object where to upload it; one that the repository has gets no actions.

    With a `ref` the caller must have the right to write; without, as for a pull request, a token is enough.
    """
    wanted = call.json()
    repo, _ = call.writable_at(wanted["ref"]["name"]) if "ref" in wanted else call.writable(pull_request=True)
    part_size = call.world.settings.part_size
    multipart = part_size is not None and "multipart" in wanted["transfers"]
    objects = []
    for asked in wanted["objects"]:
        oid, size = str(asked["oid"]), int(asked["size"])
        shown: dict[str, Any] = {"oid": oid, "size": size}
        if oid not in repo.lfs:
            upload = (
                _parts(call, repo, oid, size) if multipart else {"href": _signed(call, "upload", repo, oid)}
            )
            verify = {"href": f"{call.world.url}/{repo.path}.git/info/lfs/objects/verify"}
            shown["actions"] = {"upload": upload, "verify": verify}
        objects.append(shown)
    return JSONResponse({"transfer": "multipart" if multipart else "basic", "objects": objects})


def lfs_put(call: Call) -> Response:
    """Take an LFS object at a signed address; no token is needed or looked at.

    Raises:
        Refusal: The signature is wrong (403), the content has another sha256 (400).
    """
    repo, oid = _signed_target(call, "upload")
    _keep(call, repo, oid, call.body)
    return Response(headers={"ETag": f'"{hashlib.md5(call.body, usedforsecurity=False).hexdigest()}"'})


def lfs_put_part(call: Call) -> Response:
    """Take one part of an LFS object."""
    _, oid = _signed_target(call, "part")
    call.world.parts.setdefault(oid, {})[int(call.param("number"))] = call.body
    return Response(headers={"ETag": f'"{hashlib.md5(call.body, usedforsecurity=False).hexdigest()}"'})


def lfs_complete(call: Call) -> Response:
    """Join the parts of an LFS object."""
    repo, oid = _signed_target(call, "complete")
    parts = call.world.parts.pop(oid, {})
    _keep(call, repo, oid, b"".join(parts.get(int(part["partNumber"]), b"") for part in call.json()["parts"]))
    return JSONResponse({})


def lfs_verify(call: Call) -> Response:
    """Answer 200 if the object is there with that size, else 404."""
    repo, wanted = call.repo(), call.json()
    if wanted["oid"] not in repo.lfs or len(call.world.contents[wanted["oid"]]) != wanted["size"]:
        raise Refusal(404, "LFS object not found")
    return JSONResponse({})


def commit(call: Call) -> Response:
    """Make one commit from a list of operations, or with `create_pr` a pull request of one commit."""
    create_pr, revision = call.flag("create_pr"), call.param("rev")
    repo, token = call.writable_at(revision)
    pull = call.pull(revision)
    lines = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    edits = [_edit(line["key"], line["value"]) for line in lines if line["key"] != "header"]
    for edit in edits:
        if edit.path == "README.md" and isinstance(edit, Put) and edit.content is not None:
            payloads.metadata(edit.content)
    title, message, parent = header["summary"], header.get("description", ""), header.get("parentCommit")
    if create_pr:
        if revision not in repo.branches:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        # A pull request that starts at a parent cannot be stale.
        status, num = call.world.settings.pr_status, len(repo.discussions) + 1
        pull = open_pull(
            repo, num, author=token.user, title=title, status=status, base=revision, start=parent
        )
        revision, parent = pull.ref, None
    try:
        made = repo.commit(
            edits, revision=revision, author=token.user, title=title, message=message, parent=parent
        )
    except Refusal:
        if create_pr:
            del repo.pull_refs[revision]
        raise
    answer = {
        "success": True,
        "commitOid": made.oid,
        "commitUrl": f"{call.world.url}/{repo.path}/commit/{made.oid}",
    }
    if pull is not None:
        pull.note("commit", token.user, subject=title, oid=made.oid)
    if create_pr and pull is not None:
        repo.discussions.append(pull)
        if message:
            pull.comment(token.user, message)
        answer["pullRequestUrl"] = f"{call.world.url}/{repo.path}/discussions/{pull.num}"
    return JSONResponse(answer)


def _edit(key: str, value: dict[str, Any]) -> Put | Remove:
    if key == "file":
        return Put(value["path"], base64.b64decode(value["content"]))
    if key == "lfsFile":
        return Put(value["path"], sha256=value["oid"])
    if key in ("deletedFile", "deletedFolder"):
        return Remove(value["path"], folder=key == "deletedFolder")
    raise Refusal(400, f"Unknown operation {key}")


def _text(repo: Repo, at: Commit, path: str) -> str:
    return repo.contents[at.files[path].sha256].decode() if path in at.files else ""


def _keep(call: Call, repo: Repo, oid: str, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != oid:
        raise Refusal(400, "The content does not match its sha256")
    repo.lfs.add(call.world.contents.add(content))


def _parts(call: Call, repo: Repo, oid: str, size: int) -> dict[str, Any]:
    part_size = call.world.settings.part_size
    assert part_size is not None
    numbers = range(1, ceil(size / part_size) + 1)
    addresses = {f"{number:05d}": _signed(call, "part", repo, oid, number) for number in numbers}
    return {
        "href": _signed(call, "complete", repo, oid),
        "header": {"chunk_size": str(part_size), **addresses},
    }


def _signed(call: Call, verb: str, repo: Repo, oid: str, number: int | None = None) -> str:
    tail = "" if number is None else f"/{number}"
    base = call.world.url if verb == "complete" else call.world.cdn_url
    return f"{base}/lfs/{verb}/{repo.kind}s/{repo.id}/{oid}{tail}?signature={call.world.sign(verb, repo.path, oid)}"


def _signed_target(call: Call, verb: str) -> tuple[Repo, str]:
    repo = call.world.find(call.kind, f"{call.param('owner')}/{call.param('name')}")
    oid = call.param("oid")
    if repo is None or call.query("signature") != call.world.sign(verb, repo.path, oid):
        raise Refusal(403, "SignatureDoesNotMatch")
    return repo, oid
