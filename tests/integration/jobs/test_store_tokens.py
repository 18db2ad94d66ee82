"""Fencing tokens of a server that lost what it had answered: none is given twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest
import redis

from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import Job
from stemline.jobs.store import RedisStore
from stemline.testing import FixedClock
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import DONE, spec
from tests.integration.jobs.test_formats import dump, restore


@pytest.fixture
def client(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[redis.Redis]:
    """A client of the empty server."""
    found = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    yield found
    found.close()


def reclaim(store: RedisStore) -> Job | None:
    """Reclaim the job whose lease is over."""
    (job_id,) = store.attempts.expired()
    return store.attempts.reclaim(job_id, "sweeper")


@pytest.mark.parametrize("give", [lambda store: store.attempts.claim("w", [0]), reclaim])
def test_a_lost_token_is_not_given_again(client: redis.Redis, give: Callable[[RedisStore], Job]) -> None:
    """The claim after one that the server lost has another token; the lost attempt can write nothing."""
    clock = FixedClock()
    store = RedisStore(client, clock=clock)
    store.jobs.create([spec()])
    if give is reclaim:
        store.attempts.claim("w", [0])
        clock.advance(60)
    before = dump(client)
    lost = give(store)
    client.flushdb()
    restore(client, before)
    clock.advance(1)

    held = give(store)

    assert lost.id == held.id
    assert lost.token < held.token
    with pytest.raises(LeaseLost):
        store.attempts.succeed(lost, DONE)
    store.attempts.succeed(held, DONE)


def test_tokens_are_made_in_one_place() -> None:
    """Every script that writes a token takes it from the function that never gives one twice."""
    written = re.compile(r"'token',\s*([^,)]*)")
    found = {
        file.name: written.findall(text)
        for file in (files("stemline.jobs.store") / "lua").iterdir()
        if file.is_file() and "redis.call('HSET'" in (text := file.read_text())
    }
    assert {"claim.lua", "reclaim.lua"} == {name for name, values in found.items() if values}
    assert {"next_token(job"} == {value for values in found.values() for value in values}
