"""One client's connection as a state machine: every state has a deadline, every buffer a bound.

::

    HANDSHAKE → IDLE → HEAD → BODY → HANDLING → IDLE …
                         │        │      └→ STREAMING → IDLE …   the response is a stream of events
                         └────────┴→ DRAINING → CLOSING   the response comes before the request's end

    WRITING: from any of these, while the client does not read what was sent

The state follows from what there is (``_find_state``). A deadline is set when the state changes and at no
other time, so bytes that change nothing, such as blank lines, prolong nothing. A body that the application
handles in parts alternates between BODY and HANDLING; its times in BODY are added up.

One request is read at a time. While it is handled, nothing more is parsed, and what has arrived of the next
ones stays in the socket: a client that sends requests without reading responses takes no memory of ours.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

import structlog

from stemline.api.http.channel import Channel
from stemline.api.http.clients import client_of
from stemline.api.http.exchange import Exchange
from stemline.api.http.listener import Listener
from stemline.api.http.reader import BadRequest, Event, RequestEnd, RequestHead, RequestReader
from stemline.api.http.scope import scope_of
from stemline.api.http.states import State

log = structlog.get_logger(__name__)

#: Bytes thrown away after an early response, so that the client can read it before the connection ends.
MAX_DRAIN_BYTES: Final = 256 << 10
#: A timer may be due so much before its time.
_TIMER_PRECISION_S: Final = 0.002
#: Memory of a connection beside its buffers, bytes; measured.
CONNECTION_COST: Final = 6 << 10


class Connection(asyncio.BufferedProtocol):
    """Reads requests one after the other, runs the application, writes its responses."""

    _channel: Channel
    _client = ""
    """Who counts as one client."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._reader = RequestReader(listener.max_head_bytes)
        self._exchange: Exchange | None = None
        self._state: State | None = None
        self._entered = 0.0
        self._body_s = 0.0
        """How long the body of the present request has been waited for, s."""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self._refusal = ""
        self._drained = 0
        self._draining = False
        self._stopping = False
        self._closing = False

    # -- the transport's side

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and wait for its handshake or its first request."""
        self._channel = Channel(transport, self._listener.tls)
        self._client = client_of(self._channel.client[0]) if self._channel.client else ""
        self._listener.state.connections.add(self)  # type: ignore[arg-type]
        if self._listener.registry.admit(self, self._client):
            self._update()
        else:
            self._abort("refused")

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's interface
        """Return where to read into."""
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if self._closing:
            return
        if self._draining:
            self._drained += nbytes
            if self._drained > MAX_DRAIN_BYTES:
                self._abort("drained")
            return
        data = memoryview(self._listener.buffer)[:nbytes]
        self._take(lambda: self._channel.receive(data))
        if self._channel.is_asked and not self._closing:
            self._listener.handshakes.add(self, self._client)

    def shake_hands(self) -> None:
        """Answer the client's handshake: it is its turn."""
        if not self._closing:
            self._take(self._channel.answer)

    def _take(self, receive: Callable[[], bytes | memoryview]) -> None:
        """Take what a function returns of what the client has sent."""
        try:
            self._reader.feed(receive())
        except ssl.SSLError as error:
            log.debug("connection.tls_failed", reason=str(error))
            self.close()
        else:
            self.read_on()

    def eof_received(self) -> bool:
        """Answer what has arrived, then close."""
        self._channel.receive_eof()
        self._update()
        return True

    def pause_writing(self) -> None:
        """Wait for the client: it does not read what was sent."""
        self._channel.set_writable(writable=False)
        self._update()

    def resume_writing(self) -> None:
        """Continue: the client has read enough."""
        self._channel.set_writable(writable=True)
        self._update()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        """Forget the connection."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._listener.registry.remove(self)
        self._listener.handshakes.discard(self, self._client)
        self._listener.state.connections.discard(self)
        if self._exchange is not None:
            self._exchange.disconnect()
        self._reader.close()
        self._channel.set_writable(writable=True)

    # -- the server's side

    def shutdown(self) -> None:
        """End the connection as soon as the current request is answered."""
        self._stopping = True
        if self._exchange is None:
            self.close()
        else:
            self._exchange.keep_alive = False
            self._exchange.hurry()

    def evict(self) -> None:
        """End the connection to make room for another."""
        self._abort("evicted")

    # -- states

    def _find_state(self) -> State:
        if self._closing:
            return State.CLOSING
        if not self._channel.established:
            return State.HANDSHAKE
        if not self._channel.is_writable:
            return State.WRITING
        if self._draining:
            return State.DRAINING
        if self._exchange is not None:
            return self._exchange.state
        return State.HEAD if self._reader.in_head else State.IDLE

    def _update(self) -> None:
        """Act on what has changed: refuse, close, enter another state, read on or not."""
        exchange = self._exchange
        if not self._closing:
            if exchange is None and self._refusal and not self._draining:
                self._channel.send(self._listener.refusal(self._refusal))
                self._drain()
            if exchange is None and self._channel.at_eof and not self._channel.is_asked:
                self.close()
            elif exchange is not None and self._channel.at_eof and not self._reader.buffered:
                exchange.end_of_input()
        state = self._find_state()
        if state is not self._state:
            self._enter(state)
        self._listener.registry.set_memory(self, self._memory())
        if not self._closing:
            reads = self._draining or self._may_read() or not self._reader.buffered
            is_busy = self._channel.is_asked or not self._channel.is_writable
            self._channel.set_reading(wanted=reads and not is_busy)

    def _enter(self, state: State) -> None:
        now = self._loop.time()
        if self._state is State.BODY:
            self._body_s += now - self._entered
        self._state, self._entered = state, now
        silent = state is State.IDLE and not self._requests
        seconds = self._listener.deadlines[State.HEAD if silent else state]
        if state is State.BODY:
            seconds = max(0.0, seconds - self._body_s)
        self._deadline = now + seconds
        # Most states end long before: a timer that is early is set again when it is due, and not for each.
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()
        self._listener.registry.set_waiting(self, waiting=state is not State.HANDLING)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline - _TIMER_PRECISION_S:
            self._set_timer()
        else:
            self._on_deadline()

    def _on_deadline(self) -> None:
        if self._state is State.HEAD:
            seconds = self._listener.deadlines[State.HEAD]
            self._refuse(f"The request's headers did not arrive in {seconds:g} s.")
            self._update()
        elif self._state in {State.IDLE, State.DRAINING}:
            self.close()
        elif self._state is not None:
            self._abort(f"{self._state.name.lower()}_timeout")

    def _memory(self) -> int:
        body = self._exchange.buffered if self._exchange is not None else 0
        return CONNECTION_COST + self._reader.memory + body + self._channel.memory

    def close(self) -> None:
        """Close when everything is sent, or a few seconds later in any case."""
        if not self._closing:
            self._closing = True
            self._channel.close()
            self._update()

    def _abort(self, reason: str) -> None:
        self._listener.on_forced_end(reason)
        self._closing = True
        self._channel.abort()

    def _drain(self) -> None:
        """Let the client read the response: a connection closed on unread data is reset."""
        self._draining = True
        self._reader.clear()
        self._channel.send_eof()

    # -- reading requests

    def read_on(self) -> None:
        """Read what has arrived, as far as it may be read now."""
        while self._may_read():
            try:
                event = self._reader.next_event()
            except BadRequest as error:
                self._refuse(str(error))
                break
            if event is None:
                break
            self._handle(event)
        self._update()

    def _may_read(self) -> bool:
        if self._closing or self._draining or self._refusal:
            return False
        return self._exchange is None or self._exchange.wants_body

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestHead):
            self._requests += 1
            self._body_s = 0.0
            self._exchange = Exchange(self, event, scope_of(event, self._channel, self._listener))
            task = self._loop.create_task(self._exchange.run(self._listener.app))
            self._listener.state.tasks.add(task)
            task.add_done_callback(self._listener.state.tasks.discard)
        elif self._exchange is not None:
            if isinstance(event, RequestEnd):
                self._exchange.end_body()
            else:
                self._exchange.add_body(event)

    def _refuse(self, reason: str) -> None:
        """Refuse what arrives; a request whose body it is may still be answered."""
        self._refusal = reason
        self._reader.clear()
        if self._exchange is not None:
            self._exchange.end_of_input()

    # -- the exchange's side

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Date and Server."""
        return self._listener.state.default_headers

    def write(self, data: bytes) -> None:
        """Send data, unless the connection is over."""
        if not self._closing:
            self._channel.send(data)

    @property
    def is_writable(self) -> bool:
        """Whether the client has read enough of what was sent."""
        return self._channel.is_writable

    async def drain(self) -> None:
        """Wait until it has."""
        await self._channel.drain()

    async def take_turn(self) -> None:
        """Wait until the application may work on this connection's request."""
        await self._listener.turns.take(self._client)

    def give_turn_back(self) -> None:
        """Let the application work on another request."""
        self._listener.turns.give_back()

    def response_complete(self) -> None:
        """Read the next request, or end the connection."""
        self._listener.state.total_requests += 1
        exchange, self._exchange = self._exchange, None
        if self._closing or exchange is None:
            return
        if not exchange.body_complete:
            self._drain()
        elif not exchange.keep_alive or self._stopping:
            self.close()
        self.read_on()
