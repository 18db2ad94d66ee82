"""The HTTP server: uvicorn starts and stops it, :mod:`stemline.api.http` serves its connections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from stemline.api.connections import prepare
from stemline.runtime.compat.uvicorn import ProtocolFactory
from stemline.runtime.settings import Settings

SERVER: Final = "tencent-ci"
SHUTDOWN_GRACE_S: Final = 20


def configure(
    app: ASGIApp | Callable[[], ASGIApp],
    settings: Settings,
    *,
    host: str,
    port: int,
    processes: int = 1,
    factory: bool = False,
) -> uvicorn.Config:
    """Return how uvicorn serves the application.

    Args:
        app: The application, or what returns it in each of the processes.
        settings: Limits, and the certificate if there is one.
        host: Address to listen on.
        port: Port to listen on.
        processes: How many serve the port; more than one need a factory, and all that can be pickled.
        factory: Whether ``app`` returns the application.
    """
    http: Any = ProtocolFactory(partial(prepare, settings))
    return uvicorn.Config(
        app,
        factory=factory,
        workers=processes,
        host=host,
        port=port,
        http=http,
        ws="none",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        headers=[("Server", SERVER)],
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )
