"""An empty job store of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from stemline.jobs.store import RedisStore, Store, StoreOptions, WakeUp
from stemline.testing import FixedClock, InMemoryStore
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import Make


@pytest.fixture
def client(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[redis.Redis]:
    """A client of the server, which is empty."""
    found = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    yield found
    found.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def wake_ups() -> list[WakeUp]:
    return []


@pytest.fixture
def asked_for() -> list[str]:
    """Callbacks whose delivery a store asked for."""
    return []


@pytest.fixture(params=["redis", "in memory"])
def make(
    request: pytest.FixtureRequest, clock: FixedClock, wake_ups: list[WakeUp], asked_for: list[str]
) -> Iterator[Make]:
    """Make an empty store of each kind, with options of the test's choice."""
    used: Any = {"notify": wake_ups.extend, "deliver": asked_for.extend, "clock": clock}
    if request.param == "in memory":
        yield lambda **options: InMemoryStore(StoreOptions(**options), **used)
        return
    request.getfixturevalue("valkey")
    url = request.getfixturevalue("valkey_server").url
    client = redis.Redis.from_url(url, decode_responses=True)
    yield lambda **options: RedisStore(client, StoreOptions(**options), **used)
    client.close()


@pytest.fixture
def store(make: Make) -> Store:
    return make()
