"""Which connections are open, how many each client has, and which one may be closed to make room."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Protocol


class Evictable(Protocol):
    """A connection that can be closed at once."""

    def abort(self) -> None:
        """Close without sending what is still buffered."""


class ConnectionRegistry:
    """All connections of one process.

    A connection *waits* while nothing of a request is being handled: during the TLS handshake, between
    requests, and while a head arrives. Before a new connection is refused, the one that has waited longest is
    closed.
    """

    def __init__(self, *, limit: int, limit_per_client: int) -> None:
        """Create an empty registry.

        Args:
            limit: open connections allowed.
            limit_per_client: open connections allowed from one client address; 0 is no limit.
        """
        self._limit = limit
        self._limit_per_client = limit_per_client or limit
        self._clients: dict[Evictable, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[Evictable, None] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def admit(self, connection: Evictable, client: str) -> bool:
        """Register a new connection; return False if there is no room for it.

        Args:
            connection: the new connection, which counts as waiting.
            client: its client's address.
        """
        group = client_group(client)
        if self._counts[group] >= self._limit_per_client and not self._evict(group):
            return False
        if len(self._clients) >= self._limit and not self._evict(None):
            return False
        self._clients[connection] = group
        self._counts[group] += 1
        self._waiting[connection] = None
        return True

    def set_waiting(self, connection: Evictable, *, waiting: bool) -> None:
        """Record that a connection begins or stops to wait for its client."""
        self._waiting.pop(connection, None)
        if waiting and connection in self._clients:
            self._waiting[connection] = None

    def remove(self, connection: Evictable) -> None:
        """Forget a closed connection."""
        group = self._clients.pop(connection, None)
        self._waiting.pop(connection, None)
        if group is not None:
            self._counts[group] -= 1
            if not self._counts[group]:
                del self._counts[group]

    def _evict(self, group: str | None) -> bool:
        """Close the connection that has waited longest, of one client if given."""
        for connection in self._waiting:
            if group is None or self._clients[connection] == group:
                self.remove(connection)
                connection.abort()
                return True
        return False


def client_group(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
