"""Passes the events of the store to the listeners of one process.

One thread waits for new events of all tenants that have listeners, and keeps the latest of each tenant in
memory. A listener holds no queue: it knows the last event it has passed on and takes what came after it, from
memory or, if it fell behind, from the store. So a slow client costs little, and none misses an event.
What listeners read from the store, some read at a time, and tenants take turns: a thousand that begin at an
event of an hour ago delay no other request.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Final, Self, TypeVar

import structlog
from starlette.concurrency import run_in_threadpool

from stemline.api.http.turns import Turns
from stemline.jobs.errors import StoreUnavailable, TooManyListeners
from stemline.jobs.event import Event, place
from stemline.jobs.store.protocols import EventRepository
from stemline.jobs.tenant import Tenant

log = structlog.get_logger(__name__)

KEPT: Final = 2000
"""Events of one tenant that are kept in memory."""
_POLL_S: Final = 0.1
"""The events of a tenant's first listener are waited for after this time at most, s."""
_PAUSE_S: Final = 0.005
"""Events that come at about the same time are fetched together, s."""
_RETRY_S: Final = 0.5
_CHECK_S: Final = 20.0
"""How often it is checked that the store still has the last events that are known, s."""
_RETRY_AFTER_S: Final = 5.0
PAGE: Final = 32
"""Events that a listener is given at once: it holds them, and what is sent of them, as long as its client is
slow."""
_READERS: Final = 4
"""Listeners that read from the store at a time; they take threads from other requests."""

T = TypeVar("T")


class EventsGone(Exception):
    """Events that a listener has not received are not kept any more."""


class _Channel:
    """The latest events of one tenant."""

    def __init__(self) -> None:
        self.listeners = 0
        self.floor: str | None = None
        """Every event after this one is in memory; None while nothing is known."""
        self.events: deque[Event] = deque()
        self.changes = 0
        """How often the above changed."""
        self.waiting: set[asyncio.Future[bool]] = set()
        """Listeners that wait for the next change."""

    def begin(self, floor: str) -> None:
        """Begin with the events after one."""
        self.floor = floor
        self.events.clear()
        self._wake()

    def add(self, events: Sequence[Event]) -> None:
        """Append new events."""
        last = self.end
        if last is None:
            return
        self.events += [event for event in events if place(event.id) > place(last)]
        while len(self.events) > KEPT:
            self.floor = self.events.popleft().id
        self._wake()

    def after(self, event_id: str) -> list[Event] | None:
        """Return the next events after one; None if not all are in memory, or the one is not known here."""
        if self.floor is None or self.end is None:
            return None
        if not place(self.floor) <= place(event_id) <= place(self.end):
            return None
        newer = 0
        for event in reversed(self.events):
            if place(event.id) <= place(event_id):
                break
            newer += 1
        start = len(self.events) - newer
        return list(islice(self.events, start, start + PAGE))

    @property
    def end(self) -> str | None:
        """The last event that is known."""
        return self.events[-1].id if self.events else self.floor

    def _wake(self) -> None:
        self.changes += 1
        for listener in self.waiting:
            if not listener.done():
                listener.set_result(True)


class _Silence:
    """Waits of one listener that end after a silence. They share a timer, which no event moves."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bool] | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._longest_s, self._check)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    async def wait(self, waiting: set[asyncio.Future[bool]]) -> bool:
        """Wait among others for a change; return whether it came before the silence was too long."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        self._began = self._loop.time()
        waiting.add(waiter)
        try:
            return await waiter
        finally:
            waiting.discard(waiter)
            self._waiter = None

    def _check(self) -> None:
        left_s, waiter = self._longest_s, self._waiter
        if waiter is not None:
            left_s -= self._loop.time() - self._began
        if waiter is not None and left_s <= 0 and not waiter.done():
            waiter.set_result(False)
        self._timer = self._loop.call_later(left_s if left_s > 0 else self._longest_s, self._check)


