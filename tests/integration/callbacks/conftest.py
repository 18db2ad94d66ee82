"""A store with a fixed clock, and jobs that end in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from stemline.callbacks.delivery import DeliveryService
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import Delivery
from stemline.jobs.store import RedisStore, Store
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from stemline.testing import FixedClock
from stemline.testing.samples import job_result, job_spec

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class Bench:
    """A store, its clock and a delivery service."""

    store: Store
    clock: FixedClock
    settings: Settings
    service: DeliveryService = field(init=False)

    def __post_init__(self) -> None:
        self.service = DeliveryService(self.store, self.settings)

    def end_job(self, callback: CallbackRequest, *, credential: str = "", fail: bool = False) -> Delivery:
        """Submit, claim and end a job; return its callback, not yet attempted."""
        spec = job_spec(callback, credential)
        (job,) = self.store.jobs.create([dataclasses.replace(spec, queue_id="")])
        claimed = self.store.attempts.claim("test", [spec.level])
        assert claimed is not None
        if fail:
            self.store.attempts.fail(claimed, "ResourceNotFound", "The input object does not exist.")
        else:
            self.store.attempts.succeed(claimed, job_result())
        delivery = self.store.outbox.for_job(job.id)
        assert delivery is not None
        return delivery

    def post_to(self, url: str, **options) -> Delivery:
        """Return the callback of a job that names a URL."""
        return self.end_job(CallbackRequest(url=url, format="JSON"), **options)

    def try_(self, delivery: Delivery) -> Delivery:
        """Deliver a callback if it is due; return it afterwards."""
        self.service.deliver(delivery.id)
        after = self.store.outbox.get(delivery.id)
        assert after is not None
        return after

    def wait_s(self, delivery: Delivery) -> float | None:
        """Return the seconds until the next attempt."""
        after = self.store.outbox.get(delivery.id)
        assert after is not None
        return None if after.due is None else (after.due - self.clock.now) / 1e6


@pytest.fixture
def bench(valkey: redis.Redis, valkey_server) -> Iterator[Callable[..., Bench]]:
    """Make a bench; loopback is allowed unless the test's settings say otherwise."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    clock = FixedClock()

    def make(**changes) -> Bench:
        chosen: dict[str, Any] = {"callback_allow_networks": LOOPBACK, "callback_jitter": 0.0}
        settings = Settings(**chosen | changes)
        return Bench(RedisStore(client, store_options(settings), clock=clock), clock, settings)

    yield make
    client.close()
