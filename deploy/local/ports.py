"""Free ports on loopback."""

from __future__ import annotations

import errno
import itertools
import random
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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


class Reservation:
    """Ports that are kept for programs that will listen there, until it is closed or its process ends.

    Elsewhere than on Linux it keeps nothing.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def add(self, wanted: Iterable[int]) -> bool:
        """Reserve free ports, all of them or none; return whether it could."""
        before = len(self._sockets)
        for port in wanted:
            if not (is_free(port) and self._hold(port)):
                while len(self._sockets) > before:
                    self._sockets.pop().close()
                return False
        return True

    def _hold(self, port: int) -> bool:
        if not sys.platform.startswith("linux"):
            return True
        # A name in the network namespace, which another reservation finds taken.
        name = socket.socket(socket.AF_UNIX)
        self._sockets.append(name)
        # Bound, but not listening: neither the kernel nor a program that asks for any port takes it, while a
        # server with SO_REUSEADDR, as all of the stack are, can listen there.
        holder = socket.socket()
        self._sockets.append(holder)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            name.bind(f"\0stemline/port/{port}")
            holder.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def close(self) -> None:
        """Give up the ports."""
        while self._sockets:
            self._sockets.pop().close()


def listens(pid: int, port: int) -> bool:
    """Whether a process itself listens on a loopback port; always true elsewhere than on Linux."""
    if not sys.platform.startswith("linux"):
        return True
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    address, listening = f"0100007F:{port:04X}", "0A"
    links = {f"socket:[{row[9]}]" for row in rows if row[1] == address and row[3] == listening}
    with suppress(OSError):  # it has ended, or closes a file meanwhile
        return any(str(each.readlink()) in links for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def free_port(
    preferred: int | None = None,
    *,
    taken: Iterable[int] = (),
    offset: int | None = None,
    reservation: Reservation | None = None,
) -> int:
    """Return a free port: the preferred one if it is free.

    Args:
        preferred: Tried first.
        taken: Ports that must not be used, although they may be free.
        offset: If given, the port at this distance above must be free too.
        reservation: The port, and that at the offset, are added to it.

    Raises:
        OSError: No free port was found.
    """
    reserved = set(taken)
    first = [preferred] if preferred else []
    for port in itertools.chain(first, candidates()):
        wanted = {port} if offset is None else {port, port + offset}
        if wanted & reserved:
            continue
        if reservation.add(wanted) if reservation else all(map(is_free, wanted)):
            return port
    raise OSError("no free port on loopback")


def choose(
    preferred: Mapping[str, int], *, paired: Iterable[str] = (), reservation: Reservation | None = None
) -> dict[str, int]:
    """Choose a free port for each name: the preferred one where it is free.

    Args:
        preferred: Name to preferred port; 0 for any.
        paired: The names that also need the port at :data:`GRPC_OFFSET` above.
        reservation: All chosen ports are added to it.
    """
    chosen: dict[str, int] = {}
    reserved: set[int] = set()
    pairs = set(paired)
    for name, port in preferred.items():
        offset = GRPC_OFFSET if name in pairs else None
        chosen[name] = free_port(port or None, taken=reserved, offset=offset, reservation=reservation)
        reserved |= {chosen[name]} if offset is None else {chosen[name], chosen[name] + offset}
    return chosen