class EventHub:
    """Passes events on to the listeners of one process."""

    def __init__(self, events: EventRepository, *, limit: int, limit_per_credential: int) -> None:
        """Start nothing yet; the thread starts with the first listener.

        Args:
            events: Events of the store.
            limit: Listeners of the process.
            limit_per_credential: Listeners of one credential.
        """
        self._repository = events
        self._limit = limit
        self._limit_per_credential = limit_per_credential
        self._listeners = 0
        self._counts: Counter[str | Tenant] = Counter()
        self._readers = Turns(_READERS)
        self._channels: dict[Tenant, _Channel] = {}
        """Changed in the event loop only, under the lock; the thread reads it."""
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def admit(self, credential: str, tenant: Tenant) -> Iterator[None]:
        """Count one listener for the length of a block.

        A credential, and a tenant with all of its credentials, may have as many as are still free: one that
        takes all it can leaves half of them, a second one a quarter.

        Raises:
            TooManyListeners: There are as many as there may be.
        """
        holders = (credential, tenant)
        free = self._limit - self._listeners
        if self._counts[credential] >= self._limit_per_credential or any(
            self._counts[holder] >= free for holder in holders
        ):
            raise TooManyListeners(retry_after_s=_RETRY_AFTER_S)
        self._count(holders, 1)
        try:
            yield
        finally:
            self._count(holders, -1)

    def _count(self, holders: tuple[str, Tenant], listeners: int) -> None:
        self._listeners += listeners
        for holder in holders:
            self._counts[holder] += listeners
            if not self._counts[holder]:
                del self._counts[holder]

    async def follow(self, tenant: Tenant, after: str, *, every_s: float) -> AsyncIterator[list[Event]]:
        """Yield the events of a tenant after one of them, in order, each once.

        Args:
            tenant: Whose events.
            after: Id of the last event that the listener knows.
            every_s: An empty list is yielded after this silence, s.

        Raises:
            EventsGone: Some of them are not kept any more, or the store does not know the one.
            StoreUnavailable: Events that are not in memory cannot be read.
        """
        with self._joined(tenant) as channel, _Silence(every_s) as silence:
            while True:
                changes, floor = channel.changes, channel.floor
                found = channel.after(after)
                if found is None:
                    found = await self.read(tenant, partial(self._repository.read, tenant, after, PAGE))
                    if found is None:
                        raise EventsGone
                    if len(found) < PAGE and floor is not None:
                        after = max(after, floor, key=place)  # there is nothing between the two
                if found:
                    after = max(after, found[-1].id, key=place)
                    yield found
                elif channel.changes == changes and not await silence.wait(channel.waiting):
                    yield []

    async def read(self, tenant: Tenant, call: Callable[[], T]) -> T:
        """Return what a call for a listener returns, which reads from the store; tenants take turns.

        Args:
            tenant: of the listener.
            call: reads, in a thread.
        """
        await self._readers.take(str(tenant))
        try:
            return await run_in_threadpool(call)
        finally:
            self._readers.give_back()

    def close(self) -> None:
        """Stop the thread."""
        self._closed = True
        self._wanted.set()

    @contextmanager
    def _joined(self, tenant: Tenant) -> Iterator[_Channel]:
        with self._lock:
            channel = self._channels.setdefault(tenant, _Channel())
        channel.listeners += 1
        self._start(asyncio.get_running_loop())
        try:
            yield channel
        finally:
            channel.listeners -= 1
            if not channel.listeners:
                with self._lock:
                    del self._channels[tenant]

    # -- the thread

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(loop,), name="events", daemon=True)
            self._thread.start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        known: dict[_Channel, str] = {}
        """The last event that each channel has got."""
        checked = time.monotonic()
        while not self._closed:
            with self._lock:
                channels = dict(self._channels)
                if not channels:
                    self._wanted.clear()
            known = {channel: known[channel] for channel in channels.values() if channel in known}
            try:
                if time.monotonic() - checked >= _CHECK_S:
                    checked = time.monotonic()
                    self._forget_unknown(channels, known)
                if channels:
                    self._fetch(loop, channels, known)
                else:
                    self._wanted.wait()
            except Exception as error:  # noqa: BLE001 - an entry that cannot be read ends no listener of others
                if loop.is_closed():
                    return
                reason = error.reason if isinstance(error, StoreUnavailable) else repr(error)
                log.warning("events.unavailable", reason=reason)
                known = {}  # what happens meanwhile, listeners read from the store
                time.sleep(_RETRY_S)

    def _forget_unknown(self, channels: Mapping[Tenant, _Channel], known: dict[_Channel, str]) -> None:
        """Begin again where the store ends before what is known: what comes next would never be seen."""
        for tenant, channel in channels.items():
            if channel in known and place(self._repository.begin(tenant)[0]) < place(known[channel]):
                del known[channel]

    def _fetch(
        self,
        loop: asyncio.AbstractEventLoop,
        channels: Mapping[Tenant, _Channel],
        known: dict[_Channel, str],
    ) -> None:
        for tenant, channel in channels.items():
            if channel not in known:
                known[channel], _ = self._repository.begin(tenant)
                loop.call_soon_threadsafe(channel.begin, known[channel])
        found = self._repository.wait(
            {tenant: known[channel] for tenant, channel in channels.items()}, _POLL_S
        )
        for tenant, events in found.items():
            known[channels[tenant]] = events[-1].id
            loop.call_soon_threadsafe(channels[tenant].add, events)
        if found:
            time.sleep(_PAUSE_S)
