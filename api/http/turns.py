"""Whose request the application works on next, when it has more than it can do at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Turns:
    """Lets a number of requests be worked on at a time; the others wait, and clients take turns.

    So a client with one request waits for one request of each other client, not for all of theirs.
    """

    def __init__(self, most: int) -> None:
        """Let ``most`` requests be worked on at a time."""
        self._free = most
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, client: str) -> None:
        """Wait for the client's turn."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Let the next client go on."""
        while self._waiting:
            client, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if not turn.done():  # a cancelled request's is
                turn.set_result(None)
                return
        self._free += 1
