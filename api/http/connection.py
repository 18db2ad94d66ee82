"""One client's connection as a state machine: every state has a deadline, every buffer a bound.

::

    HANDSHAKE → IDLE → HEAD → BODY → HANDLING → IDLE …      WRITING: the client does not read its answer
                                       └→ DRAINING → CLOSING   (answered before the body's end)

The state follows from what is there (see ``_current_state``); a deadline is set when the state changes and
only then, so bytes that change nothing, such as blank lines, do not prolong anything.

- Everything that is not body (request line, headers, chunk framing and extensions, trailers, blank lines) is
  counted in one budget for each request.
- The parser is fed small pieces, and nothing more while a request is being answered: a client that sends
  requests without reading answers fills its own socket, not our memory.
- Trailers are discarded. ``Upgrade`` is ignored: the request is served as HTTP/1.1, as RFC 9110 7.8 allows.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote

import httptools
import structlog
from starlette.types import ASGIApp

from stemline.api.http.exchange import Exchange
from stemline.api.http.registry import ConnectionRegistry
from stemline.runtime.compat.uvicorn import ServerState
from stemline.runtime.compat.uvloop import start_tls

log = structlog.get_logger(__name__)

MAX_HEADERS = 100
#: Bytes given to the parser at once: at most 14 of the shortest requests, which bounds the queue.
PIECE_BYTES = 256
#: Bytes read from a socket at once, and so the most that waits unparsed.
READ_BYTES = 16_384
#: Bytes thrown away after an early answer, so that the client can read it before the connection ends.
MAX_DRAIN_BYTES = 1 << 20


class State(Enum):
    """What a connection is waiting for."""

    HANDSHAKE = auto()
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    HANDLING = auto()
    WRITING = auto()
    DRAINING = auto()
    CLOSING = auto()


_WAITING = frozenset({State.HANDSHAKE, State.IDLE, State.HEAD})
"""States in which a connection may be closed to make room for another."""


@dataclass(slots=True)
class ServerContext:
    """What all connections of one process share."""

    app: ASGIApp
    registry: ConnectionRegistry
    deadlines: dict[State, float]
    """Seconds after which a state ends the connection."""
    max_head_bytes: int
    """Most bytes of a request that are not its body."""
    refusal: Callable[[str], bytes]
    """Makes the answer to what is not a request, with the reason given."""
    state: ServerState
    """uvicorn's: open connections, running tasks, headers of every answer."""
    app_state: dict[str, Any]
    """What the application's lifespan has made."""
    tls: ssl.SSLContext | None = None
    buffer: bytearray = field(default_factory=lambda: bytearray(READ_BYTES))
    """Where sockets are read into; emptied before the next one is read."""


