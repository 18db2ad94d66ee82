"""Send messages through a broker that Kombu supports: RabbitMQ (also TDMQ for RabbitMQ), or Redis.

A queue is a durable queue named MqName, reached through the default exchange; a topic is a durable fanout
exchange named MqName. Existing queues and exchanges are used as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpcore
import structlog
from amqp.exceptions import AMQPError, MessageNacked
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.transport import pyamqp, redis

from stemline.callbacks.amqp_transport import AmqpTransport, SecureAmqpTransport
from stemline.callbacks.broker_sockets import BrokerSockets
from stemline.callbacks.connection import Deadline
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.callback import MqConfig
from stemline.jobs.reasons import UNEXPECTED, reason_of
from stemline.jobs.text import shorten
from stemline.runtime.compat.redis import RedisTransport

log = structlog.get_logger(__name__)

CLOSE_S: Final = 2.0
"""How long a broker may take to end a connection once the outcome is known, s."""
NOT_UNDERSTOOD: Final = "the answer of the broker is not one of its protocol"
_REDIS_TLS: Final = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
"""Kombu would not verify the server; ``ssl_`` parameters of the URL take precedence."""
_PASSWORD: Final = re.compile(r"//[^/@\s]*@")
_KNOWN: Final = (KombuError, AMQPError, MessageNacked, OSError)
_TRANSPORTS: Final[Mapping[type, type]] = {
    pyamqp.Transport: AmqpTransport,
    pyamqp.SSLTransport: SecureAmqpTransport,
    redis.Transport: RedisTransport,
}
"""Those of Kombu, and the same within the deadline of a delivery."""


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
        deadline = Deadline(self.timeout_s)
        sockets = BrokerSockets(deadline)
        is_amqp = endpoint.startswith(("amqp", "pyamqp"))
        # Kombu would not verify servers of Redis; ssl_ parameters of the URL take precedence.
        tls = (
            {"ssl_cert_reqs": "required", "ssl_check_hostname": True} if endpoint[:7] == "rediss:" else False
        )
        options = {"sockets": sockets, **({"confirm_publish": True} if is_amqp else {})}
        try:
            connection = Connection(endpoint, ssl=tls, transport_options=options)
        except (ValueError, LookupError):
            return failed("no-endpoint", f"the endpoint of the MqRegion {mq.region} is not a URL of a broker")
        connection.transport_cls = _TRANSPORTS.get(connection.get_transport_cls(), AmqpTransport)
        try:
            # Kombu's own retries would outlast the timeout.
            connection.ensure_connection(errback=_raise, max_retries=1)
            self._publish(connection, mq, body, content_type, delivery_id)
        except Exception as error:  # noqa: BLE001 - what the libraries meet in an answer may be of any kind
            outcome = failed("broker", self._reason(error, connection, deadline))
        else:
            outcome = Outcome(delivered=True, status="confirmed" if is_amqp else "stored")
        # How it ends changes nothing any more.
        deadline.shorten(CLOSE_S)
        with suppress(Exception):
            connection.release()
        sockets.close()
        return outcome

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
        )

    def _reason(self, error: Exception, connection: Any, deadline: Deadline) -> str:
        """Return why a message did not get through."""
        try:
            deadline.left()
        except httpcore.TimeoutException:
            return f"not confirmed within {self.timeout_s:g} s"
        reason = reason_of(error)
        known = (*_KNOWN, *connection.connection_errors, *connection.channel_errors)
        if not isinstance(error, known) or reason == UNEXPECTED:
            log.warning("callback.answer_not_understood", exc_info=error)
            return NOT_UNDERSTOOD
        return _PASSWORD.sub("//", shorten(reason, 4096))


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
