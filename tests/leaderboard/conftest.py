"""The loopback Hub for the tests of this folder."""

from tests.hub.fixture import hub, hub_client, hub_server

__all__ = ["hub", "hub_client", "hub_server"]
