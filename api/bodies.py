"""Bounds on request bodies: how long one may take to arrive, and how many bytes one process holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

from stemline.jobs.errors import BodiesFull, InvalidContent

_RETRY_AFTER_S: Final = 1.0


class BodyBudget:
    """Bytes of request bodies that are held at a time, by credential.

    A credential may hold as much as is still free: one that takes all it can leaves half to the others, and a
    second such one a quarter. So large bodies are refused before small ones.
    """

    def __init__(self, limit: int) -> None:
        """Create a budget of ``limit`` bytes."""
        self._free = limit
        self._held: Counter[str] = Counter()

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        """Give one request a share, which is returned at the end."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self.give_back(share.credential, share.size)

    def take(self, credential: str, size: int) -> None:
        """Take bytes from the budget.

        Raises:
            BodiesFull: The credential holds too much already.
        """
        if self._held[credential] + size > self._free:
            raise BodiesFull(retry_after_s=_RETRY_AFTER_S)
        self._add(credential, size)

    def give_back(self, credential: str, size: int) -> None:
        """Return bytes to the budget."""
        self._add(credential, -size)

    def _add(self, credential: str, size: int) -> None:
        self._free -= size
        self._held[credential] += size
        if not self._held[credential]:
            del self._held[credential]


class BodyShare:
    """What the body of one request takes of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.credential = ""
        self.size = 0

    def grow(self, credential: str, size: int) -> None:
        """Make room for ``size`` more bytes of a credential's request.

        Raises:
            BodiesFull: There is no room.
        """
        self._budget.take(credential, size)
        self.credential = credential
        self.size += size

    def shrink(self, size: int) -> None:
        """Give room back, of bytes that are not held any more."""
        self._budget.give_back(self.credential, size)
        self.size -= size


async def chunks_of(request: Request, *, within_s: float) -> AsyncGenerator[bytes, None]:
    """Yield the body of a request as it arrives.

    Args:
        request: Request whose body is left to be read.
        within_s: How long the body may be waited for in total, s; what is done with its parts meanwhile does
            not count.

    Raises:
        InvalidContent: It took longer, or is not complete.
    """
    clock, left_s = asyncio.get_running_loop().time, within_s
    more = True
    while more:
        began = clock()
        try:
            async with asyncio.timeout(left_s):
                message = await request.receive()
        except TimeoutError:
            raise InvalidContent(f"The body did not arrive within {within_s:g} s.") from None
        if message["type"] == "http.disconnect":
            raise InvalidContent("The request body is not complete, or its chunks are not valid.")
        left_s -= clock() - began
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk
