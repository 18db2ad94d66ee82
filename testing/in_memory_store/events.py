"""Events in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stemline.jobs.event import Event, place
from stemline.jobs.job import Job
from stemline.jobs.store import EventRepository
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.contents import Contents


class InMemoryEvents(EventRepository):
    """Events in memory; they are kept by number alone."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def begin(self, tenant: Tenant, ids: Sequence[str] = ()) -> tuple[str, list[Job | None]]:
        contents = self._contents
        with contents.lock:
            found = [contents.jobs.get(job_id) for job_id in ids]
            jobs = [contents.view(job) if job and job.spec.tenant == tenant else None for job in found]
            return contents.last_event(), jobs

    def read(self, tenant: Tenant, after: str, limit: int = 500) -> list[Event] | None:
        contents = self._contents
        with contents.lock:
            if place(after) < contents.forgotten.get(tenant, (0, 0)):
                return None
            if place(after) > place(contents.last_event()):
                return None
            return [event for event in contents.events[tenant] if place(event.id) > place(after)][:limit]

    def wait(self, after: Mapping[Tenant, str], timeout_s: float) -> dict[Tenant, list[Event]]:
        def new() -> dict[Tenant, list[Event]]:
            found = {tenant: self.read(tenant, last) or [] for tenant, last in after.items()}
            return {tenant: events for tenant, events in found.items() if events}

        contents = self._contents
        with contents.changed:
            contents.changed.wait_for(lambda: bool(new()), timeout_s)
            return new()
