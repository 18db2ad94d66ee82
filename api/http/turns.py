"""The order in which the application works on requests when there are more than it can do at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Final

#: Turns that begin in one round of the event loop. Work on requests takes much longer than accepting a
#: connection; if all of it were done in each round, a new client would wait until the requests of all the
#: connections before it in the socket's queue have been worked on.
A_ROUND: Final = 2


class Turns:
    """Limits how many requests are worked on at once; the others wait, and clients take turns.

    So a client with one request waits for one request of each other client, not for all of theirs.
    """

    def __init__(self, most: int) -> None:
        """Let ``most`` requests be worked on at a time."""
        self._free = most
        self._left = A_ROUND
        """Turns that may still begin in this round."""
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, client: str) -> None:
        """Wait for the client's turn."""
        if self._free and self._left:
            self._begin()
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
        self._free += 1
        self._go_on()

    def _begin(self) -> None:
        """Count one more turn."""
        self._free -= 1
        if self._left == A_ROUND:
            asyncio.get_running_loop().call_soon(self._begin_round)
        self._left -= 1

    def _begin_round(self) -> None:
        self._left = A_ROUND
        self._go_on()

    def _go_on(self) -> None:
        """Let clients go on as far as turns may begin."""
        while self._free and self._left and self._waiting:
            client, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if not turn.done():  # a cancelled request's is
                self._begin()
                turn.set_result(None)
