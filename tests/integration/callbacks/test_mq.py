"""Callbacks to message queues: the CMQ protocol, RabbitMQ and Redis, each with a client that reads."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import kombu
import pytest

from stemline.deploy.local.ports import free_port
from stemline.jobs.callback import CallbackRequest, MqConfig
from stemline.testing.cmq_endpoint import SECRET_ID, SECRET_KEY, cmq_endpoint
from stemline.testing.processes import eventually
from stemline.testing.rabbitmq import RabbitMq
from stemline.wire.callback import json_body, xml_body
from tests.conftest import missing

pytestmark = pytest.mark.slow


def tdmq(mode: str = "Queue", name: str = "voice-done", form: str = "JSON") -> CallbackRequest:
    """Return the CallBack fields of a job that asks for a message."""
    return CallbackRequest(format=form, type="TDMQ", url="no", mq=MqConfig("gz", mode, name))


@pytest.fixture
def cmq_client(monkeypatch, tmp_path) -> Iterator[Any]:
    """The official client; it imports an unused module that newer Pythons do not have."""
    monkeypatch.chdir(tmp_path)  # it logs into the working directory
    monkeypatch.setitem(sys.modules, "mailcap", SimpleNamespace(subst=None))
    from cmq.account import Account
    from cmq.queue import Message

    yield SimpleNamespace(Account=Account, Message=Message)
    logger = logging.getLogger("CMQ_python_sdk")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory) -> Iterator[RabbitMq]:
    """A real RabbitMQ."""
    if not RabbitMq.available():
        missing("RabbitMQ (Debian package rabbitmq-server)")
    server = RabbitMq(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.close()


def as_bytes(body: str | bytes) -> bytes:
    """A body as sent; a client of AMQP decodes it by the message's content encoding."""
    return body.encode() if isinstance(body, str) else body


def cmq_settings(url: str, **changes) -> dict[str, object]:
    return {
        "tdmq_endpoints": {"gz": url},
        "tdmq_secret_id": SECRET_ID,
        "tdmq_secret_key": SECRET_KEY,
    } | changes


@pytest.mark.parametrize("method", ["HmacSHA1", "HmacSHA256"])
def test_the_official_client_receives_what_we_send(bench, cmq_client, method):
    """The official CMQ client receives our message with exactly the bytes of a Url callback."""
    with cmq_endpoint() as endpoint:
        bench = bench(**cmq_settings(endpoint.url, tdmq_signature=method))
        delivery = bench.try_(bench.end_job(tdmq()))
        assert ("delivered", "200") == (delivery.status, delivery.attempts[0].status)
        account = cmq_client.Account(endpoint.url, SECRET_ID, SECRET_KEY)
        account.set_sign({"HmacSHA1": "sha1", "HmacSHA256": "sha256"}[method])
        received = account.get_queue("voice-done").receive_message(1)
    assert json_body(bench.store.jobs.find(delivery.job_id)).decode() == received.msgBody


def test_the_endpoint_of_these_tests_is_the_official_clients_too(cmq_client):
    """The test's endpoint accepts messages of the official client, so it behaves like the service."""
    with cmq_endpoint() as endpoint:
        queue = cmq_client.Account(endpoint.url, SECRET_ID, SECRET_KEY).get_queue("other")
        queue.send_message(cmq_client.Message("hello"))
        assert "hello" == queue.receive_message(1).msgBody


def test_a_topic_gets_a_publication(bench):
    """MqMode Topic publishes to the topic, in XML if the job asks for it."""
    with cmq_endpoint() as endpoint:
        bench = bench(**cmq_settings(endpoint.url))
        delivery = bench.try_(bench.end_job(tdmq("Topic", form="XML")))
        assert [xml_body(bench.store.jobs.find(delivery.job_id)).decode()] == endpoint.topics["voice-done"]


def test_a_refused_message_is_retried(bench):
    """A code other than 0 is a failed attempt with that code, on the same schedule as URLs."""
    with cmq_endpoint() as endpoint:
        bench = bench(**cmq_settings(endpoint.url))
        endpoint.refuse_with = 4440
        delivery = bench.end_job(tdmq())
        assert "cmq-4440" == bench.try_(delivery).attempts[0].status
        assert 5 == bench.wait_s(delivery)
        endpoint.refuse_with = None
        bench.clock.advance(5)
        assert "delivered" == bench.try_(delivery).status
        assert 1 == len(endpoint.queues["voice-done"])


def test_a_message_over_the_limit_is_a_dead_letter_at_once(bench):
    """A body over the message limit is never sent."""
    with cmq_endpoint() as endpoint:
        bench = bench(**cmq_settings(endpoint.url, tdmq_max_bytes=100))
        after = bench.try_(bench.end_job(tdmq()))
    assert ("dead", "too-large", 0) == (after.status, after.attempts[0].status, len(endpoint.requests))


def test_a_region_without_endpoint_is_a_failed_attempt(bench):
    """An MqRegion without endpoint is a failed attempt, which is retried: the setting may be added."""
    bench = bench()
    delivery = bench.end_job(tdmq())
    after = bench.try_(delivery)
    assert ("pending", "no-endpoint") == (after.status, after.attempts[0].status)


