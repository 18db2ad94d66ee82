"""The HTTP server: uvicorn on httptools, with limits on connections and on the head of a request."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, ClassVar

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from stemline.api import errors, metrics
from stemline.api.app import create_app
from stemline.jobs.errors import RequestRefused
from stemline.runtime.logging import configure as configure_logging
from stemline.runtime.settings import Settings
from stemline.wire.codec import XML
from stemline.wire.errors import status_of
from stemline.wire.ids import new_request_id

SERVER = "tencent-ci"
MAX_HEADERS = 100
KEEP_ALIVE_S = 75
SHUTDOWN_GRACE_S = 20
TLS_CLOSE_S = 1


def configure(
    app: ASGIApp | str, settings: Settings, *, host: str, port: int, processes: int = 1
) -> uvicorn.Config:
    """Return the server configuration; with TLS if the settings name a certificate."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=processes,
        host=host,
        port=port,
        http="stemline.api.server:EnvironmentProtocol" if isinstance(app, str) else protocol(settings),
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
        ssl_certfile=settings.server.tls_certificate,
        ssl_keyfile=settings.server.tls_key,
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


def protocol(settings: Settings) -> type[asyncio.Protocol]:
    """Return the protocol class with the limits of these settings."""
    return type("BoundProtocol", (WireProtocol,), {"settings": settings})


class WireProtocol(HttpToolsProtocol):
    """Httptools protocol with limits on connections and on the size and time of a request's head."""

    settings: ClassVar[Settings]

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request's head."""
        super().connection_made(transport)
        self._refusal = ""
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.settings.server.max_connections:
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and count its input: it keeps an unfinished header in memory."""
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        most = self.settings.server.max_header_bytes
        if self._in_head and self._head_bytes > most and not self.transport.is_closing():
            self._reject(f"The head of the request is larger than {most} bytes.")

    def on_message_begin(self) -> None:
        """Start the timer of the next request's head."""
        super().on_message_begin()
        self._head_bytes = 0
        self._in_head = True
        if self._timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """Check the head and pass the authority of the request target to the application."""
        self._disarm()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.settings.server.max_header_bytes or len(self.headers) > MAX_HEADERS:
            most = self.settings.server.max_header_bytes
            self._refuse(f"A request may have {MAX_HEADERS} headers of {most} bytes in all.")
        try:
            parsed = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self._refuse("The request target is not valid.")
        if parsed.path is None or not parsed.path.isascii():
            self._refuse("The request target is not valid.")
        super().on_headers_complete()
        self.cycle.transport = _Capitalised(self.transport)  # type: ignore[assignment]
        state = self.scope["state"]
        state["cycle"] = self.cycle
        if parsed.host is not None:
            state["authority"] = parsed.host.decode("latin-1")

    def shutdown(self) -> None:
        """Close an idle connection; over TLS, do not wait for the client's close_notify."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(TLS_CLOSE_S, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser rejected; its message goes to the log."""
        self._reject(self._refusal or "The request is not valid HTTP.", log=msg)

    def _reject(self, reason: str, *, log: str = "") -> None:
        """Answer invalid HTTP with an error in the form of the wire, and close the connection."""
        self.logger.debug("%s", log or reason)
        error = RequestRefused(reason)
        request_id = new_request_id()
        content = errors.body(error, resource="/", request_id=request_id)
        headers = [(name.decode(), value.decode()) for name, value in self.server_state.default_headers]
        headers += [("Content-Type", XML), ("Content-Length", str(len(content))), ("Connection", "close")]
        headers += [(name, request_id) for name in ("x-ci-request-id", "x-cos-request-id", "x-ci-trace-id")]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status_of(error)] + head.encode() + b"\r\n" + content)
        self.transport.close()

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        raise ValueError(reason)  # httptools turns it into a parser error, which calls send_400_response

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.settings.server.header_timeout_s, self._time_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            limit = self.settings.server.header_timeout_s
            self._reject(f"The request's headers did not arrive in {limit:g} s.")


class _Capitalised:
    """A transport that capitalises header names, as in ``Content-Type``.

    Header names are case-insensitive, but the Python SDK looks some of them up in a plain ``dict``, and
    uvicorn writes lower case.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._in_head = True

    def write(self, data: bytes) -> None:
        if self._in_head and not data.startswith(b"HTTP/1.1 100"):
            self._in_head = False
            head, end, body = data.partition(b"\r\n\r\n")
            data = b"\r\n".join(_capitalised(line) for line in head.split(b"\r\n")) + end + body
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def _capitalised(line: bytes) -> bytes:
    """Return a header line with its name capitalised; the vendor writes its ``x-…`` names in lower case."""
    name, colon, value = line.partition(b":")
    return line if not colon or name.startswith((b"x-", b"HTTP/")) else name.title() + colon + value


class EnvironmentProtocol(WireProtocol):
    """Protocol with the limits of the environment, for processes that are started by import path."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Read the settings, once per process."""
        type(self).settings = _environment()
        super().__init__(*args, **options)


@cache
def _environment() -> Settings:
    return Settings()
