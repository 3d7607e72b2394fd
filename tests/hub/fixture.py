"""The fixtures of the loopback Hub. Another folder gets them by importing them in its conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.client import Client
from tests.hub.server import Hub


@pytest.fixture(scope="session")
def hub_server() -> Iterator[Hub]:
    """Serve one Hub for all tests."""
    server = Hub()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hub(hub_server: Hub) -> Iterator[Hub]:
    """Return an empty Hub; afterwards it must not have crashed, nobody left the machine, every fault struck."""
    hub_server.reset()
    yield hub_server
    hub_server.check()


@pytest.fixture(scope="session")
def hub_client(hub_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a process with the real client and no token, Xet off. Its cache lives as long as the session."""
    home = tmp_path_factory.mktemp("hub-client")
    client = Client(hub_server.env(home), home / "stderr.txt")
    yield client
    client.close()


@pytest.fixture(scope="session")
def xet_client(hub_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return such a process as on a user's machine: Xet is not switched off."""
    home = tmp_path_factory.mktemp("xet-client")
    client = Client(hub_server.env(home, xet=True), home / "stderr.txt")
    yield client
    client.close()
