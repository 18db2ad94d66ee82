"""Ports nobody listens on."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping

#: SeaweedFS dials its gRPC ports at this distance from the HTTP ones.
GRPC_OFFSET = 10_000
#: Below the range from which the kernel picks the near ends of outgoing connections.
_RANGE = range(12_000, 22_000)


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
    """A port that can be bound: the preferred one if it may be.

    Args:
        preferred: the port of choice, or the one of the last start.
        taken: ports already promised to somebody else.
        offset: where given, the port at this distance above must be free too.

    Raises:
        OSError: none was found.
    """
    promised = set(taken)
    candidates = [preferred] if preferred else []
    candidates += random.SystemRandom().sample(_RANGE, 400)
    for port in candidates:
        wanted = {port} if offset is None else {port, port + offset}
        if not (wanted & promised) and all(is_free(each) for each in wanted):
            return port
    raise OSError("no free port on loopback")


def choose(preferred: Mapping[str, int], *, paired: Iterable[str] = ()) -> dict[str, int]:
    """Ports for a set of names, each the preferred one where it is free.

    Args:
        preferred: name to port of choice (0 for any).
        paired: the names that need the port at :data:`GRPC_OFFSET` above as well.
    """
    chosen: dict[str, int] = {}
    promised: set[int] = set()
    pairs = set(paired)
    for name, port in preferred.items():
        offset = GRPC_OFFSET if name in pairs else None
        chosen[name] = free_port(port or None, taken=promised, offset=offset)
        promised |= {chosen[name]} if offset is None else {chosen[name], chosen[name] + offset}
    return chosen
