"""One request and its response, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import http
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Scope

from stemline.api.http.reader import RequestHead
from stemline.api.http.states import State

log = structlog.get_logger(__name__)

#: Body read ahead of the application, bytes; more waits in the socket.
READ_AHEAD_BYTES: Final = 16_384
#: Media type of a response that has no end of its own.
EVENT_STREAM: Final = b"text/event-stream"

#: Name of the request's state with what gives its turn back for the length of a block: `Exchange.aside`.
ASIDE: Final = "aside"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_NO_BODY = frozenset({204, 304})


class Stream(Protocol):
    """What an exchange needs of its connection."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every response."""

    def write(self, data: bytes) -> None:
        """Send data."""

    @property
    def is_writable(self) -> bool:
        """Whether the client has read enough of what was written."""

    async def drain(self) -> None:
        """Wait until it has."""

    async def take_turn(self) -> None:
        """Wait until the application may work on this request."""

    def give_turn_back(self) -> None:
        """Let the application work on another request."""

    def read_on(self) -> None:
        """Continue to read the request's body."""

    def response_complete(self) -> None:
        """Read the next request."""


class Exchange:
    """A request that arrives and a response that leaves."""

    def __init__(self, stream: Stream, head: RequestHead, scope: Scope) -> None:
        self.keep_alive = head.keep_alive
        self._queued = True
        self._has_turn = False
        self._waits = 0
        """Tasks of the application that wait for the client, or for something that takes long."""
        self._streams = False
        self._hurried = False
        self.body_complete = not head.has_body
        self.response_complete = False
        self._stream = stream
        self._scope = scope
        self._version = head.version
        self._no_body = head.method == "HEAD"
        self._expects_continue = head.expects_continue
        self._reading = False
        self._asks = False
        """Whether the application waits for the body."""
        self._body = bytearray()
        self._body_delivered = False
        self._disconnected = False
        """Whether the client is gone, or can send no more of this body."""
        self._changed = asyncio.Event()
        self._started = False
        self._head = b""
        """The head of the response, until there is something to send it with."""
        self._chunked = False
        self._left: int | None = None
        """Bytes of the response's body still to come; None if not declared."""

    @property
    def state(self) -> State:
        """What the request waits for."""
        if self._queued:
            return State.QUEUED
        if self._streams:
            return State.STREAMING
        return State.BODY if self._asks and not self._has_news() else State.HANDLING

    @property
    def wants_body(self) -> bool:
        """Whether more of the body may be read: the application waits for it, or has begun to respond."""
        return self._reading and not self.body_complete and len(self._body) < READ_AHEAD_BYTES

    @property
    def buffered(self) -> int:
        """Bytes of the body that the application has not taken."""
        return len(self._body)

    # -- the connection's side

    def add_body(self, data: bytes) -> None:
        """Take a part of the request's body."""
        if not self.response_complete:
            self._body += data
            self._changed.set()

    def end_body(self) -> None:
        """The request is complete."""
        self.body_complete = True
        self._changed.set()

    def end_of_input(self) -> None:
        """No more of the body will come; the response is still wanted."""
        if not self.body_complete:
            self.disconnect()

    def disconnect(self) -> None:
        """The client is gone."""
        self._disconnected = True
        self._changed.set()

    def hurry(self) -> None:
        """Ask the application to complete a response that waits for something."""
        self._hurried = True
        self._changed.set()

    async def run(self, app: ASGIApp) -> None:
        """Let the application respond; its exceptions are answered 500 if nothing was sent yet."""
        await self._take_turn()
        self._queued = False
        if self.body_complete:
            self._stream.read_on()  # the state is another one now; a body is read when it is asked for
        self._scope.setdefault("state", {})[ASIDE] = self.aside
        try:
            if not self._disconnected:
                await app(self._scope, self._receive, self._send)
            if not self.response_complete and not self._disconnected:
                raise RuntimeError("the application did not complete its response")  # noqa: TRY301
        except asyncio.CancelledError:
            log.warning("request.cancelled")
            self._give_up(503)
            raise
        except Exception:
            log.exception("request.crashed")
            self._give_up(500)
        finally:
            self._scope["state"].pop(ASIDE, None)
            self._give_turn_back()
            if not self.response_complete:
                self.keep_alive = False
                self._complete()

    def _give_up(self, status: int) -> None:
        self.keep_alive = False
        if not self._started:
            self._send_head(status, [(b"content-length", b"0")])

    # -- the application's side

    async def _receive(self) -> Message:
        """Return the next part of the request's body, or that the client is gone."""
        if self._expects_continue and not self._started and not self._disconnected:
            self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        self._asks = not self.body_complete
        if not self._body and not self.body_complete:
            self._read_on()
        while not self._has_news():
            self._changed.clear()
            async with self.aside():
                await self._changed.wait()
        self._asks = False
        if self._disconnected or self.response_complete or (self.body_complete and self._body_delivered):
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        self._body_delivered = self.body_complete
        return {"type": "http.request", "body": body, "more_body": not self.body_complete}

    def _read_on(self) -> None:
        self._reading = True
        self._stream.read_on()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Let the application work on other requests for the length of a block, which waits for something."""
        self._waits += 1
        self._give_turn_back()
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                await self._take_turn()

    async def _take_turn(self) -> None:
        await self._stream.take_turn()
        self._has_turn = True

    def _give_turn_back(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._stream.give_turn_back()

    def _has_news(self) -> bool:
        """Whether there is something to return; after the body, only that no response is waited for."""
        body = bool(self._body) or (self.body_complete and not self._body_delivered)
        over = self._disconnected or self.response_complete
        return body or over or (self._hurried and self._body_delivered)

    async def _send(self, message: Message) -> None:
        """Send the head or a part of the body of the response."""
        if not self._stream.is_writable:
            async with self.aside():
                await self._stream.drain()
        if self.response_complete:
            return
        if message["type"] == "http.response.start":
            self._send_head(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))

    def _send_head(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> None:
        if not self.body_complete:
            self._read_on()  # a short body that has arrived spares the connection
        lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()]
        values: dict[bytes, bytes] = {}
        for name, value in (*self._stream.default_headers, *given):
            values[lower := name.lower()] = value
            if lower != b"connection":
                lines.append(header_line(name, value))
        if b"close" in values.get(b"connection", b"").lower() or not self.body_complete:
            self.keep_alive = False
        self._no_body |= status in _NO_BODY
        if b"content-length" in values:
            self._left = int(values[b"content-length"])
        elif self._version == "1.1" and not self._no_body:
            self._chunked = True
            lines.append(header_line(b"transfer-encoding", b"chunked"))
        elif not self._no_body:
            self.keep_alive = False  # the end of the connection is the end of the body
        lines.append(header_line(b"connection", b"keep-alive" if self.keep_alive else b"close"))
        self._started = True
        self._head = b"".join((*lines, b"\r\n"))
        self._streams = values.get(b"content-type", b"").startswith(EVENT_STREAM)
        if self._streams:
            self._write()  # the first event may come much later
            self._stream.read_on()  # nothing comes, but the deadline is another one now

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if not self._no_body:
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError("the response is not as long as its Content-Length says")
            if self._chunked:
                body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (
                    b"" if more else b"0\r\n\r\n"
                )
            self._write(body)
        if not more:
            self._complete()

    def _write(self, body: bytes = b"") -> None:
        """Send the head, unless it is sent, and a part of the body."""
        if data := self._head + body:
            self._head = b""
            self._stream.write(data)

    def _complete(self) -> None:
        self._write()
        self.response_complete = True
        self._body.clear()
        self._changed.set()
        self._stream.response_complete()


def header_line(name: bytes, value: bytes) -> bytes:
    """Return a header line, its name capitalised as in ``Content-Type``.

    Header names are case-insensitive, but the vendor's Python SDK looks some of them up in a plain ``dict``.
    The vendor writes its own ``x-…`` names in lower case.

    Raises:
        ValueError: The name or the value would begin another line.
    """
    if b"\r" in value or b"\n" in value:
        raise ValueError("a header must be one line")
    return _spelled(name) + value + b"\r\n"


@lru_cache(maxsize=256)
def _spelled(name: bytes) -> bytes:
    if not name or set(name) & set(b"\r\n: "):
        raise ValueError("a header's name must be a token")
    name = name.lower()
    return (name if name.startswith(b"x-") else name.title()) + b": "
