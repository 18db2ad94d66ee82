"""Protocols of what delivers callbacks: the outbox and the slots of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.store.values import DeliveryFilter, Listing, Slot, delivery_id
from stemline.jobs.tenant import Tenant


class Outbox(Protocol):
    """Callbacks: stored together with the end of their job, so they can be late but not lost."""

    def due(self, limit: int = 500) -> list[str]:
        """Return ids of callbacks that are due: the oldest of each tenant, then the second of each."""
        ...

    def reserve(self, delivery: str, lease_s: float) -> Delivery | None:
        """Reserve a callback for one attempt.

        The reservation ends after ``lease_s``; the callback is then due again, so it survives its worker.

        Returns:
            The callback, or ``None`` if it is not due.
        """
        ...

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
        """Record the outcome of an attempt. A callback that has been delivered does not change any more.

        Args:
            delivery: Id of the callback.
            attempt: The attempt; ``None`` if it was postponed.
            next_due: When the next attempt is due, µs since the epoch; ``None`` for never.
            status: ``pending``, ``delivered`` or ``dead``.
            by_hand: Whether it was sent by hand while its schedule went on. Such an attempt does not count,
                and while the callback stays ``pending`` the next one is due when the schedule said before.
            created: ``created`` of the callback that was sent. If the batch that it announces has ended once
                more since, nothing is recorded: That end is still to be announced.
        """
        ...

    def get(self, delivery: str) -> Delivery | None:
        """Return a callback with its attempts; the last 100 are kept."""
        ...

    def for_job(self, job_id: str) -> Delivery | None:
        """Return the callback of a job, if it has one yet."""
        return self.get(delivery_id(job_id))

    def dead(
        self,
        *,
        tenant: Tenant | None = None,
        host: str | None = None,
        since: int | None = None,
        page: int = 1,
        size: int = 10,
    ) -> Listing[Delivery]:
        """Return dead letters, the latest first.

        Args:
            tenant: Only those of this tenant.
            host: Only those to this host.
            since: Only those given up at or after this time, µs since the epoch.
            page: Counted from 1.
            size: Callbacks on a page.
        """
        ...

    def search(self, tenant: Tenant, which: DeliveryFilter) -> Listing[Delivery]:
        """Return a tenant's callbacks of some statuses, the latest first."""
        ...

    def send(self, tenant: Tenant, deliveries: Sequence[str]) -> int:
        """Make a tenant's callbacks due at once, whatever their status; return how many are its own.

        The schedule of one that was delivered or given up starts anew; that of one that is pending goes on
        as if nothing had been sent.
        """
        ...

    def send_where(self, tenant: Tenant, which: DeliveryFilter) -> int:
        """Make due every callback that :meth:`search` lists, on any page; return how many."""
        ...

    def replay(self, deliveries: Sequence[str]) -> int:
        """Start the schedule of dead letters anew; return how many of them were dead letters."""
        ...

    def replay_all(self, tenant: Tenant, deliveries: Sequence[str]) -> None:
        """Start the schedule of a tenant's dead letters anew, of all of them or of none.

        Raises:
            IllegalTransition: One of them is no dead letter.
        """
        ...

    def replay_where(
        self, *, tenant: Tenant | None = None, host: str | None = None, since: int | None = None
    ) -> int:
        """Replay every dead letter that :meth:`dead` lists for these filters; return how many."""
        ...


class HostSlots(Protocol):
    """A limit on concurrent deliveries per host, over all callback workers."""

    def acquire(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> Slot:
        """Take one of a host's slots, or join its waiting list.

        Args:
            host: Host and port, or another name of what shares the limit.
            delivery: Id of the callback.
            limit: How many deliveries may go to the host at once.
            ttl_s: After this time a dead worker's slot is free again, s; longer than any delivery.
        """
        ...

    def release(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> str | None:
        """Return a slot.

        Returns:
            The waiting delivery that now holds the slot and must be sent next, if there is one.
        """
        ...
