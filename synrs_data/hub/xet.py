"""Upload by Git LFS where a server has no Xet: the Hub's client with hf_xet has no way back of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synrs_data.hub.session import Session

_ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_NOT_YET = {"RepoNotFound", "RevisionNotFound"}


@contextlib.contextmanager
def with_lfs_if_no_xet(session: Session, revision: str, *, create_pr: bool) -> Iterator[None]:
    """Switch Xet off in the block if the server answers that it has none; HF_HUB_DISABLE_XET spares the question.

    Args:
        session: The repository, which exists.
        revision: Where will be committed.
        create_pr: Whether that opens a pull request.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]
    from huggingface_hub.utils._runtime import is_xet_available

    if not is_xet_available():
        yield
        return

    def has_xet() -> bool:
        # The address of the token with which hf_xet would begin (huggingface_hub/utils/_xet.py).
        url = f"{session.api.endpoint}/api/datasets/{session.repo}/xet-write-token/{revision}"
        answer = get_session().get(
            url, params={"create_pr": "1"} if create_pr else {}, headers=session.headers()
        )
        # A 404 with such a code is about the repository: not every part of the Hub knows a new one at once.
        if answer.status_code in _ABSENT and answer.headers.get("X-Error-Code") not in _NOT_YET:
            return False
        hf_raise_for_status(answer)
        return True

    before = constants.HF_HUB_DISABLE_XET
    try:
        # The variable is read at import alone, the constant whenever it matters (utils/_runtime.py, is_xet_available).
        constants.HF_HUB_DISABLE_XET = not session.ask(has_xet)
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before
