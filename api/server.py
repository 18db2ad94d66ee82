"""The HTTP server: uvicorn on httptools, with limits on what a request's head may cost."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api import errors
from api.codec import XML
from jobs.errors import RequestRefused
from jobs.ids import new_request_id
from jobs.settings import Settings

SERVER = "tencent-ci"
MAX_HEADERS = 100
KEEP_ALIVE_S = 75
GRACE_S = 20


def configure(app: ASGIApp, settings: Settings, *, host: str, port: int) -> uvicorn.Config:
    """How the application is served; TLS where the settings name a certificate."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol(settings),
        ws="none",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        headers=[("Server", SERVER)],
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until a signal comes."""
    from api.app import create_app  # noqa: PLC0415 - the tests serve applications of their own

    uvicorn.Server(configure(create_app(settings), settings, host=host, port=port)).run()


def protocol(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol class with this installation's limits."""
    return type("WireProtocol", (_WireProtocol,), {"settings": settings})


class _WireProtocol(HttpToolsProtocol):
    """Httptools with bounds on connections and on the size and the time of a request's head."""

    settings: Settings

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._refusal = ""
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.settings.max_connections:
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        most = self.settings.max_header_bytes
        if self._in_head and self._head_bytes > most and not self.transport.is_closing():
            self._turn_away(f"The head of the request is larger than {most} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._in_head = True
        if self._timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.settings.max_header_bytes or len(self.headers) > MAX_HEADERS:
            self._refuse(
                f"A request may have {MAX_HEADERS} headers of {self.settings.max_header_bytes} bytes in all."
            )
        try:
            parsed = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self._refuse("The request target is not valid.")
        if parsed.path is None or not parsed.path.isascii():
            self._refuse("The request target is not valid.")
        super().on_headers_complete()
        state = self.scope["state"]
        state["cycle"] = self.cycle
        if parsed.host is not None:
            state["authority"] = parsed.host.decode("latin-1")

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser gave up on; its own words are for the log."""
        self._turn_away(self._refusal or "The request is not valid HTTP.", log=msg)

    def _turn_away(self, reason: str, *, log: str = "") -> None:
        """The wire's form of an error for a request that is none."""
        self.logger.debug("%s", log or reason)
        error = RequestRefused(reason)
        request_id = new_request_id()
        content = errors.body(error, resource="/", request_id=request_id)
        headers = [(name.decode(), value.decode()) for name, value in self.server_state.default_headers]
        headers += [("content-type", XML), ("content-length", str(len(content))), ("connection", "close")]
        headers += [(name, request_id) for name in ("x-ci-request-id", "x-cos-request-id", "x-ci-trace-id")]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[error.status] + head.encode() + b"\r\n" + content)
        self.transport.close()

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        raise ValueError(reason)  # httptools turns it into a parser error, which ends in send_400_response

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.settings.header_timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._turn_away(f"The request's headers did not arrive in {self.settings.header_timeout_s:g} s.")
