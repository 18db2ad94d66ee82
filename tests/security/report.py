"""Runs attacks one after the other and reports what each cost its attacker and the service."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.security.attacker import Attack, Cost, attacking
from tests.security.target import Observation, Target

MAX_MEMORY_BYTES: Final = 64 << 20
MAX_WAIT_S: Final = 1.0
_SETTLE_S: Final = 60.0
#: Connections to the store that a process may have opened meanwhile: one for each of its threads.
_STORE_CONNECTIONS: Final = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One attack and what came of it."""

    attack: Attack
    tls: bool
    cost: Cost
    seen: Observation
    memory_bytes: int
    """Above idle."""
    descriptors_left: int
    """Still open after all deadlines have passed."""
    max_wait_s: float = MAX_WAIT_S
    """The longest time that an honest request may take."""

    @property
    def faults(self) -> list[str]:
        """Which promises were broken."""
        found = [f"an honest request failed: {failure}" for failure in self.seen.failures[:3]]
        if not self.seen.waits_s:
            found.append("no honest request was answered")
        if self.seen.longest_s > self.max_wait_s:
            found.append(f"an honest request took {self.seen.longest_s:.2f} s")
        if self.memory_bytes > MAX_MEMORY_BYTES:
            found.append(f"memory grew by {self.memory_bytes / 2**20:.0f} MiB")
        if self.descriptors_left:
            found.append(f"{self.descriptors_left} descriptors stayed open")
        return found

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        return [
            f"{self.attack.name}{' (TLS)' if self.tls and not self.attack.name.startswith('TLS') else ''}",
            f"{self.attack.connections:,} ({self.cost.opened:,})",
            f"{self.cost.sent / 1e6:,.1f}",
            f"{max(0, self.memory_bytes) / 2**20:.0f}",
            f"{self.seen.peak_descriptors:,}",
            f"{self.seen.longest_s * 1000:.0f}",
            "; ".join(self.faults) or "held",
        ]


HEADINGS: Final = [
    "attack",
    "connections at a time (in all)",
    "sent, MB",
    "memory above idle, MiB",
    "most descriptors",
    "longest wait of an honest client, ms",
    "result",
]


def run(
    target: Target, attacks: Iterable[Attack], seed: int, max_wait_s: float = MAX_WAIT_S
) -> Iterable[Row]:
    """Run attacks on a service that has done nothing else; yield each one's row."""
    idle_bytes, idle_descriptors = target.resident_bytes(), target.descriptors() + _STORE_CONNECTIONS
    for attack in attacks:
        with target.observed() as seen, attacking(attack, target.port, seed) as result:
            cost: Cost = result.recv()
        left = settle(target, idle_descriptors)
        yield Row(attack, target.tls, cost, seen, seen.peak_bytes - idle_bytes, left, max_wait_s)


def settle(target: Target, idle: int) -> int:
    """Wait until the connections are closed; return how many stay, and descriptors without a reason.

    A socket that the client has reset is no connection, but a descriptor until the service closes it.
    """
    end = time.monotonic() + _SETTLE_S
    while (left := target.connections() + max(0, target.descriptors() - idle)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
