"""The dataset that the tests of the loopback Hub write to and read."""

from __future__ import annotations

import hashlib

from tests.hub.server import Hub
from tests.hub.store import ATTRIBUTES

REPO = "alice/tiles"
PATH = f"datasets/{REPO}"
CARD = b"---\nlicense: cc-by-4.0\ntags:\n- synthetic\n---\n# Tiles\n"
SHARD = bytes(range(256)) * 8
COMMIT = f"/api/{PATH}/commit/*"


def sha(content: bytes) -> str:
    """Return the sha256."""
    return hashlib.sha256(content).hexdigest()


def contents(hub: Hub, revision: str = "main") -> dict[str, str]:
    """Return the sha256 of the files of the dataset, less the Hub's own `.gitattributes`."""
    files = hub.repo(PATH).resolve(revision).sha256
    return {path: digest for path, digest in files.items() if path != ATTRIBUTES}


def titles(hub: Hub, revision: str = "main") -> list[str]:
    """Return the titles of its commits, newest first."""
    return [commit.title for commit in hub.repo(PATH).history(revision)]
