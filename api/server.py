"""The HTTP server: uvicorn starts and stops it, :mod:`stemline.api.http` serves its connections."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess

from stemline.api import errors, metrics
from stemline.api.app import create_app
from stemline.api.http.connection import Connection, ServerContext, State
from stemline.api.http.exchange import header_line
from stemline.api.http.registry import ConnectionRegistry
from stemline.jobs.errors import RequestRefused
from stemline.runtime.logging import configure as configure_logging
from stemline.runtime.settings import Settings
from stemline.wire.codec import XML
from stemline.wire.ids import new_request_id

SERVER = "tencent-ci"
KEEP_ALIVE_S = 75
SHUTDOWN_GRACE_S = 20


def configure(
    app: ASGIApp | str, settings: Settings, *, host: str, port: int, processes: int = 1
) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    named = "stemline.api.server:environment_protocol"
    # uvicorn's annotation knows classes only, but it calls whatever it is given.
    factory: Any = named if isinstance(app, str) else ProtocolFactory(settings)
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=processes,
        host=host,
        port=port,
        http=factory,
        ws="none",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        headers=[("Server", SERVER)],
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )


def application() -> ASGIApp:
    """Return the application of a process that reads its settings from the environment."""
    settings = Settings()
    configure_logging(settings)
    return create_app(settings)


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 8000, processes: int = 1) -> None:
    """Serve until a signal, optionally with several processes on one port.

    Several processes read their settings from the environment; rate limits apply to each process.
    """
    if processes == 1:
        uvicorn.Server(configure(create_app(settings), settings, host=host, port=port)).run()
        return
    metrics.share()
    config = configure("stemline.api.server:application", settings, host=host, port=port, processes=processes)
    Multiprocess(config, sockets=[config.bind_socket()]).run()


class ProtocolFactory:
    """Makes the connections of one process, which share a registry and this installation's limits."""

    def __init__(self, settings: Settings) -> None:
        """Read limits and, where the settings name one, the certificate."""
        self._settings = settings
        self._context: ServerContext | None = None

    def __call__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        """Return the protocol of a new connection, as uvicorn asks for it."""
        if self._context is None or self._context.state is not server_state:
            self._context = _context(self._settings, config.loaded_app, server_state, app_state)
        return Connection(self._context, _loop or asyncio.get_running_loop())


def _context(
    settings: Settings, app: ASGIApp, state: ServerState, app_state: dict[str, Any]
) -> ServerContext:
    server = settings.server

    def refusal(reason: str) -> bytes:
        """The wire's form of an error for what is not a request."""
        error = RequestRefused(reason)
        request_id = new_request_id()
        content = errors.body(error, resource="/", request_id=request_id)
        headers = [*state.default_headers, (b"Content-Type", XML.encode())]
        headers += [(b"Content-Length", str(len(content)).encode()), (b"Connection", b"close")]
        names = (b"x-ci-request-id", b"x-cos-request-id", b"x-ci-trace-id")
        headers += [(name, request_id.encode()) for name in names]
        lines = b"".join(header_line(*header) for header in headers)
        return b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + content

    return ServerContext(
        app=app,
        registry=ConnectionRegistry(
            limit=server.max_connections, limit_per_client=server.max_connections_per_client
        ),
        deadlines={
            State.HANDSHAKE: server.header_timeout_s,
            State.IDLE: KEEP_ALIVE_S,
            State.HEAD: server.header_timeout_s,
            State.BODY: server.body_timeout_s + 5,  # the application answers first, in words
            State.HANDLING: server.answer_timeout_s,
            State.WRITING: server.write_timeout_s,
            State.DRAINING: 2,
            State.CLOSING: 5,
        },
        max_head_bytes=server.max_header_bytes,
        refusal=refusal,
        state=state,
        app_state=app_state,
        tls=_tls(server.tls_certificate, server.tls_key) if server.tls_certificate else None,
    )


def _tls(certificate: Any, key: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def environment_protocol(*args: Any, **options: Any) -> Connection:
    """Return the protocol of a new connection in a process that reads its settings from the environment."""
    return _environment_factory()(*args, **options)


@cache
def _environment_factory() -> ProtocolFactory:
    return ProtocolFactory(Settings())