class Connection(asyncio.BufferedProtocol):
    """Reads requests one after the other, runs the application, writes its answers."""

    def __init__(self, context: ServerContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._state = State.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._addresses: dict[str, Any] = {}
        # reading
        self._unparsed = bytearray()
        self._overhead = 0
        self._in_head = False
        self._skip_head = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._refusal = ""
        self._requests = 0
        # answering
        self._incoming: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self._drained = 0
        self._draining = False
        self._closing = False
        self._stopping = False

    # -- the transport's side

    def connection_made(self, transport: Any) -> None:
        """Count the connection; begin the TLS handshake where TLS is served."""
        if self._state is State.HANDSHAKE:
            self._transport = transport  # TLS is established
            self._enter(State.IDLE)
            return
        self._transport = transport
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._addresses = {
            "client": tuple(peer[:2]) if isinstance(peer, tuple) else None,
            "server": tuple(own[:2]) if isinstance(own, tuple) else None,
            "scheme": "https" if self._context.tls else "http",
        }
        self._context.state.connections.add(self)  # type: ignore[arg-type]
        client = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._context.registry.admit(self, client):
            log.warning("connection.refused", client=client)
            self._closing = True
            transport.abort()
        elif self._context.tls is None:
            self._enter(State.IDLE)
        else:
            self._enter(State.HANDSHAKE)
            self._start_tls(self._context.tls)

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        """Put TLS between the socket and this connection."""
        finished = start_tls(
            self._loop,
            self._transport,
            self,
            tls,
            handshake_timeout_s=self._context.deadlines[State.HANDSHAKE],
            shutdown_timeout_s=self._context.deadlines[State.CLOSING],
        )
        finished.add_done_callback(self._on_handshake)

    def _on_handshake(self, finished: asyncio.Future[None]) -> None:
        if finished.cancelled() or finished.exception() is not None:
            log.debug("connection.handshake_failed")
            self.connection_lost(None)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's interface
        """Return where to read into."""
        return self._context.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if self._closing:
            return
        if self._draining:
            self._drained += nbytes
            if self._drained > MAX_DRAIN_BYTES:
                self.abort()
            return
        self._unparsed += memoryview(self._context.buffer)[:nbytes]
        self._parse()

    def eof_received(self) -> None:
        """The client sends nothing more: the transport closes itself."""

    def pause_writing(self) -> None:
        """The client does not read what was written."""
        self._writable.clear()
        self._update()

    def resume_writing(self) -> None:
        """The client has read enough to go on."""
        self._writable.set()
        self._update()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        """The connection is over, whoever ended it."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._context.registry.remove(self)
        self._context.state.connections.discard(self)
        for exchange in (self._current, self._incoming, *self._queue):
            if exchange is not None:
                exchange.disconnect()
        self._queue.clear()
        self._unparsed.clear()
        self._writable.set()

    # -- uvicorn's side

    def shutdown(self) -> None:
        """End the connection as soon as the current request is answered."""
        self._stopping = True
        if self._current is None:
            self.close()
        else:
            self._current.keep_alive = False

    # -- states

    def _current_state(self) -> State:
        if self._closing:
            return State.CLOSING
        if self._draining:
            return State.DRAINING
        if self._current is None:
            return State.HEAD if self._in_head else State.IDLE
        if not self._writable.is_set():
            return State.WRITING
        return State.HANDLING if self._current.body_complete else State.BODY

    def _update(self) -> None:
        """Notice a change of state; read on or not."""
        if self._refusal and self._current is None and not self._closing and not self._draining:
            self._answer_refusal()
        state = self._current_state()
        if state is not self._state:
            self._enter(state)
        if not self._closing:
            if self._unparsed:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _enter(self, state: State) -> None:
        self._state = state
        if self._timer is not None:
            self._timer.cancel()
        first = state is State.IDLE and not self._requests
        after = self._context.deadlines[State.HEAD if first else state]
        self._timer = self._loop.call_later(after, self._on_deadline)
        self._context.registry.set_waiting(self, waiting=state in _WAITING)

    def _on_deadline(self) -> None:
        self._timer = None
        if self._state is State.HEAD:
            after = self._context.deadlines[State.HEAD]
            self._refuse(f"The request's headers did not arrive in {after:g} s.")
            self._unparsed.clear()
            self._update()
        elif self._state in {State.IDLE, State.DRAINING} and not self._transport.is_closing():
            self.close()
        else:
            log.info("connection.timed_out", state=self._state.name.lower())
            self.abort()

    def close(self) -> None:
        """Close when everything written is sent, or a few seconds later in any case."""
        self._closing = True
        self._update()
        self._transport.close()

    def abort(self) -> None:
        """Close without sending what is still buffered."""
        self._closing = True
        self._transport.abort()

    # -- reading requests

    def _may_parse(self) -> bool:
        if self._closing or self._draining or self._refusal or self._queue:
            return False
        current = self._current
        return current is None or not (current.body_complete or current.is_full)

    def _parse(self) -> None:
        while self._unparsed and self._may_parse():
            piece = bytes(self._unparsed[:PIECE_BYTES])
            del self._unparsed[:PIECE_BYTES]
            self._feed(piece)
        self._update()

    def _feed(self, piece: bytes) -> None:
        self._overhead += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            log.debug("request.malformed", reason=str(error))
            self._refuse("The request is not valid HTTP.")
        if self._overhead > self._context.max_head_bytes:
            most = self._context.max_head_bytes
            self._refuse(f"The head of the request is larger than {most} bytes.")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as HTTP/1.1: a new parser takes the body, told its framing by a head of ours."""
        framing = [
            name + b": " + value + b"\r\n"
            for name, value in self._headers
            if name in {b"content-length", b"transfer-encoding"}
        ]
        self._parser = httptools.HttpRequestParser(self)
        self._skip_head = True
        self._parser.feed_data(
            b"POST / HTTP/1.1\r\n" + (b"".join(framing) or b"content-length: 0\r\n") + b"\r\n"
        )
        self._skip_head = False
        if rest:
            self._overhead -= len(rest)
            self._feed(rest)

    def _refuse(self, reason: str) -> None:
        self._refusal = self._refusal or reason

    def _answer_refusal(self) -> None:
        self._transport.write(self._context.refusal(self._refusal))
        self._drain_client()

    def _drain_client(self) -> None:
        """Let the client read the answer: a connection closed on unread data is reset."""
        self._draining = True
        self._unparsed.clear()
        self._queue.clear()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # -- the parser's side

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._skip_head:
            self._in_head = True
            self._url = b""
            self._headers = []

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        if not self._skip_head:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is discarded."""
        if self._skip_head or not self._in_head:
            return
        self._headers.append((name.lower(), value))
        if len(self._headers) > MAX_HEADERS:
            self._refuse(f"A request may have {MAX_HEADERS} headers.")

    def on_headers_complete(self) -> None:
        """Begin to handle the request, or queue it behind the current one."""
        if self._skip_head or self._refusal:
            return
        self._in_head = False
        self._requests += 1
        target = _parse_target(self._url)
        if target is None:
            self._refuse("The request target is not valid.")
            return
        version = self._parser.get_http_version()
        scope = self._scope(target, version)
        expects = any(n == b"expect" and v.lower() == b"100-continue" for n, v in self._headers)
        keep_alive = (version == "1.1" and self._parser.should_keep_alive()) or b"upgrade" in dict(
            self._headers
        )
        exchange = Exchange(self, scope, keep_alive=bool(keep_alive), expects_continue=expects)
        scope["state"]["exchange"] = exchange
        self._incoming = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._overhead -= len(body)
        if self._incoming is not None and not self._incoming.answer_complete:
            self._incoming.add_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._parser.should_upgrade() or self._incoming is None:
            return  # an upgrade is ignored: the body still comes
        self._overhead = 0
        self._incoming.end_body()
        self._incoming = None

    def _scope(self, target: _Target, version: str) -> dict[str, Any]:
        state = dict(self._context.app_state)
        if target.authority is not None:
            state["authority"] = target.authority
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(target.path.decode("ascii")),
            "raw_path": target.path,
            "query_string": target.query,
            "headers": self._headers,
            "state": state,
            **self._addresses,
        }

    # -- answering

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        task = self._loop.create_task(exchange.run(self._context.app))
        self._context.state.tasks.add(task)
        task.add_done_callback(self._context.state.tasks.discard)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Date and Server."""
        return self._context.state.default_headers

    def write(self, data: bytes) -> None:
        """Send data, unless the connection is over."""
        if not self._closing:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""
        await self._writable.wait()

    def body_wanted(self) -> None:
        """Go on reading the request's body."""
        self._parse()

    def answered(self, exchange: Exchange) -> None:
        """Go on to the next request, or end the connection."""
        self._context.state.total_requests += 1
        self._current = None
        if self._closing:
            return
        if not exchange.body_complete:
            self._drain_client()
        elif not exchange.keep_alive or self._stopping:
            self.close()
        self._update()
        if not self._closing and not self._draining:
            if self._queue:
                self._begin(self._queue.popleft())
            self._parse()


@dataclass(frozen=True, slots=True)
class _Target:
    path: bytes
    query: bytes
    authority: str | None
    """Host and port of an absolute target, as a proxy's client sends it."""


def _parse_target(url: bytes) -> _Target | None:
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return None
    if parsed.path is None or not parsed.path.isascii():
        return None
    host = parsed.host.decode("latin-1") if parsed.host is not None else None
    return _Target(parsed.path, parsed.query or b"", host)