def test_rabbitmq_queue(bench, rabbitmq):
    """A missing queue is declared durable, and receives one persistent message with the delivery's id."""
    bench = bench(tdmq_endpoints={"gz": rabbitmq.url})
    delivery = bench.try_(bench.end_job(tdmq(name="made-by-us")))
    assert ("delivered", "confirmed") == (delivery.status, delivery.attempts[0].status)
    with kombu.Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        channel.queue_declare("made-by-us", durable=True, auto_delete=False)  # fails if made otherwise
        message = channel.basic_get("made-by-us", no_ack=True)
    assert json_body(bench.store.jobs.find(delivery.job_id)) == as_bytes(message.body)
    assert (2, delivery.id) == (message.properties["delivery_mode"], message.properties["message_id"])
    assert "application/json" == message.properties["content_type"]


def test_rabbitmq_topic_reaches_every_subscriber(bench, rabbitmq):
    """A topic is a fanout exchange: every queue bound to it gets the message."""
    bench = bench(tdmq_endpoints={"gz": rabbitmq.url})
    bench.try_(bench.end_job(tdmq("Topic", "ended")))
    with kombu.Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        for name in ("first", "second"):
            channel.queue_declare(name, durable=True, auto_delete=False)
            channel.queue_bind(name, "ended")
        delivery = bench.try_(bench.end_job(tdmq("Topic", "ended", "XML")))
        bodies = [channel.basic_get(name, no_ack=True).body for name in ("first", "second")]
    assert [xml_body(bench.store.jobs.find(delivery.job_id)).decode()] * 2 == bodies


def test_rabbitmq_must_confirm(bench, rabbitmq):
    """A message that the broker rejects is a failed attempt: delivered means confirmed."""
    bench = bench(tdmq_endpoints={"gz": rabbitmq.url})
    with kombu.Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("full", durable=True, auto_delete=False, arguments=limits)
        first, second = bench.end_job(tdmq(name="full")), bench.end_job(tdmq(name="full"))
        assert "delivered" == bench.try_(first).status
        after = bench.try_(second)
        assert ("pending", "broker") == (after.status, after.attempts[0].status)
        assert "the broker does not keep the message" == after.attempts[0].answer
        channel.queue_purge("full")
        bench.clock.advance(5)
        assert "delivered" == bench.try_(second).status


def test_a_broker_that_is_down(bench, rabbitmq):
    """With a broker that is down the schedule ends in a dead letter, which a replay delivers."""
    down = f"amqp://user:hush@127.0.0.1:{free_port()}//"
    bench = bench(tdmq_endpoints={"gz": down}, callback_schedule_s=(0, 5))
    delivery = bench.end_job(tdmq(name="later"))
    assert "broker" == bench.try_(delivery).attempts[0].status
    bench.clock.advance(5)
    after = bench.try_(delivery)
    assert "dead" == after.status
    assert "hush" not in "".join(a.answer for a in after.attempts)
    assert 1 == bench.store.outbox.replay([delivery.id])
    repaired = type(bench)(
        bench.store, bench.clock, bench.settings.with_changes(tdmq_endpoints={"gz": rabbitmq.url})
    )
    assert "delivered" == repaired.try_(delivery).status


def test_redis_queue(bench, valkey_server):
    """On Redis, a consumer of the queue receives the message."""
    bench = bench(tdmq_endpoints={"*": valkey_server.url})
    delivery = bench.try_(bench.end_job(tdmq(name="voice-done")))
    assert ("delivered", "stored") == (delivery.status, delivery.attempts[0].status)
    with kombu.Connection(valkey_server.url) as connection, connection.SimpleQueue("voice-done") as queue:
        message = queue.get(timeout=180)
        message.ack()
    assert json_body(bench.store.jobs.find(delivery.job_id)) == as_bytes(message.body)


def test_redis_topic(bench, valkey, valkey_server):
    """On Redis, a subscriber of the topic receives the message."""
    bench = bench(tdmq_endpoints={"gz": valkey_server.url})
    exchange = kombu.Exchange("ended", type="fanout", durable=True)
    heard: list[bytes] = []
    with kombu.Connection(valkey_server.url) as connection:
        queue = kombu.Queue("listener", exchange, exclusive=True)
        with connection.Consumer(
            queue, callbacks=[lambda _, message: heard.append(message.body)], no_ack=True
        ):
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.2)  # the subscription is made by listening
            eventually(lambda: valkey.pubsub_numpat() or valkey.pubsub_channels(), 180, "the subscription")
            delivery = bench.try_(bench.end_job(tdmq("Topic", "ended")))
            while not heard:
                connection.drain_events(timeout=180)
    assert [json_body(bench.store.jobs.find(delivery.job_id))] == heard


@pytest.mark.parametrize("scheme", ["amqp", "redis", "http"])
def test_a_broker_that_does_not_respond(bench, scheme):
    """A broker that accepts connections and never responds is a failed attempt within a few timeouts."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        bench = bench(**cmq_settings(endpoint, callback_timeout_s=0.3))
        began = time.monotonic()
        after = bench.try_(bench.end_job(tdmq()))
        took = time.monotonic() - began
    assert ("timeout" if scheme == "http" else "broker") == after.attempts[0].status
    assert took < 180  # it would wait for ever
