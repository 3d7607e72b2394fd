"""Reading: `resolve` on the Hub, and the CDN to which it sends readers of LFS files."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.responses import Response

from tests.hub.call import Call
from tests.hub.store import Refusal

_REVISION = re.compile(r"(refs/(?:pr|convert)/[^/]+|[^/]+)/(.+)")
"""HfFileSystem leaves the slashes of `refs/pr/N` and `refs/convert/NAME` unquoted (hf_file_system.py)."""


def resolve(call: Call) -> Response:
    """Answer a regular file, or the way to an LFS file: 302 with its sha256 and size in the headers."""
    repo = call.repo()
    call.world.accounts.require_content(repo, call.token)
    match = _REVISION.fullmatch(str(call.request.path_params["rest"]))
    if match is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    commit, path = repo.resolve(unquote(match[1])), unquote(match[2])
    file = repo.entry(path, commit)
    headers = {
        "X-Repo-Commit": commit.oid,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
    }
    if not file.lfs:
        return _ranged(call, repo.contents[file.sha256], headers | {"ETag": f'"{file.oid}"'})
    signature = call.world.sign("object", file.sha256)
    return Response(
        f"Found. Redirecting to {call.world.cdn_url}",
        302,
        headers
        | {
            "Location": f"{call.world.cdn_url}/lfs/object/{file.sha256}?signature={signature}",
            "X-Linked-ETag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
        },
    )


def cdn_object(call: Call) -> Response:
    """Answer an LFS object at a signed address.

    Raises:
        Refusal: The signature is wrong (403).
    """
    sha256 = call.param("oid")
    if call.query("signature") != call.world.sign("object", sha256):
        raise Refusal(403, "SignatureDoesNotMatch")
    return _ranged(call, call.world.contents[sha256], {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})


def _ranged(call: Call, content: bytes, headers: dict[str, str]) -> Response:
    """Answer the content, or the part of it that a single `Range` asks for (RFC 9110, section 14)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.request.headers.get("range", ""))
    if match is None or not any(match.groups()):
        return Response(content, headers=headers, media_type="application/octet-stream")
    size = len(content)
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    last = min(size - 1, int(match[2])) if match[1] and match[2] else size - 1
    if first > last:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers = headers | {"Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(content[first : last + 1], 206, headers, media_type="application/octet-stream")
