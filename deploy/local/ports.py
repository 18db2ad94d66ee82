"""Free ports on loopback."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterable, Iterator, Mapping

#: SeaweedFS expects each gRPC port at this distance above its HTTP port.
GRPC_OFFSET = 10_000
#: Below the range from which the kernel chooses ports for outgoing connections.
RANGE = range(12_000, 22_000)


def candidates() -> Iterator[int]:
    """Yield ports that may be free, in random order."""
    yield from random.SystemRandom().sample(RANGE, 400)


def is_free(port: int) -> bool:
    """Whether a loopback port can be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):  # taken, or beyond 65535
            return False
    return True


def free_port(preferred: int | None = None, *, taken: Iterable[int] = (), offset: int | None = None) -> int:
    """Return a free port: the preferred one if it is free.

    Args:
        preferred: tried first.
        taken: ports that must not be used, although they may be free.
        offset: if given, the port at this distance above must be free too.

    Raises:
        OSError: no free port was found.
    """
    reserved = set(taken)
    first = [preferred] if preferred else []
    for port in itertools.chain(first, candidates()):
        wanted = {port} if offset is None else {port, port + offset}
        if not (wanted & reserved) and all(is_free(each) for each in wanted):
            return port
    raise OSError("no free port on loopback")


def choose(preferred: Mapping[str, int], *, paired: Iterable[str] = ()) -> dict[str, int]:
    """Choose a free port for each name: the preferred one where it is free.

    Args:
        preferred: name to preferred port; 0 for any.
        paired: the names that also need the port at :data:`GRPC_OFFSET` above.
    """
    chosen: dict[str, int] = {}
    reserved: set[int] = set()
    pairs = set(paired)
    for name, port in preferred.items():
        offset = GRPC_OFFSET if name in pairs else None
        chosen[name] = free_port(port or None, taken=reserved, offset=offset)
        reserved |= {chosen[name]} if offset is None else {chosen[name], chosen[name] + offset}
    return chosen
