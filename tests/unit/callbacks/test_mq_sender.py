"""Where a message goes, and which is never sent."""

from __future__ import annotations

from typing import Any

import pytest

from stemline.callbacks import mq_sender
from stemline.callbacks.mq_sender import MqSender
from stemline.callbacks.outcome import Outcome
from stemline.jobs.callback import MqConfig
from stemline.runtime.settings import Settings

QUEUE = MqConfig("gz", "Queue", "voice-done")


class Broker:
    """A sender of a protocol that notes what it is asked to send."""

    def __init__(self, *_: Any) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def send(self, *message: Any) -> Outcome:
        self.sent.append(message)
        return Outcome(delivered=True, status="0")


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> MqSender:
    monkeypatch.setattr(mq_sender, "BrokerSender", Broker)
    monkeypatch.setattr(mq_sender, "CmqSender", Broker)
    endpoints = {"gz": "amqp://rabbit/", "bj": "https://cmq.example"}
    return MqSender(Settings(tdmq_endpoints=endpoints, tdmq_max_bytes=2048))


@pytest.mark.parametrize(("size", "is_sent"), [(0, True), (2047, True), (2048, True), (2049, False)])
@pytest.mark.parametrize("region", ["gz", "bj"])
def test_a_message_may_have_so_many_bytes(sender: Any, region: str, size: int, is_sent: bool) -> None:
    """The limit itself is allowed; what is larger is never sent, and not tried again."""
    outcome = sender.send(MqConfig(region, "Queue", "voice-done"), b"x" * size, "application/json", "d1", 0.0)
    assert is_sent == (1 == len(sender._broker.sent) + len(sender._cmq.sent)) == outcome.delivered
    if not is_sent:
        assert ("too-large", True) == (outcome.status, outcome.final)


def test_the_endpoint_decides_on_the_protocol(sender: Any) -> None:
    """CMQ over HTTP, the protocol of a broker otherwise; without an endpoint nothing is sent."""
    assert sender.send(QUEUE, b"x", "application/json", "d1", 7.0).delivered
    assert [("amqp://rabbit/", QUEUE, b"x", "application/json", "d1")] == sender._broker.sent
    other = MqConfig("bj", "Topic", "t")
    assert sender.send(other, b"x", "application/json", "d1", 7.0).delivered
    assert [("https://cmq.example", other, b"x", 7.0)] == sender._cmq.sent
    assert "no-endpoint" == sender.send(MqConfig("sh", "Queue", "q"), b"x", "", "d1", 7.0).status
