"""The outbox in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.errors import IllegalTransition
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import Outbox
from stemline.jobs.store.values import DeliveryFilter, Listing
from stemline.jobs.tenant import Tenant

_BATCH: Final = 500
"""Callbacks that are read or replayed with one call."""
_LOADED_AT_ONCE: Final = 10
"""Callbacks whose attempts are read at a time: earlier releases kept long answers, which are cut here."""
_FILED_AT_ONCE: Final = 2000
_READ_AT_ONCE: Final = 1000
"""Ids that one call reads of a long list."""
ASKED_AT_ONCE: Final = 100
"""Callbacks of a tenant that may be due while more are asked for at once: no request fills the broker."""
_MAX_LOOKED_THROUGH: Final = 100_000
"""Callbacks of one status that one request looks through."""
_GIVEN_UP: Final = "given-up"
"""The list of a tenant's dead letters by the time they were given up."""


class RedisOutbox(Outbox):
    """Callbacks in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def due(self, limit: int = 500) -> list[str]:
        return [str(name) for name in self._connection.run("due", limit)]

    def reserve(self, delivery: str, lease_s: float) -> Delivery | None:
        is_reserved = self._connection.run("reserve", delivery, round(lease_s * 1e6))
        return self.get(delivery) if is_reserved else None

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
        text = records.text(records.ATTEMPT, attempt) if attempt else ""
        due = "" if next_due is None else next_due
        sent = "" if created is None else created
        self._connection.run("record_attempt", delivery, text, due, status, int(by_hand), sent)

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
        if tenant is not None:
            which = DeliveryFilter(host=host, since=since, page=page, size=size)
            return self._listing(tenant, (_GIVEN_UP,), which)
        first, ids = (page - 1) * size, self._dead_of_all(since)
        return self._page(ids if host is None else list(self._to_host(ids, host)), first, size)

    def search(self, tenant: Tenant, which: DeliveryFilter) -> Listing[Delivery]:
        return self._listing(tenant, sorted(which.statuses), which)

    def _listing(self, tenant: Tenant, lists: Sequence[str], which: DeliveryFilter) -> Listing[Delivery]:
        """Return a page of some lists together."""
        first = (which.page - 1) * which.size
        if which.host is None:
            total, found = self._filed(tenant, lists, which.since, first, which.size)
            return Listing(self._load([name for name, _ in found]), total)
        ids = self._all(tenant, lists, which.since)
        return self._page(list(self._to_host(ids, which.host)), first, which.size)

    def _page(self, ids: Sequence[str], first: int, size: int) -> Listing[Delivery]:
        return Listing(self._load(ids[first : first + size]), len(ids))

    def replay(self, deliveries: Sequence[str]) -> int:
        return self._replay(deliveries)

    def replay_all(self, tenant: Tenant, deliveries: Sequence[str]) -> None:
        count, *rest = self._connection.run("replay", str(tenant), 2, ASKED_AT_ONCE, *deliveries)
        if count < 0:
            raise IllegalTransition(f"The callback {rest[0]} is {rest[1]}, not dead.")
        self._connection.deliver([str(name) for name in rest[0]])

    def send(self, tenant: Tenant, deliveries: Sequence[str]) -> int:
        return self._replay(deliveries, tenant, only_dead=False)

    def send_where(self, tenant: Tenant, which: DeliveryFilter) -> int:
        # What is sent becomes pending, so the ids are read before the first is.
        ids = self._all(tenant, sorted(which.statuses), which.since)
        return self.send(tenant, ids if which.host is None else list(self._to_host(ids, which.host)))

    def _replay(
        self, deliveries: Sequence[str], tenant: Tenant | None = None, *, only_dead: bool = True
    ) -> int:
        home = "" if tenant is None else str(tenant)
        batches = (deliveries[start : start + _BATCH] for start in range(0, len(deliveries), _BATCH))
        count = 0
        for batch in batches:
            due, names = self._connection.run("replay", home, int(only_dead), ASKED_AT_ONCE, *batch)
            self._connection.deliver([str(name) for name in names])
            count += int(due)
        return count

    def replay_where(
        self, *, tenant: Tenant | None = None, host: str | None = None, since: int | None = None
    ) -> int:
        ids = self._dead_of_all(since) if tenant is None else self._all(tenant, (_GIVEN_UP,), since)
        return self.replay(ids if host is None else list(self._to_host(ids, host)))

    def _dead_of_all(self, since: int | None) -> list[str]:
        """Return the ids of all dead letters, the latest first."""
        connection = self._connection
        key, low = connection.key("dead"), _lowest(since)
        found = connection.read(connection.client.zrevrangebyscore, key, "+inf", low)
        return [str(name) for name in found]

    def _all(self, tenant: Tenant, lists: Sequence[str], since: int | None) -> list[str]:
        """Return the ids of a tenant's deliveries, the latest first, read a part at a time."""
        times: dict[str, int] = {}
        for name in lists:
            for first in range(0, _MAX_LOOKED_THROUGH, _READ_AT_ONCE):
                total, found = self._filed(tenant, (name,), since, first, _READ_AT_ONCE)
                times |= dict(found)
                if first + _READ_AT_ONCE >= total:
                    break
        return sorted(times, key=lambda name: (times[name], name), reverse=True)

    def _to_host(self, ids: Sequence[str], host: str) -> Iterator[str]:
        """Yield the ids of those deliveries that go to a host; only their targets are read."""
        connection = self._connection
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            with connection.client.pipeline(transaction=False) as pipe:
                for name in part:
                    pipe.hget(connection.key("delivery", name), "target")
                found = connection.read(pipe.execute)
            for name, text in zip(part, found, strict=True):
                if text and records.TARGET.validate_json(text).host == host:
                    yield name

    def _filed(
        self, tenant: Tenant, lists: Sequence[str], since: int | None, first: int, size: int
    ) -> tuple[int, list[tuple[str, int]]]:
        """Return how many deliveries some lists hold together, and ids and times of a page of them."""
        arguments = (str(tenant), _lowest(since), first, size, *lists)
        while (answer := self._connection.run("deliveries", *arguments)) == ["unfiled"]:
            self._connection.run("file_deliveries", str(tenant), _FILED_AT_ONCE)
        names, times = answer[1][::2], answer[1][1::2]
        return int(answer[0]), [(str(name), int(at)) for name, at in zip(names, times, strict=True)]

    def _load(self, ids: Sequence[str]) -> list[Delivery]:
        parts = (ids[first : first + _LOADED_AT_ONCE] for first in range(0, len(ids), _LOADED_AT_ONCE))
        return [delivery for part in parts for delivery in self._load_part(part)]

    def _load_part(self, ids: Sequence[str]) -> list[Delivery]:
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
