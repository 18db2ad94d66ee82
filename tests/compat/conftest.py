"""The real API for the vendor's SDKs, and names that lead to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings

LOCAL = (".myqcloud.com", ".example.test", ".localhost", ".internal")


@pytest.fixture
def serve(valkey_server: ValkeyServer, valkey: redis.Redis) -> Iterator[Callable[..., ApiServer]]:
    """Starts API servers with settings of their own."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(
            ApiServer(api_settings(redis_url=valkey_server.url, **changes))
        )


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hosts file or a wildcard record does: these names are this machine."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        local = isinstance(text, str) and text.endswith(
            (".myqcloud.com", ".example.test", ".localhost", ".internal")
        )
        return resolve("127.0.0.1" if local else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
