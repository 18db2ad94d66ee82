"""A record of requests, responses and callbacks, kept outside of the service."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission."""

    nonce: str
    poison: bool = False


@dataclass
class Ledger:
    """Accepted jobs, and everything observed about them."""

    accepted: dict[str, Asked] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    """Nonces of submissions without a response that were not repeated: their job may exist."""
    refused: set[str] = field(default_factory=set)
    """Nonces of submissions with the response 503: their job must not exist."""
    batches: dict[str, int] = field(default_factory=dict)
    """Rows of each accepted batch, by its id."""
    cancels: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """How often each method was answered with each status; 0 is no answer."""
    server_errors: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """Jobs whose cancellation was answered with 200."""
    accepted_at: dict[str, float] = field(default_factory=dict)
    """Job id to when its submission was answered, monotonic s."""
    called_at: dict[str, float] = field(default_factory=dict)
    """Job id to when its first callback arrived, monotonic s."""
    callbacks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """States in the callbacks of each job, by its id."""
    beats: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Times of each kind of progress (accepted, claimed, called back), monotonic s."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def beat(self, kind: str) -> None:
        """Record progress of a kind."""
        self.beats[kind].append(time.monotonic())

    def longest_pause(self, kind: str, begin: float, end: float) -> float:
        """Return the longest time without progress of a kind, s."""
        times = [begin, *(t for t in self.beats[kind] if begin < t < end), end]
        return max(after - before for before, after in itertools.pairwise(times))
