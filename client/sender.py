"""What sends calls to the service, for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar

import httpx

from stemline.client.bounded_answer import bound
from stemline.client.call import Call, Changed
from stemline.client.errors import ApiError, ConnectionFailed
from stemline.client.events import AGAIN_S, Event, EventReader
from stemline.client.exchange import Exchange
from stemline.client.retry import Retry, Tries
from stemline.client.target import Target, find

T = TypeVar("T")


class Sender:
    """Signs and sends calls, again where that may help.

    Attributes:
        target: The service, key pair and bucket.
    """

    def __init__(self, target: Target, *, retry: Retry | None = None, timeout_s: float = 40.0) -> None:
        """Open no connection yet.

        Args:
            target: The service, key pair and bucket.
            retry: How long it tries again after connection errors, SlowDown and server errors.
            timeout_s: For each read and write of one request.
        """
        self.target = target
        self._retry = retry or Retry()
        self._exchange = Exchange(target)
        self._http = httpx.Client(**self._exchange.options(timeout_s), event_hooks={"response": [bound]})

    @classmethod
    def connect(cls, *, profile: str = "", **given: str) -> Self:
        """Return a client for the service that :func:`~stemline.client.target.find` finds.

        Args:
            profile: Name of a profile.
            given: Values of :class:`Target`, such as ``api`` and ``secret_id``.

        Raises:
            NotConfigured: No service is known.
        """
        return cls(find(given, profile=profile))

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T], *, within_s: float | None = None) -> T:
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
                    response = self._http.send(request)
                return self._exchange.read(call, response)
            except (ApiError, ConnectionFailed) as error:
                pause_s = tries.pause(error)
            time.sleep(pause_s)

    def events(self, job_id: str = "", *, last: str = "") -> Generator[Event, None, None]:
        """Yield what changes, from now on: in the bucket without an end, or with one job until its end.

        A stream that breaks is taken up after the last event that was yielded.

        Args:
            job_id: Id of a job, whose present state is the first event; all of the bucket if empty.
            last: Id of the last event that is known, from which on events are yielded.

        Raises:
            NotFound: The bucket has no such job.
        """
        reader = EventReader(job_id, last)
        tries: Tries | None = None
        while True:
            call = reader.call()
            tries = tries or self._retry.start(call)
            try:
                for part in self._stream(call):
                    events, tries = reader.feed(part), None
                    yield from events
                    if reader.has_ended:
                        return
            except (ApiError, ConnectionFailed) as error:
                if tries is None and error.__cause__ is None:
                    raise  # the service sent what is no event, and would send it again
                pause_s = AGAIN_S if tries is None else tries.pause(error)
            else:
                return
            time.sleep(pause_s)

    def _stream(self, call: Call[None]) -> Iterator[bytes]:
        """Yield the parts of a stream; it is over without an error only where no events will follow."""
        request = self._exchange.request(call)
        with self._exchange.faults(), closing(self._http.send(request, stream=True)) as response:
            if response.status_code != 200:
                response.read()
            if not self._exchange.has_events(call, response):
                return
            yield from response.iter_bytes()
            raise httpx.ReadError("the stream has ended")

    def _all(self, call: Callable[[str], Call[Changed]]) -> int:
        """Send a call until nothing is left, and return how many were changed."""
        count, cursor = 0, ""
        while True:
            part = self.send(call(cursor))
            count, cursor = count + part.count, part.cursor
            if not cursor:
                return count

    def _pages(self, call: Callable[[int], Call[tuple[Sequence[T], int]]]) -> Iterator[T]:
        """Yield what is on all pages of a list whose pages have numbers."""
        number, seen = 1, 0
        while True:
            found, total = self.send(call(number))
            yield from found
            number, seen = number + 1, seen + len(found)
            if not found or seen >= total:
                return
