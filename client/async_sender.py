"""What sends calls to the service, for programs with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar

import httpx

from stemline.client.bounded_answer import bound_later
from stemline.client.call import Call, Changed
from stemline.client.errors import ApiError, ConnectionFailed
from stemline.client.events import AGAIN_S, Event, EventReader
from stemline.client.exchange import Exchange
from stemline.client.retry import Retry, Tries
from stemline.client.target import Target, find

T = TypeVar("T")


class AsyncSender:
    """The same as :class:`~stemline.client.sender.Sender`, with methods to be awaited."""

    def __init__(self, target: Target, *, retry: Retry | None = None, timeout_s: float = 40.0) -> None:
        """Open no connection yet; the arguments are those of :class:`~stemline.client.sender.Sender`."""
        self.target = target
        self._retry = retry or Retry()
        self._exchange = Exchange(target)
        self._http = httpx.AsyncClient(
            **self._exchange.options(timeout_s), event_hooks={"response": [bound_later]}
        )

    @classmethod
    def connect(cls, *, profile: str = "", **given: str) -> Self:
        """Return a client for the service that :func:`~stemline.client.target.find` finds."""
        return cls(find(given, profile=profile))

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T], *, within_s: float | None = None) -> T:
        """Send a call, again where that may help, and return its answer.

        Args:
            call: What is asked.
            within_s: How long at most; without it, as long as the client tries.
        """
        tries = self._retry.start(call, within_s)
        while True:
            request = self._exchange.request(call, within_s=within_s)
            try:
                with self._exchange.faults():
                    response = await self._http.send(request)
                return self._exchange.read(call, response)
            except (ApiError, ConnectionFailed) as error:
                pause_s = tries.pause(error)
            await asyncio.sleep(pause_s)

    async def events(self, job_id: str = "", *, last: str = "") -> AsyncGenerator[Event, None]:
        """Yield what changes, from now on: in the bucket without an end, or with one job until its end."""
        reader = EventReader(job_id, last)
        tries: Tries | None = None
        while True:
            call = reader.call()
            tries = tries or self._retry.start(call)
            try:
                async with aclosing(self._stream(call)) as parts:
                    async for part in parts:
                        events, tries = reader.feed(part), None
                        for event in events:
                            yield event
                        if reader.has_ended:
                            return
            except (ApiError, ConnectionFailed) as error:
                if tries is None and error.__cause__ is None:
                    raise  # the service sent what is no event, and would send it again
                pause_s = AGAIN_S if tries is None else tries.pause(error)
            else:
                return
            await asyncio.sleep(pause_s)

    async def _stream(self, call: Call[None]) -> AsyncGenerator[bytes, None]:
        """Yield the parts of a stream; it is over without an error only where no events will follow."""
        request = self._exchange.request(call)
        with self._exchange.faults():
            async with aclosing(await self._http.send(request, stream=True)) as response:
                if response.status_code != 200:
                    await response.aread()
                if not self._exchange.has_events(call, response):
                    return
                async for part in response.aiter_bytes():
                    yield part
                raise httpx.ReadError("the stream has ended")

    async def _all(self, call: Callable[[str], Call[Changed]]) -> int:
        """Send a call until nothing is left, and return how many were changed."""
        count, cursor = 0, ""
        while True:
            part = await self.send(call(cursor))
            count, cursor = count + part.count, part.cursor
            if not cursor:
                return count

    async def _pages(self, call: Callable[[int], Call[tuple[Sequence[T], int]]]) -> AsyncIterator[T]:
        """Yield what is on all pages of a list whose pages have numbers."""
        number, seen = 1, 0
        while True:
            found, total = await self.send(call(number))
            for each in found:
                yield each
            number, seen = number + 1, seen + len(found)
            if not found or seen >= total:
                return
