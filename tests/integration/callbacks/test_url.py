"""Callbacks to URLs: every kind of receiver, on the real outbox."""

from __future__ import annotations

import socket
import time

import pytest

from stemline.testing.receiver import Receiver, answer, close_early, drip, flood, hang, receiving
from stemline.wire.callback import json_body


def test_a_callback_is_sent_once(bench):
    """A healthy receiver gets one POST, with the wire's body and content type, at the URL as given."""
    bench = bench()
    with receiving(answer(204)) as receiver:
        delivery = bench.post_to(receiver.url)
        assert [True, False] == [bench.service.deliver(delivery.id) for _ in range(2)]
    (request,) = receiver.received
    assert ("POST", "/hook?a=1") == (request.method, request.target)
    assert json_body(bench.store.jobs.find(delivery.job_id)) == request.body
    assert "application/json" == request.headers["content-type"]
    assert f"127.0.0.1:{receiver.port}" == request.headers["host"]
    assert "webhook-signature" not in request.headers
    after = bench.store.outbox.get(delivery.id)
    assert ("delivered", None, ["204"]) == (after.status, after.due, [a.status for a in after.attempts])


def test_failing_twice_then_answering(bench):
    """After two failures the receiver is called again after 5 s and 300 s, and after a success no more."""
    bench = bench()
    with receiving(answer(500, b"oh no"), answer(404), answer(200)) as receiver:
        delivery = bench.post_to(receiver.url)
        after = bench.try_(delivery)
        assert ("pending", "500", "oh no") == (
            after.status,
            after.attempts[0].status,
            after.attempts[0].answer,
        )
        assert 5 == bench.wait_s(delivery)
        bench.clock.advance(4.9)
        assert 1 == len(bench.try_(delivery).attempts)
        bench.clock.advance(0.1)
        bench.try_(delivery)
        assert 300 == bench.wait_s(delivery)
        bench.clock.advance(300)
        after = bench.try_(delivery)
    assert ("delivered", ["500", "404", "200"]) == (after.status, [a.status for a in after.attempts])
    assert 3 == len(receiver.received)


@pytest.mark.parametrize(
    ("behaviour", "word"), [(hang, "timeout"), (drip, "timeout"), (close_early, "closed")]
)
def test_receivers_that_do_not_answer_cost_no_more_than_the_limit(bench, behaviour, word):
    """A receiver that hangs, sends slowly or closes early fails within the timeout of the delivery."""
    bench = bench(callback_timeout_s=0.5)
    with receiving(behaviour) as receiver:
        delivery = bench.post_to(receiver.url)
        began = time.monotonic()
        after = bench.try_(delivery)
        took = time.monotonic() - began
    assert word == after.attempts[0].status
    assert took < 180  # they would keep it for ever
    assert 5 == bench.wait_s(delivery)


def test_redirects_are_not_followed(bench):
    """A redirect is a failed attempt that keeps its target, and no request goes there."""
    bench = bench()
    with receiving() as other:
        for location in ("http://169.254.169.254/latest/meta-data/", other.url):
            with receiving(answer(302, headers={"Location": location})) as receiver:
                attempt = bench.try_(bench.post_to(receiver.url)).attempts[0]
                assert ("302", f"Location: {location}") == (attempt.status, attempt.answer)
    assert 0 == other.connections


def test_a_huge_answer_is_not_read(bench):
    """Of a 64 MB response only a small part is read, and its status decides."""
    bench = bench()
    with receiving(flood(64 << 20)) as receiver:
        after = bench.try_(bench.post_to(receiver.url))
        time.sleep(0.2)
    assert "delivered" == after.status
    assert 1024 == len(after.attempts[0].answer)
    assert receiver.flooded < 8 << 20


def head_alone(connection: socket.socket, receiver: Receiver) -> None:
    """Answer 200 with a body that never comes."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    hang(connection, receiver)


def test_the_body_of_an_answer_is_not_waited_for_long(bench, monkeypatch):
    """Once the status is known the delivery is over, whatever time a receiver takes for the rest."""
    monkeypatch.setattr("stemline.callbacks.http.BODY_TIMEOUT_S", 0.2)
    bench = bench(callback_timeout_s=600)
    with receiving(head_alone) as receiver:
        began = time.monotonic()
        after = bench.try_(bench.post_to(receiver.url))
        assert time.monotonic() - began < 180  # it would take 600 s
    assert ("delivered", "200") == (after.status, after.attempts[0].status)


def test_410_ends_it(bench):
    """After 410 the callback is a dead letter at once."""
    bench = bench()
    with receiving(answer(410)) as receiver:
        delivery = bench.post_to(receiver.url)
        after = bench.try_(delivery)
    assert ("dead", None) == (after.status, after.due)
    assert [delivery.id] == [d.id for d in bench.store.outbox.dead().items]


@pytest.mark.parametrize(
    ("value", "wait"),
    [("120", 120), ("2", 5), ("Sun, 20 Sep 2026 00:00:00 GMT", 5), ("nonsense", 5), ("9" * 30, 86_400)],
)
def test_retry_after_is_honoured(bench, value, wait):
    """Retry-After makes a wait longer, up to a day, and never shorter."""
    bench = bench()
    with receiving(answer(503, headers={"Retry-After": value})) as receiver:
        delivery = bench.post_to(receiver.url)
        bench.try_(delivery)
    assert wait == bench.wait_s(delivery)


def test_retry_after_as_a_date(bench):
    """Retry-After may be a date."""
    bench = bench()
    # The bench's clock stands at 2026-09-21 14:13:20 GMT.
    with receiving(answer(429, headers={"Retry-After": "Mon, 21 Sep 2026 14:23:20 GMT"})) as receiver:
        delivery = bench.post_to(receiver.url)
        bench.try_(delivery)
    assert 600 == bench.wait_s(delivery)
