"""Several installations on one server: each has a prefix before its keys and its channels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from flower.utils.broker import Broker

from stemline.jobs.store.values import WakeUp
from stemline.runtime.settings import Settings
from stemline.testing.processes import eventually
from stemline.workers.app import CALLBACKS, LEVELS, SWEEP, SWEEPS, create_app, separate_queue
from stemline.workers.notifier import CeleryNotifier

pytestmark = pytest.mark.slow

PREFIXES = ("stemline", "second", "third")
#: Of the page: what a user may do that sees the keys of one installation alone.
RIGHTS = ["+@read", "+@write", "+@connection", "+@transaction", "+@scripting", "+@pubsub", "-@dangerous"]


@pytest.fixture
def apps(valkey: redis.Redis, valkey_server: Any) -> Iterator[dict[str, Celery]]:
    """An application of each installation; those with a prefix of their own as users of their own."""
    found = {}
    for prefix in PREFIXES:
        url = valkey_server.url
        if prefix != "stemline":
            rules = ["on", ">secret", "resetkeys", f"~{prefix}:*", "resetchannels", f"&{prefix}:*", "-@all"]
            valkey.execute_command("ACL", "SETUSER", prefix, *rules, *RIGHTS)
            url = url.replace("redis://", f"redis://{prefix}:secret@")
        found[prefix] = create_app(Settings(redis_url=url, key_prefix=prefix))
    yield found
    for app in found.values():
        app.close()
    valkey.execute_command("ACL", "DELUSER", *PREFIXES[1:])


def received(app: Celery, queue: str) -> tuple[list[Any], int]:
    """The argument of the first message of a queue, read as a worker does, and how many messages are left."""
    found: list[Any] = []

    def take(body: Any, message: Any) -> None:
        found.append(body[0][0])
        message.ack()

    with (
        app.connection_for_read() as connection,
        connection.Consumer([app.amqp.queues[queue]], callbacks=[take], accept=["json"]),
    ):
        connection.drain_events(timeout=60)
        return found, connection.default_channel.client.llen(queue)


def test_messages_stay_within_their_installation(apps: dict[str, Celery], valkey: redis.Redis) -> None:
    """Wake-ups, deliveries and sweeps of an installation are read by its own workers, each once."""
    for prefix, app in apps.items():
        notifier = CeleryNotifier(app)
        notifier.notify_workers([WakeUp(level, "j1") for level in LEVELS])
        notifier.deliver(f"delivery of {prefix}")
        app.send_task(SWEEP)
    own = set(valkey.scan_iter(f"{PREFIXES[1]}:*"))
    assert {f"{PREFIXES[1]}:separate.{level}".encode() for level in LEVELS} <= own
    for prefix, app in apps.items():
        assert ([f"delivery of {prefix}"], 0) == received(app, CALLBACKS)
        for level in LEVELS:
            assert ([level], 0) == received(app, separate_queue(level))
        with app.connection_for_read() as connection:
            assert 1 == connection.default_channel.client.llen(SWEEPS)


def test_flower_counts_the_messages_of_its_installation(apps: dict[str, Celery]) -> None:
    """The page of queues reads the keys of its own installation."""
    CeleryNotifier(apps["second"]).notify_workers([WakeUp(2, "j1")])
    counts = {}
    for prefix, app in apps.items():
        broker = Broker(app.conf.broker_url, broker_options=app.conf.broker_transport_options)
        (found,) = asyncio.run(broker.queues([separate_queue(2)]))
        counts[prefix] = found["messages"]
    assert {"stemline": 0, "second": 1, "third": 0} == counts


def test_no_worker_answers_the_questions_of_another_installation(
    apps: dict[str, Celery], valkey: redis.Redis
) -> None:
    """Questions to workers, and their events for Flower, are sent on channels of their installation."""
    listener = valkey.pubsub()
    listener.psubscribe("*")
    assert "psubscribe" == listener.get_message(timeout=60)["type"]
    for app in apps.values():
        app.control.broadcast("ping")
        with app.events.default_dispatcher() as events:
            events.send("worker-online")
    seen: list[bytes] = []

    def all_seen() -> bool:
        message = listener.get_message(timeout=1)
        if message is not None:
            seen.append(message["channel"])
        return len(seen) >= 2 * len(PREFIXES)

    eventually(all_seen, 180, "the messages on all channels")
    listener.close()
    of = [[each for each in seen if each.startswith(f"{prefix}:".encode())] for prefix in PREFIXES[1:]]
    assert [2, 2] == [len(each) for each in of]
    assert len(seen) >= 2 * len(PREFIXES)
    assert not any(each.startswith(b"stemline") for each in seen)
