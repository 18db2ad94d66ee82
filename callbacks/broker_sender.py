"""Send messages through a broker that Kombu supports: RabbitMQ (also TDMQ for RabbitMQ), or Redis.

A queue is a durable queue named MqName, reached through the default exchange; a topic is a durable fanout
exchange named MqName. Existing queues and exchanges are used as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import MessageNacked
from kombu.connection import Connection
from kombu.exceptions import KombuError

from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.callback import MqConfig
from stemline.jobs.reasons import reason_of
from stemline.jobs.text import shorten

_PASSWORD = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class BrokerSender:
    """Publishes each message over a new connection: callbacks are rare; idle connections break silently."""

    timeout_s: float = 10.0

    def send(self, endpoint: str, mq: MqConfig, body: bytes, content_type: str, delivery_id: str) -> Outcome:
        """Publish one persistent message; with RabbitMQ, success means confirmed by the broker.

        Args:
            endpoint: Broker URL.
            mq: The queue or topic.
            body: The message; the same bytes as the body of a Url callback.
            content_type: Content type of the body.
            delivery_id: The ``message_id``, the same for all attempts.
        """
        connection = Connection(
            endpoint, connect_timeout=self.timeout_s, transport_options=self._options(endpoint)
        )
        try:
            with connection:
                # Kombu's own retries would outlast the timeout.
                connection.ensure_connection(errback=_raise, max_retries=1)
                self._publish(connection, mq, body, content_type, delivery_id)
        except (
            KombuError,
            MessageNacked,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        ) as error:
            return failed("broker", _PASSWORD.sub("//", shorten(reason_of(error), 4096)))
        return Outcome(delivered=True, status="confirmed" if endpoint.startswith("amqp") else "stored")

    def _publish(
        self, connection: Any, mq: MqConfig, body: bytes, content_type: str, delivery_id: str
    ) -> None:
        exchange, key = (mq.name, "") if mq.mode == "Topic" else ("", mq.name)
        # Declaring what exists with other arguments would fail, so declare only what is missing.
        try:
            declare(connection.channel(), mq, passive=True)
        except connection.channel_errors:
            declare(connection.channel(), mq, passive=False)
        connection.Producer(connection.channel()).publish(
            body,
            exchange=exchange,
            routing_key=key,
            content_type=content_type,
            content_encoding="utf-8",
            delivery_mode="persistent",
            message_id=delivery_id,
            timeout=self.timeout_s,
        )

    def _options(self, endpoint: str) -> dict[str, Any]:
        if endpoint.startswith("amqp"):
            limits = {"read_timeout": self.timeout_s, "write_timeout": self.timeout_s}
            return {"confirm_publish": True, **limits}
        return {"socket_timeout": self.timeout_s, "socket_connect_timeout": self.timeout_s}


def _raise(error: Exception, _interval: float) -> None:
    """Stop Kombu from retrying a connection."""
    raise error


def declare(channel: Any, mq: MqConfig, *, passive: bool) -> None:
    """Declare the queue or the exchange; with ``passive``, only check that it exists."""
    if mq.mode == "Topic":
        channel.exchange_declare(
            exchange=mq.name, type="fanout", durable=True, auto_delete=False, passive=passive
        )
    else:
        channel.queue_declare(queue=mq.name, durable=True, auto_delete=False, passive=passive)
