"""Protocol of events for clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from stemline.jobs.event import Event
from stemline.jobs.job import Job
from stemline.jobs.tenant import Tenant


class EventRepository(Protocol):
    """Events: each is written together with the change that it describes."""

    def begin(self, tenant: Tenant, ids: Sequence[str] = ()) -> tuple[str, list[Job | None]]:
        """Return the id of a tenant's last event, and its jobs as they are at that moment.

        What happens later has later events. Before a tenant's first event, the id is that of none.
        """
        ...

    def read(self, tenant: Tenant, after: str, limit: int = 500) -> list[Event] | None:
        """Return a tenant's events after one of them, the oldest first.

        Returns:
            The events; ``None`` if some of them may not be kept any more, or if the tenant's last event comes
            before the one given: the store has lost events since, or its clock was set back.
        """
        ...

    def wait(self, after: Mapping[Tenant, str], timeout_s: float) -> dict[Tenant, list[Event]]:
        """Wait until one of these tenants has an event after the one given.

        Returns:
            New events by tenant; empty after ``timeout_s``.
        """
        ...
