"""The outbox in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import Outbox
from stemline.jobs.store.values import DeliveryFilter, Listing
from stemline.jobs.tenant import Tenant

_BATCH: Final = 500
"""Callbacks that are read or replayed with one call."""
_FILED_AT_ONCE: Final = 2000
_MOST: Final = 100_000
"""Callbacks that one request looks through."""


class RedisOutbox(Outbox):
    """Callbacks in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def due(self, limit: int = 500) -> list[str]:
        connection = self._connection
        key, now = connection.key("outbox"), connection.now()
        found = connection.read(connection.client.zrangebyscore, key, "-inf", now, start=0, num=limit)
        return [str(name) for name in found]

    def reserve(self, delivery: str, lease_s: float) -> Delivery | None:
        is_reserved = self._connection.run("reserve", delivery, round(lease_s * 1e6))
        return self.get(delivery) if is_reserved else None

    def record(
        self, delivery: str, attempt: DeliveryAttempt | None, *, next_due: int | None, status: str
    ) -> None:
        text = records.text(records.ATTEMPT, attempt) if attempt else ""
        due = "" if next_due is None else next_due
        self._connection.run("record_attempt", delivery, text, due, status)

    def get(self, delivery: str) -> Delivery | None:
        return next(iter(self._load([delivery])), None)

    def dead(
        self,
        *,
        tenant: Tenant | None = None,
        host: str | None = None,
        since: int | None = None,
        page: int = 1,
        size: int = 10,
    ) -> Listing[Delivery]:
        first = (page - 1) * size
        if tenant is None and host is None:
            connection, low = self._connection, _lowest(since)
            key, client = connection.key("dead"), connection.client
            ids = connection.read(client.zrevrangebyscore, key, "+inf", low, start=first, num=size)
            return Listing(self._load(ids), int(connection.read(client.zcount, key, low, "+inf")))
        found = list(self._dead_letters(tenant, host, since))
        return Listing(found[first : first + size], len(found))

    def search(self, tenant: Tenant, which: DeliveryFilter) -> Listing[Delivery]:
        first = (which.page - 1) * which.size
        if which.host is None:
            total, ids = self._filed(tenant, which, first, which.size)
            return Listing(self._load(ids), total)
        found = [each for each in self._all(tenant, which) if each.target.host == which.host]
        return Listing(found[first : first + which.size], len(found))

    def replay(self, deliveries: Sequence[str]) -> int:
        return self._replay(deliveries)

    def send(self, tenant: Tenant, deliveries: Sequence[str]) -> int:
        return self._replay(deliveries, tenant, only_dead=False)

    def send_where(self, tenant: Tenant, which: DeliveryFilter) -> int:
        if which.host is not None:
            found = [each for each in self._all(tenant, which) if each.target.host == which.host]
            return self.send(tenant, [delivery.id for delivery in found])
        # What is sent becomes pending, so the ids are read before the first is.
        return self.send(tenant, self._filed(tenant, which, 0, _MOST)[1])

    def _replay(
        self, deliveries: Sequence[str], tenant: Tenant | None = None, *, only_dead: bool = True
    ) -> int:
        home = "" if tenant is None else str(tenant)
        batches = (deliveries[start : start + _BATCH] for start in range(0, len(deliveries), _BATCH))
        return sum(int(self._connection.run("replay", home, int(only_dead), *batch)) for batch in batches)

    def _all(self, tenant: Tenant, which: DeliveryFilter) -> Iterator[Delivery]:
        _, ids = self._filed(tenant, which, 0, _MOST)
        for start in range(0, len(ids), _BATCH):
            yield from self._load(ids[start : start + _BATCH])

    def _filed(self, tenant: Tenant, which: DeliveryFilter, first: int, size: int) -> tuple[int, list[str]]:
        """Return how many deliveries there are for a filter without its host, and the ids of some of them."""
        since = _lowest(which.since)
        statuses = sorted(which.statuses)
        while (answer := self._connection.run("deliveries", str(tenant), since, first, size, *statuses)) == [
            "unfiled"
        ]:
            self._connection.run("file_deliveries", str(tenant), _FILED_AT_ONCE)
        return int(answer[0]), [str(name) for name in answer[1]]

    def replay_where(
        self, *, tenant: Tenant | None = None, host: str | None = None, since: int | None = None
    ) -> int:
        return self.replay([delivery.id for delivery in self._dead_letters(tenant, host, since)])

    def _dead_letters(self, tenant: Tenant | None, host: str | None, since: int | None) -> Iterator[Delivery]:
        connection = self._connection
        key, low = connection.key("dead"), _lowest(since)
        ids = connection.read(connection.client.zrevrangebyscore, key, "+inf", low)
        for start in range(0, len(ids), _BATCH):
            for delivery in self._load(ids[start : start + _BATCH]):
                if delivery.matches(tenant, host):
                    yield delivery

    def _load(self, ids: Sequence[str]) -> list[Delivery]:
        connection = self._connection
        with connection.client.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.hgetall(connection.key("delivery", name))
                pipe.lrange(connection.key("attempts", name), 0, -1)
            found = connection.read(pipe.execute)
        rows = zip(ids, found[::2], found[1::2], strict=True)
        return [records.delivery(name, record, attempts) for name, record, attempts in rows if record]


def _lowest(since: int | None) -> str | int:
    return "-inf" if since is None else since
