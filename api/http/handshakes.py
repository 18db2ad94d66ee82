"""The order in which TLS handshakes are answered when many clients begin one at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

#: Handshakes that are answered in one round of the event loop. Each takes about a millisecond of the
#: processor; without a limit, one round would answer those of all clients that connect at the same time, and
#: serve nothing else meanwhile.
A_ROUND: Final = 2


class Waiting(Protocol):
    """A connection whose client has begun a handshake."""

    def shake_hands(self) -> None:
        """Answer it."""


class Handshakes:
    """Answers some handshakes in each round; clients take turns, each with its oldest connection."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[Waiting, None]] = OrderedDict()
        self._scheduled = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, connection: Waiting, client: str) -> None:
        """Have a connection's handshake answered when it is its client's turn."""
        self._waiting.setdefault(client, {})[connection] = None
        self._schedule()

    def discard(self, connection: Waiting, client: str) -> None:
        """Forget a connection that is over."""
        waiting = self._waiting.get(client, {})
        waiting.pop(connection, None)
        if not waiting:
            self._waiting.pop(client, None)

    def _schedule(self) -> None:
        if not self._scheduled and self._waiting:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._answer_some)

    def _answer_some(self) -> None:
        self._scheduled = False
        for _ in range(A_ROUND):
            if not self._waiting:
                return
            client, connections = self._waiting.popitem(last=False)
            connection = next(iter(connections))
            del connections[connection]
            if connections:
                self._waiting[client] = connections
            self._schedule()  # first: a connection that fails stops no other one
            connection.shake_hands()
