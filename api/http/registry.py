"""The open connections, by client, and the choice of one to close at a limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol


class Evictable(Protocol):
    """A connection that can be closed at once."""

    def evict(self) -> None:
        """Close without sending what is still buffered."""


@dataclass(slots=True)
class _Entry:
    client: str
    memory: int = 0


class ConnectionRegistry:
    """All connections of one process.

    A connection *waits* while it is the client's turn: to finish its handshake or request, to send another,
    or to read its answer. Where a limit is reached, the client with most waiting connections loses the one
    that has waited longest; only if none waits is a new one refused.
    """

    def __init__(self, *, limit: int, limit_per_client: int, memory_limit: int) -> None:
        """Create an empty registry.

        Args:
            limit: Open connections allowed.
            limit_per_client: Open connections allowed from one client address; 0 is no limit.
            memory_limit: Bytes of memory that all connections may take.
        """
        self._limit = limit
        self._limit_per_client = limit_per_client or limit
        self._memory_limit = memory_limit
        self._memory = 0
        self._open: dict[Evictable, _Entry] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, dict[Evictable, None]] = {}
        """By client; of each, the longest waiting first."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Evictable, client: str) -> bool:
        """Register a new connection, which waits; return False if there is no room for it.

        Args:
            connection: Connection that a client has opened.
            client: As :func:`~stemline.api.http.clients.client_of` names it.
        """
        if self._counts[client] >= self._limit_per_client and not self._evict(client):
            return False
        if len(self._open) >= self._limit and not self._evict():
            return False
        self._open[connection] = _Entry(client)
        self._counts[client] += 1
        self._waiting.setdefault(client, {})[connection] = None
        return True

    def set_waiting(self, connection: Evictable, *, waiting: bool) -> None:
        """Record that a connection waits from now on, or no longer."""
        entry = self._open.get(connection)
        if entry is not None:
            self._stop_waiting(connection, entry.client)
            if waiting:
                self._waiting.setdefault(entry.client, {})[connection] = None

    def set_memory(self, connection: Evictable, memory: int) -> None:
        """Record how many bytes a connection takes; others, or itself, may be closed to make room."""
        entry = self._open.get(connection)
        if entry is None or entry.memory == memory:
            return
        self._memory += memory - entry.memory
        entry.memory = memory
        while self._memory > self._memory_limit and self._evict():
            pass

    def remove(self, connection: Evictable) -> None:
        """Forget a closed connection."""
        entry = self._open.pop(connection, None)
        if entry is not None:
            self._stop_waiting(connection, entry.client)
            self._memory -= entry.memory
            self._counts[entry.client] -= 1
            if not self._counts[entry.client]:
                del self._counts[entry.client]

    def _stop_waiting(self, connection: Evictable, client: str) -> None:
        waiting = self._waiting.get(client, {})
        waiting.pop(connection, None)
        if not waiting:
            self._waiting.pop(client, None)

    def _evict(self, client: str | None = None) -> bool:
        """Close the longest waiting connection of a client, or of the one that has most of them."""
        if client is None:
            client = max(self._waiting, key=lambda each: len(self._waiting[each]), default="")
        connection = next(iter(self._waiting.get(client, ())), None)
        if connection is None:
            return False
        self.remove(connection)
        connection.evict()
        return True
