"""What jobs took, in memory."""

from __future__ import annotations

from collections import Counter

from stemline.jobs.store import UsageRepository
from stemline.jobs.store.usage import usage
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import DAY_US, NEARLY_SPENT, Usage
from stemline.testing.in_memory_store.contents import Contents


class InMemoryUsage(UsageRepository):
    """What jobs took, in memory; nothing is forgotten."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def read(self, tenant: Tenant, first: int, last: int) -> list[Usage]:
        with self._contents.lock:
            found = sorted(
                (day, credential, dict(sums))
                for (owner, credential, day), sums in self._contents.usage.items()
                if owner == tenant and first <= day <= last
            )
        return [usage(*row) for row in found]

    def spent(self, credential: str) -> Usage:
        sums: Counter[str] = Counter()
        today = self._contents.clock() // DAY_US
        with self._contents.lock:
            for (_, name, day), found in self._contents.usage.items():
                if (name, day) == (credential, today):
                    sums.update(found)
        known = {name: sums[name] for name in ("jobs", "audio_ms") if sums[name]}
        return usage(today, credential, known)

    def warn(self, tenant: Tenant, credential: str, percent: int) -> None:
        contents = self._contents
        with contents.lock:
            reported = (tenant, credential, contents.clock() // DAY_US)
            if reported not in contents.warned:
                contents.warned.add(reported)
                contents.publish_event(tenant, "budget", credential, NEARLY_SPENT, progress=percent)
