"""What attempts left in buckets, in memory."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.leftover import Leftover
from stemline.jobs.store import LeftoverRepository
from stemline.jobs.store.scripts import LEFTOVER_WAIT_US
from stemline.testing.in_memory_store.contents import Contents


class InMemoryLeftovers(LeftoverRepository):
    """What attempts left in buckets, in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def reserve(self) -> Leftover | None:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            due = [(at, name) for name, (at, _) in contents.leftovers.items() if at <= now]
            if not due:
                return None
            _, name = min(due)
            found = contents.leftovers[name][1]
            found = replace(found, tries=found.tries + 1)
            contents.leftovers[name] = now + LEFTOVER_WAIT_US * 2 ** min(found.tries, 9), found
            return found

    def drop(self, leftover_id: str, *, removed: bool) -> None:
        with self._contents.lock:
            if self._contents.leftovers.pop(leftover_id, None) is not None:
                self._contents.totals[f"leftovers:{'removed' if removed else 'given_up'}"] += 1
