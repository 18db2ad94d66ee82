"""The outbox and the slots of hosts in memory."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.errors import IllegalTransition
from stemline.jobs.store import DeliveryFilter, HostSlots, Listing, Outbox, Slot
from stemline.jobs.store.outbox import ASKED_AT_ONCE
from stemline.jobs.store.values import page_of
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.contents import Contents

_KEPT_ATTEMPTS: Final = 100


class InMemoryOutbox(Outbox):
    """Callbacks in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def due(self, limit: int = 500) -> list[str]:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            due = sorted((at, name) for name, at in contents.outbox.items() if at <= now)
            places, turns = Counter[Tenant](), dict[Tenant, int]()
            ranked = []
            for _, name in due:
                tenant = contents.deliveries[name].tenant
                ranked.append((places[tenant], turns.setdefault(tenant, len(turns)), name))
                places[tenant] += 1
        return [name for _, _, name in sorted(ranked)[:limit]]

    def reserve(self, delivery: str, lease_s: float) -> Delivery | None:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            if contents.outbox.get(delivery, now + 1) > now:
                return None
            contents.outbox[delivery] = now + round(lease_s * 1e6)
            return contents.deliveries[delivery]

    def record(
        self,
        delivery: str,
        attempt: DeliveryAttempt | None,
        *,
        next_due: int | None,
        status: str,
        by_hand: bool = False,
        created: int | None = None,
    ) -> None:
        contents = self._contents
        with contents.lock:
            known = contents.deliveries.get(delivery)
            if known is None or known.status == "delivered" or created not in {None, known.created}:
                return
            if attempt is not None:
                surplus = max(0, len(known.attempts) + 1 - _KEPT_ATTEMPTS)
                attempts = (*known.attempts, attempt)[surplus:]
                uncounted = max(0, known.uncounted + by_hand - surplus)
                known = replace(known, attempts=attempts, uncounted=uncounted)
                contents.totals["callback_tries"] += 1
            scheduled = known.scheduled if status == "pending" else None
            if attempt is not None and status == "pending" and by_hand:
                next_due, scheduled = known.due if scheduled is None else scheduled, None
            elif attempt is not None and scheduled is not None:  # meanwhile it was sent by hand too
                next_due, scheduled = known.due, next_due
            contents.deliveries[delivery] = replace(known, status=status, due=next_due, scheduled=scheduled)
            contents.outbox.pop(delivery, None)
            contents.dead.pop(delivery, None)
            if next_due is not None:
                contents.outbox[delivery] = next_due
            if status == "dead":
                contents.dead[delivery] = contents.clock()
            if status != "pending":
                contents.totals[f"callbacks:{status}"] += 1

    def get(self, delivery: str) -> Delivery | None:
        with self._contents.lock:
            return self._contents.deliveries.get(delivery)

    def dead(
        self,
        *,
        tenant: Tenant | None = None,
        host: str | None = None,
        since: int | None = None,
        page: int = 1,
        size: int = 10,
    ) -> Listing[Delivery]:
        found = self._dead_letters(tenant, host, since)
        return Listing(page_of(found, page, size), len(found))

    def search(self, tenant: Tenant, which: DeliveryFilter) -> Listing[Delivery]:
        with self._contents.lock:
            found = [
                each
                for each in self._contents.deliveries.values()
                if each.matches(tenant, which.host)
                and each.status in which.statuses
                and (which.since is None or each.created >= which.since)
            ]
        found.sort(key=lambda each: (each.created, each.id), reverse=True)
        return Listing(page_of(found, which.page, which.size), len(found))

    def send(self, tenant: Tenant, deliveries: Sequence[str]) -> int:
        with self._contents.lock:
            known = [self._contents.deliveries.get(name) for name in deliveries]
            return self._make_due([each for each in known if each and each.tenant == tenant])

    def send_where(self, tenant: Tenant, which: DeliveryFilter) -> int:
        with self._contents.lock:
            return self._make_due(self.search(tenant, replace(which, page=1, size=sys.maxsize)).items)

    def replay(self, deliveries: Sequence[str]) -> int:
        contents = self._contents
        with contents.lock:
            return self._make_due([contents.deliveries[name] for name in deliveries if name in contents.dead])

    def replay_all(self, tenant: Tenant, deliveries: Sequence[str]) -> None:
        contents = self._contents
        with contents.lock:
            for name in deliveries:
                if name not in contents.dead:
                    known = contents.deliveries.get(name)
                    status = known.status if known else "unknown"
                    raise IllegalTransition(f"The callback {name} is {status}, not dead.")
            self.send(tenant, deliveries)

    def _make_due(self, deliveries: Sequence[Delivery]) -> int:
        contents, now = self._contents, self._contents.clock()
        asked = []
        for known in deliveries:
            was_due = contents.outbox.get(known.id, now + 1) <= now
            changed = replace(known, status="pending", due=now, uncounted=len(known.attempts))
            if known.status == "pending":
                scheduled = known.due if known.scheduled is None else known.scheduled
                changed = known if was_due else replace(known, due=now, scheduled=scheduled)
            contents.deliveries[known.id] = changed
            contents.dead.pop(known.id, None)
            contents.outbox[known.id] = now
            if not was_due and self._due(known.tenant, now) <= ASKED_AT_ONCE:
                asked.append(known.id)
        if asked:
            contents.deliver(asked)
        return len(deliveries)

    def _due(self, tenant: Tenant, now: int) -> int:
        outbox, known = self._contents.outbox, self._contents.deliveries
        return sum(at <= now and known[name].tenant == tenant for name, at in outbox.items())

    def replay_where(
        self, *, tenant: Tenant | None = None, host: str | None = None, since: int | None = None
    ) -> int:
        return self.replay([delivery.id for delivery in self._dead_letters(tenant, host, since)])

    def _dead_letters(self, tenant: Tenant | None, host: str | None, since: int | None) -> list[Delivery]:
        contents = self._contents
        with contents.lock:
            latest = sorted(((at, name) for name, at in contents.dead.items()), reverse=True)
            found = [contents.deliveries[name] for at, name in latest if since is None or at >= since]
        return [delivery for delivery in found if delivery.matches(tenant, host)]


class InMemoryHostSlots(HostSlots):
    """Slots of hosts in memory. A place in a waiting list does not expire."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def acquire(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> Slot:
        contents = self._contents
        with contents.lock:
            sending, queued = self._sending(host), contents.queued[host]
            if delivery in sending:
                return Slot.DUPLICATE
            if len(sending) >= limit:
                if delivery not in queued:
                    queued.append(delivery)
                return Slot.QUEUED
            if delivery in queued:
                queued.remove(delivery)
            sending[delivery] = contents.clock() + round(ttl_s * 1e6)
            return Slot.ACQUIRED

    def release(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> str | None:
        contents = self._contents
        with contents.lock:
            sending, queued = self._sending(host), contents.queued[host]
            sending.pop(delivery, None)
            if len(sending) >= limit or not queued:
                return None
            first = queued.pop(0)
            sending[first] = contents.clock() + round(ttl_s * 1e6)
            return first

    def _sending(self, host: str) -> dict[str, int]:
        """Return the deliveries that have a slot, without those of dead workers."""
        slots, now = self._contents.sending[host], self._contents.clock()
        for name in [name for name, end in slots.items() if end <= now]:
            del slots[name]
        return slots
