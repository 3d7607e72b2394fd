"""The loopback Hub for the tests of this folder."""

import pytest

from tests.hub.fixture import hub, hub_client, hub_server, xet_client
from tests.hub.server import Hub
from tests.hub.tiles import PATH

__all__ = ["hub", "hub_client", "hub_server", "xet_client"]


@pytest.fixture
def alice(hub: Hub) -> str:
    """Return a token of the owner of an empty dataset."""
    hub.create(PATH)
    return hub.add_token("alice")
