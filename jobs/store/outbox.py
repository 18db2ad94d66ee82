"""Callbacks on their way: written with the end of a job, so they can be late but not lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.store import records
from stemline.jobs.store.base import Listing, Repository
from stemline.jobs.tenant import Tenant

_CHUNK: Final = 500
"""Callbacks that are read or replayed with one call."""


def delivery_id(job_id: str) -> str:
    """The delivery that announces a job's end; also its ``webhook-id``."""
    return "d" + job_id[1:]


class Outbox(Repository):
    """The part of the store that keeps callbacks."""

    def due(self, limit: int = 500) -> list[str]:
        """Ids of callbacks whose next try is due."""
        found = self.reading(
            self.client.zrangebyscore, self.scripts.key("outbox"), "-inf", self.now(), start=0, num=limit
        )
        return [str(i) for i in found]

    def reserve(self, delivery: str, lease_s: float) -> Delivery | None:
        """Reserve a callback for one try; ``None`` when it is not due, taken already, or over.

        The reservation ends by itself, so a callback whose worker died is tried again.
        """
        if not self.scripts.run("reserve", delivery, round(lease_s * 1e6)):
            return None
        return self.get(delivery)

    def record(
        self, delivery: str, attempt: DeliveryAttempt | None, *, next_due: int | None, status: str
    ) -> None:
        """Write down how a try went.

        Args:
            delivery: whose.
            attempt: the try; ``None`` when it was only put off.
            next_due: when the next one is due, µs; ``None`` for never.
            status: ``pending``, ``delivered`` or ``dead``.
        """
        text = records.text(records.ATTEMPT, attempt) if attempt else ""
        self.scripts.run("record_attempt", delivery, text, "" if next_due is None else next_due, status)

    def get(self, delivery: str) -> Delivery | None:
        """One callback with all its tries."""
        return next(iter(self._load([delivery])), None)

    def for_job(self, job_id: str) -> Delivery | None:
        """The callback of a job; ``None`` when it has none (yet)."""
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
        """Callbacks that were given up, the latest first.

        Args:
            tenant: only this one's.
            host: only those whose URL names this host.
            since: only those given up at or after this time, µs.
            page: counted from 1.
            size: rows of a page.
        """
        first = (page - 1) * size
        if tenant is None and host is None:
            low: str | int = "-inf" if since is None else since
            key = self.scripts.key("dead")
            ids = self.reading(self.client.zrevrangebyscore, key, "+inf", low, start=first, num=size)
            return Listing(self._load(ids), int(self.reading(self.client.zcount, key, low, "+inf")))
        found = list(self._given_up(tenant, host, since))
        return Listing(found[first : first + size], len(found))

    def replay_where(
        self, *, tenant: Tenant | None = None, host: str | None = None, since: int | None = None
    ) -> int:
        """Replay every dead callback that ``dead`` would list for these filters; how many there were."""
        return self.replay([d.id for d in self._given_up(tenant, host, since)])

    def replay(self, deliveries: Sequence[str]) -> int:
        """Try dead callbacks again from the start of their schedule; how many there were."""
        chunks = (deliveries[start : start + _CHUNK] for start in range(0, len(deliveries), _CHUNK))
        return sum(int(self.scripts.run("replay", *chunk)) for chunk in chunks)

    def _given_up(self, tenant: Tenant | None, host: str | None, since: int | None) -> Iterator[Delivery]:
        low: str | int = "-inf" if since is None else since
        ids = self.reading(self.client.zrevrangebyscore, self.scripts.key("dead"), "+inf", low)
        for start in range(0, len(ids), _CHUNK):
            for delivery in self._load(ids[start : start + _CHUNK]):
                if tenant in {None, delivery.tenant} and host in {None, delivery.target.host}:
                    yield delivery

    def _load(self, ids: Sequence[str]) -> list[Delivery]:
        with self.client.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.hgetall(self.scripts.key("delivery", name))
                pipe.lrange(self.scripts.key("attempts", name), 0, -1)
            found = self.reading(pipe.execute) if ids else []
        rows = zip(ids, found[::2], found[1::2], strict=True)
        return [records.delivery(i, record, tries) for i, record, tries in rows if record]
