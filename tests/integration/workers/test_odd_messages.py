"""What is in a queue of the broker and is no message of ours ends no worker."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import redis
from kombu import Consumer

from stemline.runtime.bootstrap.celery_processes import celery_app
from stemline.runtime.settings import Settings
from stemline.testing.processes import eventually
from stemline.workers.app import separate_queue
from tests.conftest import ValkeyServer
from tests.support.logs import captured_logs

PROPERTIES = {
    "delivery_tag": "tag",
    "delivery_info": {"exchange": "", "routing_key": "separate.0"},
    "body_encoding": "base64",
    "priority": 0,
}


def message(**changes: Any) -> bytes:
    whole = {
        "body": base64.b64encode(b"[[], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "stemline.separate", "id": "x"},
        "properties": PROPERTIES,
    }
    return json.dumps(whole | changes).encode()


ODD = {
    "text": b"garbage",
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "no properties": b"{}",
    "empty properties": message(properties={}),
    "properties that are a list": message(properties=[]),
    "unknown encoding": message(properties={**PROPERTIES, "body_encoding": "rot13"}),
    "no text": message(body=5),
    "escapes": b"\x1b]0;title\x07\n" + message(),
}


def test_odd_messages_are_dropped(valkey: redis.Redis, valkey_server: ValkeyServer) -> None:
    """The worker logs each of them and takes the next message; none stays among those not acknowledged."""
    app = celery_app(Settings(redis_url=valkey_server.url))
    (queue,) = (each for each in app.conf.task_queues if each.name == separate_queue(0))
    taken: list[Any] = []

    def take(message: Any) -> None:
        message.headers["id"].encode()  # as Celery, which takes what is there for what it sends
        taken.append(message)
        message.ack()

    with app.connection_for_read() as connection, captured_logs() as lines:
        queue(connection.default_channel).declare()
        with Consumer(connection.default_channel, [queue], on_message=take, accept=["json"]):
            valkey.lpush(queue.name, *ODD.values())
            valkey.lpush(
                queue.name,
                message(headers={"id": 5}),
                message(properties={**PROPERTIES, "delivery_tag": "good"}),
            )

            def has_taken() -> bool:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=2)
                return bool(taken)

            eventually(has_taken, 60, "the message behind the odd ones")
    assert ["good"] == [each.delivery_tag for each in taken]
    dropped = [line for line in lines if line["event"] == "broker.message_dropped"]
    assert {"separate.0"} == {line["queue"] for line in dropped}
    assert len(ODD) + 1 == len(dropped)
    assert 0 == valkey.hlen("unacked") == valkey.llen(queue.name)
    app.close()
