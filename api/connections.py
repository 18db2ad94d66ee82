"""Limits and deadlines of connections, from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp

from stemline.api import errors
from stemline.api.http.connection import Connection
from stemline.api.http.descriptors import allowed_connections
from stemline.api.http.exchange import header_line
from stemline.api.http.listener import Listener
from stemline.api.http.registry import ConnectionRegistry
from stemline.api.http.states import State
from stemline.api.http.tls import server_context
from stemline.api.http.turns import Turns
from stemline.jobs.errors import RequestRefused
from stemline.runtime.compat.uvicorn import ServerState
from stemline.runtime.settings import Settings
from stemline.wire.codec import XML
from stemline.wire.ids import new_request_id

#: Requests that one process works on at a time: as many as it has threads.
REQUESTS_AT_A_TIME: Final = 16
#: The application answers a slow body itself; the connection ends a little later in any case, s.
_BODY_MARGIN_S: Final = 5
#: The application ends a stream of events itself; the connection ends a little later in any case, s.
_STREAM_MARGIN_S: Final = 60
_DRAIN_S: Final = 2
_CLOSE_S: Final = 5


def prepare(
    settings: Settings, app: ASGIApp, state: ServerState, app_state: dict[str, Any]
) -> Callable[[asyncio.AbstractEventLoop], Connection]:
    """Return what makes the connections of one listening socket."""
    return partial(Connection, listener(settings, app, state, app_state))


def listener(settings: Settings, app: ASGIApp, state: ServerState, app_state: dict[str, Any]) -> Listener:
    """Return what the connections of one socket share: the application, limits and deadlines.

    Args:
        settings: Limits and deadlines.
        app: The application.
        state: State of the server.
        app_state: Of the application; its ``connection_ended`` is called with the reason why the server ended
            a connection.
    """
    server = settings.server
    return Listener(
        app=app,
        registry=ConnectionRegistry(
            limit=allowed_connections(server.max_connections),
            limit_per_client=server.max_connections_per_client,
            memory_limit=server.connection_memory_bytes,
        ),
        turns=Turns(REQUESTS_AT_A_TIME),
        deadlines={
            State.HANDSHAKE: server.header_timeout_s,
            State.IDLE: server.idle_timeout_s,
            State.HEAD: server.header_timeout_s,
            State.QUEUED: server.answer_timeout_s,
            State.BODY: server.body_timeout_s + _BODY_MARGIN_S,
            State.HANDLING: server.answer_timeout_s,
            State.STREAMING: server.event_stream_s + _STREAM_MARGIN_S,
            State.WRITING: server.write_timeout_s,
            State.DRAINING: _DRAIN_S,
            State.CLOSING: _CLOSE_S,
        },
        max_head_bytes=server.max_header_bytes,
        refusal=lambda reason: refusal(reason, state.default_headers),
        on_forced_end=app_state.get("connection_ended", lambda _: None),
        state=state,
        app_state=app_state,
        tls=server_context(server.tls_certificate, server.tls_key) if server.tls_certificate else None,
    )


def refusal(reason: str, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the response to what is not a request, in the form of the wire's errors."""
    error, request_id = RequestRefused(reason), new_request_id()
    content = errors.body(error, resource="/", request_id=request_id)
    headers = [
        *default_headers,
        (b"Content-Type", XML.encode()),
        (b"Content-Length", str(len(content)).encode()),
        (b"Connection", b"close"),
        *(
            (f"x-{name}".encode(), request_id.encode())
            for name in ("ci-request-id", "cos-request-id", "ci-trace-id")
        ),
    ]
    lines = b"".join(header_line(*header) for header in headers)
    return b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + content
