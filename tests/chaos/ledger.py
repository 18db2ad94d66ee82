"""What was asked of the service and what it answered, written down outside of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import redis

from stemline.jobs.states import TRANSITIONS, State


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


class Witness:
    """Reads every state change out of the store's event stream, through crashes of Valkey."""

    def __init__(self, url: str, key: str, ledger: Ledger) -> None:
        self.histories: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        """Job id to its changes: from, to, µs."""
        self._client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=3)
        self._key = key
        self._last = "0"
        self._ledger = ledger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.read()

    def read(self) -> None:
        """Take what is new."""
        try:
            found: Any = self._client.xrange(
                self._key, f"({self._last}" if self._last != "0" else "-", count=5000
            )
        except redis.exceptions.RedisError:
            return
        for entry, change in found:
            self._last = entry
            self.histories[change["job"]].append((change["from"], change["to"], int(change["at"])))
            if change["to"] == State.RUNNING:
                self._ledger.beat("claimed")

    def close(self) -> None:
        """Read to the end."""
        self._over.set()
        self._thread.join()
        self.read()
        self._client.close()

    def illegal(self) -> list[str]:
        """Jobs whose history is not one that the table of transitions allows."""
        wrong = []
        for job_id, changes in self.histories.items():
            state = ""
            for before, after, _ in changes:
                fits = before == state and (not state or State(after) in TRANSITIONS[State(before)])
                if not fits:
                    wrong.append(f"{job_id}: {changes}")
                    break
                state = after
        return wrong

    def done_twice(self) -> list[str]:
        """Jobs that ended more than once."""
        ends = {State.SUCCESS, State.FAILED, State.CANCEL}
        return [j for j, changes in self.histories.items() if sum(to in ends for _, to, _ in changes) > 1]

    def claim_gaps(self) -> list[float]:
        """For every job claimed again, the time from claim to claim, s."""
        gaps = []
        for changes in self.histories.values():
            claims = [at for _, to, at in changes if to == State.RUNNING]
            gaps += [(after - before) / 1e6 for before, after in itertools.pairwise(claims)]
        return gaps
