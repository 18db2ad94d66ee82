"""Protocol of what jobs took."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import Usage


class UsageRepository(Protocol):
    """Sums by credential and day, which the scripts keep that create and end jobs; for 400 days."""

    def read(self, tenant: Tenant, first: int, last: int) -> list[Usage]:
        """Return what jobs of a tenant took, by day and credential.

        Args:
            tenant: The owner of the jobs.
            first: First day, days since the epoch.
            last: Last day.
        """
        ...

    def spent(self, credential: str) -> Usage:
        """Return what a credential took today, over all tenants: its jobs and seconds of audio."""
        ...

    def warn(self, tenant: Tenant, credential: str, percent: int) -> None:
        """Publish to listeners of a tenant, once a day, that a budget is nearly spent."""
        ...
