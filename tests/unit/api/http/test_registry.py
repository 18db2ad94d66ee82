"""Which connection makes room for another."""

from __future__ import annotations

from stemline.api.http.registry import ConnectionRegistry


class Peer:
    """A connection that remembers that it was evicted."""

    def __init__(self) -> None:
        self.evicted = False

    def evict(self) -> None:
        self.evicted = True


def registry(**limits: int) -> ConnectionRegistry:
    return ConnectionRegistry(**{"limit": 100, "limit_per_client": 0, "memory_limit": 1000} | limits)


def admitted(at: ConnectionRegistry, count: int, address: str = "192.0.2.1") -> list[Peer]:
    peers = [Peer() for _ in range(count)]
    assert all(at.admit(peer, address) for peer in peers)
    return peers


def evicted(peers: list[Peer]) -> list[int]:
    return [number for number, peer in enumerate(peers) if peer.evicted]


def test_the_longest_waiting_makes_room() -> None:
    """Beyond the limit the connection goes that has waited longest, not the one that is oldest."""
    at = registry(limit=3)
    peers = admitted(at, 3)
    at.set_waiting(peers[0], waiting=False)
    at.set_waiting(peers[0], waiting=True)
    admitted(at, 1)
    assert [1] == evicted(peers)
    assert 3 == len(at)


def test_the_client_with_most_makes_room() -> None:
    """A client with many connections loses one before a client with few, whichever has waited longer."""
    at = registry(limit=5)
    honest, many = admitted(at, 2, "192.0.2.1"), admitted(at, 3, "192.0.2.2")
    admitted(at, 1, "192.0.2.3")
    assert [] == evicted(honest)
    assert [0] == evicted(many)


def test_work_is_not_interrupted() -> None:
    """Where every connection is being answered, a new one is refused."""
    at = registry(limit=2)
    peers = admitted(at, 2)
    for peer in peers:
        at.set_waiting(peer, waiting=False)
    assert not at.admit(Peer(), "192.0.2.9")
    assert [] == evicted(peers)


def test_a_client_makes_room_for_itself() -> None:
    """A client beyond its own limit loses a connection of its own; others lose none."""
    at = registry(limit_per_client=2)
    others, own = admitted(at, 2, "192.0.2.1"), admitted(at, 2, "192.0.2.2")
    admitted(at, 1, "192.0.2.2")
    assert [] == evicted(others)
    assert [0] == evicted(own)


def test_memory_is_bounded() -> None:
    """Connections that take more memory than allowed are closed, the longest waiting first, until it fits."""
    at = registry()
    peers = admitted(at, 4)
    for peer in peers[:3]:
        at.set_memory(peer, 300)
    at.set_memory(peers[3], 600)
    assert [0, 1] == evicted(peers)
    at.set_memory(peers[3], 0)
    at.remove(peers[2])
    at.set_memory(peers[3], 1000)
    assert [0, 1] == evicted(peers)


def test_an_unknown_connection_changes_nothing() -> None:
    """Reports of a connection that is closed already are ignored."""
    at = registry()
    gone = Peer()
    at.set_memory(gone, 5000)
    at.set_waiting(gone, waiting=True)
    at.remove(gone)
    assert 0 == len(at)
    assert not gone.evicted
