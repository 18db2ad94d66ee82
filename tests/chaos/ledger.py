"""What was asked of the service and what it answered, written down outside of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission."""

    nonce: str
    poison: bool = False


@dataclass
class Ledger:
    """Accepted jobs and everything seen about them from outside."""

    accepted: dict[str, Asked] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    """Nonces of submissions that got no answer and were not repeated: their job may exist."""
    refused: set[str] = field(default_factory=set)
    """Nonces of submissions that were answered 503: their job must not exist."""
    cancels: int = 0
    odd_answers: list[str] = field(default_factory=list)
    callbacks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Job id to the states its callbacks told."""
    beats: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Kind of progress (accepted, claimed, called back) to the times it was seen, monotonic s."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def beat(self, kind: str) -> None:
        """Something went on."""
        self.beats[kind].append(time.monotonic())

    def longest_pause(self, kind: str, begin: float, end: float) -> float:
        """The longest time without progress of a kind, s."""
        times = [begin, *(t for t in self.beats[kind] if begin < t < end), end]
        return max(after - before for before, after in itertools.pairwise(times))
