"""Contract of a job store: where pages end, on a real Valkey and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from stemline.jobs.store import JobFilter, RedisStore, Store
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import TENANT, spec


def pages(store: Store, which: JobFilter) -> list[list[str]]:
    """Return the ids of every page."""
    found: list[list[str]] = []
    cursor: str | None = None
    while cursor or not found:
        page = store.jobs.search(TENANT, replace(which, cursor=cursor))
        found.append([job.id for job in page.items])
        cursor = page.cursor
    return found


@pytest.mark.parametrize("order", ["Asc", "Desc"])
@pytest.mark.parametrize(
    ("size", "expected"), [(1, [1] * 6), (2, [2, 2, 2]), (3, [3, 3]), (5, [5, 1]), (6, [6]), (7, [6])]
)
def test_every_page_but_the_last_is_full(store: Store, order: str, size: int, expected: list[int]) -> None:
    """And the last one has no cursor, also where it is full. Of a filter one without jobs may follow."""
    ids = [job.id for job in store.jobs.create([spec(level=number % 3 and 1) for number in range(9)])]
    levels = [number % 3 and 1 for number in range(9)]
    chosen = [name for name, level in zip(ids, levels, strict=True) if level]
    found = pages(store, JobFilter(size=size, order=order, level=1))
    assert expected == [len(page) for page in (found if found[-1] else found[:-1])]
    assert (chosen if order == "Asc" else chosen[::-1]) == [name for page in found for name in page]
    assert [len(ids)] == [len(page) for page in pages(store, JobFilter(size=9, order=order))]
    assert [[]] == pages(store, JobFilter(size=size, order=order, level=2))


@pytest.mark.usefixtures("valkey")
def test_a_page_looks_at_a_bounded_number_of_jobs(valkey_server: ValkeyServer) -> None:
    """On a server at twenty times its size; then it ends with what it has, and the next one goes on."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store = RedisStore(client)
    jobs = store.jobs.create([spec(level=int(number == 25)) for number in range(30)])
    which = JobFilter(size=1, order="Asc", level=1)
    first = store.jobs.search(TENANT, which)
    assert ([], str(jobs[19].created)) == (first.items, first.cursor)
    second = store.jobs.search(TENANT, replace(which, cursor=first.cursor))
    assert [jobs[25].id] == [job.id for job in second.items]
    client.close()
