"""A process says which address it cannot listen on, and what sets it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import uvicorn

from stemline.api import admin
from stemline.api.metrics import ApiMetrics
from stemline.runtime.compat.uvicorn import listen
from stemline.runtime.errors import AddressUnusable
from stemline.runtime.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that another process would use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_public_port_is_taken(taken: int) -> None:
    """The error names the option, the address and the reason."""
    with pytest.raises(AddressUnusable) as raised:
        listen(uvicorn.Config("nothing", port=taken, log_config=None), "--port")
    said = f"--port: the process cannot listen on 127.0.0.1:{taken}: Address already in use"
    said += "; choose another address, or end what uses this one"
    assert said == str(raised.value)


def test_the_port_of_the_metrics_is_taken(taken: int) -> None:
    """The error names the variable; the API does not start without its metrics."""
    settings = Settings(metrics_port=taken)
    serving = admin.serving(settings, ApiMetrics(), public=("127.0.0.1", 1))
    with pytest.raises(AddressUnusable, match=rf"STEMLINE_METRICS_PORT: .* 127\.0\.0\.1:{taken}: Address"):
        serving.__enter__()
