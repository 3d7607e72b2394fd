"""A limit to silence: the Hub's client waits without end on a connection that stays open and says nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_CONNECT_S = 30.0


@contextlib.contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Let every request of the Hub's client in the block end when nothing is sent or received for so long.

    A request then fails like one whose connection broke, and whoever asked tries again. The limit is put into each
    request: a client made with one would not do, because most methods of `HfApi` have a `timeout` of their own that is
    None and overrides it (hf_api.py, `dataset_info`; utils/_http.py, `default_client_factory`).

    Args:
        seconds: How long nothing may happen.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    # There is no public way to ask for the factory; an application may have set its own, for a proxy or certificates.
    before = _http._GLOBAL_CLIENT_FACTORY

    def limit(request: Any) -> None:
        limits = request.extensions.get("timeout", {})
        own = {"connect": min(_CONNECT_S, seconds), "read": seconds, "write": seconds, "pool": None}
        request.extensions["timeout"] = {
            name: value if limits.get(name) is None else limits[name] for name, value in own.items()
        }

    def factory() -> Any:
        client = before()
        client.event_hooks["request"].append(limit)
        return client

    set_client_factory(factory)
    try:
        yield
    finally:
        set_client_factory(before)
