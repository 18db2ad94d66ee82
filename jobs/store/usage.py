"""What jobs took, in Redis."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import UsageRepository
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import DAY_US, NEARLY_SPENT, Budget, Usage

_SPENT = frozenset({"jobs", "audio_ms"})


class RedisUsage(UsageRepository):
    """What jobs took, in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, tenant: Tenant, first: int, last: int) -> list[Usage]:
        days = range(first, last + 1)
        found = self._connection.hashes("usage", [f"{tenant}:{day}" for day in days])
        rows: list[Usage] = []
        for day, record in zip(days, found, strict=True):
            sums: dict[str, dict[str, int]] = defaultdict(dict)
            for name, value in record.items():
                credential, _, what = name.rpartition("|")
                sums[credential][what] = int(value)
            rows += [usage(day, credential, sums[credential]) for credential in sorted(sums)]
        return rows

    def spent(self, credential: str) -> Usage:
        day = self._connection.now() // DAY_US
        (record,) = self._connection.hashes("spent", [f"{credential}:{day}"])
        return usage(day, credential, {name: int(value) for name, value in record.items() if name in _SPENT})

    def warn(self, tenant: Tenant, credential: str, percent: int) -> None:
        self._connection.run("warn", str(tenant), credential, percent, NEARLY_SPENT)


def budget_arguments(budget: Budget) -> tuple[str | int, str | int]:
    """Return the jobs and the ms of audio of a budget as the scripts take them; '' for no limit."""
    jobs = "" if budget.jobs is None else budget.jobs
    return jobs, "" if budget.audio_s is None else round(budget.audio_s * 1000)


def usage(day: int, credential: str, sums: dict[str, int]) -> Usage:
    """Return the sums of one credential and day, by their names in ``use`` of lib/usage.lua."""
    values: dict[str, Any] = {name: value for name, value in sums.items() if not name.startswith("work_ms:")}
    work = {
        name.removeprefix("work_ms:"): value for name, value in sums.items() if name.startswith("work_ms:")
    }
    return Usage(day=day, credential=credential, work_ms=work, **values)
