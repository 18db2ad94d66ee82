"""A bound on what a server answers, whatever it is: a client holds an answer in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx

from stemline.client.errors import ConnectionFailed

MAX_ANSWER_BYTES: Final = 64 << 20


def bound(response: httpx.Response) -> None:
    """Let reading a response end with an error beyond the bound; a stream of events has none.

    Compressed content, which no request asks for, stays as it is: some kB of it may be gigabytes.
    """
    response.headers.pop("content-encoding", None)
    is_stream = response.status_code == 200 and response.request.url.path.endswith("/events")
    if not is_stream:
        response.stream = _Bounded(response.stream)


async def bound_later(response: httpx.Response) -> None:
    """Do the same for an asynchronous client."""
    bound(response)


class _Bounded(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a response, up to the bound."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = MAX_ANSWER_BYTES

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            yield self._counted(part)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield self._counted(part)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _counted(self, part: bytes) -> bytes:
        self._left -= len(part)
        if self._left < 0:
            raise ConnectionFailed(f"the service answered with more than {MAX_ANSWER_BYTES} bytes")
        return part
