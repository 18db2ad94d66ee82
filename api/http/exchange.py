"""One request and its answer, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Iterable
from typing import Protocol

import structlog
from starlette.types import ASGIApp, Message, Scope

log = structlog.get_logger(__name__)

#: Body that is read ahead of the application, bytes; more waits in the socket.
READ_AHEAD_BYTES = 16_384

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_NO_BODY = frozenset({204, 304})


class Wire(Protocol):
    """What an exchange needs of its connection."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every answer."""

    def write(self, data: bytes) -> None:
        """Send data."""

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""

    def body_wanted(self) -> None:
        """Go on reading the request's body."""

    def answered(self, exchange: Exchange) -> None:
        """The answer is complete."""


class Exchange:
    """A request that arrives and an answer that leaves."""

    def __init__(self, wire: Wire, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.body_complete = False
        self.answer_complete = False
        self._wire = wire
        self._expects_continue = expects_continue
        self._body = bytearray()
        self._disconnected = False
        self._body_delivered = False
        self._changed = asyncio.Event()
        self._started = False
        self._chunked = False
        self._left: int | None = None
        """Bytes of the answer's body still to come; None if not declared."""

    @property
    def is_full(self) -> bool:
        """Whether no more of the body may be read before the application takes some."""
        return len(self._body) >= READ_AHEAD_BYTES

    # -- the connection's side

    def add_body(self, data: bytes) -> None:
        """Take a part of the request's body."""
        self._body += data
        self._changed.set()

    def end_body(self) -> None:
        """The request is complete."""
        self.body_complete = True
        self._changed.set()

    def disconnect(self) -> None:
        """The client is gone."""
        self._disconnected = True
        self._changed.set()

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer; a fault of its own is answered 500 if nothing was sent yet."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.answer_complete and not self._disconnected:
                raise RuntimeError("the application did not complete its answer")  # noqa: TRY301
        except Exception:
            log.exception("request.crashed")
            self.keep_alive = False
            if not self._started:
                await self.send(
                    {"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]}
                )
                await self.send({"type": "http.response.body"})
        finally:
            if not self.answer_complete:
                self.answer_complete = True
                self.keep_alive = False
                self._wire.answered(self)

    # -- the application's side

    async def receive(self) -> Message:
        """Return the next part of the request's body, or that the client is gone."""
        if self._expects_continue and not self._started and not self._disconnected:
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        if not self._body:
            self._wire.body_wanted()
        while not self._has_news():
            self._changed.clear()
            await self._changed.wait()
        if self._disconnected or self.answer_complete:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        self._body_delivered = self.body_complete
        return {"type": "http.request", "body": body, "more_body": not self.body_complete}

    def _has_news(self) -> bool:
        """Whether there is something to return; after the body, only that the client is gone."""
        body = bool(self._body) or (self.body_complete and not self._body_delivered)
        return body or self._disconnected or self.answer_complete

    async def send(self, message: Message) -> None:
        """Send the head or a part of the body of the answer."""
        await self._wire.drain()
        if self._disconnected or self.answer_complete:
            return
        if message["type"] == "http.response.start":
            self._send_head(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))

    def _send_head(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> None:
        headers = [*self._wire.default_headers, *given]
        names = {name.lower(): value for name, value in headers}
        if b"close" in names.get(b"connection", b"").lower() or not self.body_complete:
            self.keep_alive = False
        headers = [(name, value) for name, value in headers if name.lower() != b"connection"]
        headers.append((b"connection", b"keep-alive" if self.keep_alive else b"close"))
        if b"content-length" in names:
            self._left = int(names[b"content-length"])
        elif self.scope["method"] != "HEAD" and status not in _NO_BODY:
            self._chunked = self.scope["http_version"] != "1.0"
            if self._chunked:
                headers.append((b"transfer-encoding", b"chunked"))
            else:
                self.keep_alive = False
        if self.scope["method"] == "HEAD" or status in _NO_BODY:
            self._left = 0
        self._started = True
        line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()
        self._wire.write(line + b"".join(header_line(*header) for header in headers) + b"\r\n")

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] != "HEAD":
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0:
                    raise RuntimeError("the answer is longer than its Content-Length")
            if self._chunked and body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if self._chunked and not more:
                body += b"0\r\n\r\n"
            if body:
                self._wire.write(body)
        if not more:
            if self._left and self.scope["method"] != "HEAD":
                raise RuntimeError("the answer is shorter than its Content-Length")
            self.answer_complete = True
            self._changed.set()
            self._wire.answered(self)


def header_line(name: bytes, value: bytes) -> bytes:
    """Return a header line, its name spelled as ``Content-Type``.

    HTTP does not care, but the vendor's Python SDK looks some names up in a plain ``dict``. The vendor writes
    its own ``x-…`` names in lower case.

    Raises:
        ValueError: the name or the value would begin another line.
    """
    if b"\r" in name + value or b"\n" in name + value:
        raise ValueError("a header must be one line")
    name = name.lower()
    return (name if name.startswith(b"x-") else name.title()) + b": " + value + b"\r\n"
