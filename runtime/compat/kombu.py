"""Kombu's Redis transport: refusals, closed channels, odd messages, answers of the broker, its primaries."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import redis
from kombu.transport import redis as transport_module
from kombu.transport.redis import Channel, SentinelChannel, Transport
from redis.sentinel import MasterNotFoundError

_CONNECTION_PARAMETERS = "_connparams"
_POOL = "_sentinel_managed_pool"
_DELIVER = "_deliver"


def raise_connection_error_on_closed_channels() -> None:
    """Let a channel whose connection is gone raise ``ConnectionError``; a second call changes nothing.

    After a lost connection, acknowledgements and rejections of running tasks still use the old channel, whose
    ``connection.client`` is None by then. ``Channel._connparams`` raises AttributeError there. Celery expects
    only the transport's connection errors, so the worker would end. No upstream issue is known to us.
    """
    original: Any = getattr(Channel, _CONNECTION_PARAMETERS)
    if hasattr(original, "__wrapped__"):
        return

    def parameters(channel: Any, *args: Any, **options: Any) -> Any:
        if getattr(channel.connection, "client", None) is None:
            raise redis.exceptions.ConnectionError("The channel is closed.")
        return original(channel, *args, **options)

    parameters.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(Channel, _CONNECTION_PARAMETERS, parameters)


def reconnect_after_refusals() -> None:
    """Count every error reply of the broker among the connection errors; a second call changes nothing.

    Kombu counts only LOADING and failed logins. Any other, such as the UNBLOCKED and READONLY of a primary
    that became a replica, is a channel error: it ends Celery beat and a worker that reads or acknowledges a
    message, although the server takes the same command a few seconds later. No upstream issue is known to us.
    """
    for kind in (redis.exceptions.ResponseError, redis.exceptions.InvalidResponse):
        if kind not in Transport.connection_errors:
            Transport.connection_errors = (*Transport.connection_errors, kind)


def drop_unreadable_messages(report: Callable[[str, Exception], None]) -> None:
    """Let a consumer drop a message that it cannot read; a second call changes nothing.

    What is in a list of the broker and is no message of Celery, or one with odd headers, raises errors of all
    kinds in Kombu and Celery. They end the worker, and the message is put back and ends the next one. No
    message is needed: the sweeper sends those that are missing. No upstream issue is known to us.

    Args:
        report: Takes the name of the queue and the error.
    """
    original: Any = getattr(Transport, _DELIVER)
    if hasattr(original, "__wrapped__"):
        return
    module: Any = transport_module
    loads = module.loads

    def loads_or_none(text: str) -> Any:
        try:
            return loads(text)
        except (ValueError, RecursionError):
            return None

    def deliver(transport: Any, message: Any, queue: str) -> None:
        try:
            original(transport, message, queue)
        except (OSError, redis.exceptions.RedisError, MemoryError):
            raise  # of the connection; Kombu counts KeyError among these, too
        except Exception as error:  # noqa: BLE001 - see above
            report(queue, error)
            _forget(transport, message)

    deliver.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(Transport, _DELIVER, deliver)
    module.loads = loads_or_none


def _forget(transport: Any, message: Any) -> None:
    """Remove a message from those that were not acknowledged, if it is among them."""
    properties = message.get("properties") if isinstance(message, dict) else None
    tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
    for channel in transport.channels:
        if isinstance(tag, str) and tag in vars(channel.qos)["_delivered"]:
            channel.basic_reject(tag, requeue=False)


def on_broker_answer(channel: Any, call: Callable[[], None]) -> None:
    """Call a function each time the broker has answered a channel's BRPOP, with a message or without.

    A worker may answer a ping while its BRPOP hangs on a dead connection, as in celery/celery#9054, and
    neither Celery nor kombu report when it last returned. ``Channel.handlers`` holds what reads the answers.

    Args:
        channel: A consumer's channel; each connection to the broker has a new one.
        call: Takes no time and raises nothing.
    """
    read = channel.handlers["BRPOP"]

    def read_and_call(**options: Any) -> Any:
        try:
            answer = read(**options)
        except Empty:
            call()
            raise
        call()
        return answer

    channel.handlers["BRPOP"] = read_and_call


def leave_replaced_primaries(interval_s: float) -> None:
    """Let pools of connections ask the Sentinels regularly for the primary; a second call changes nothing.

    Redis-py asks them only when it connects. A primary that was cut off from them keeps the connections of
    those that publish, so messages would go where no worker reads. No upstream issue is known to us.

    Args:
        interval_s: Between two questions of one pool, s.
    """
    original: Any = getattr(SentinelChannel, _POOL)
    if hasattr(original, "__wrapped__"):
        return

    def pool_of(channel: Any, *args: Any, **options: Any) -> Any:
        pool = original(channel, *args, **options)
        get, next_check = pool.get_connection, 0.0

        def get_connection(*given: Any, **named: Any) -> Any:
            nonlocal next_check
            if time.monotonic() >= next_check:
                next_check = time.monotonic() + interval_s
                with suppress(MasterNotFoundError):
                    pool.get_master_address()
            return get(*given, **named)

        pool.get_connection = get_connection
        return pool

    pool_of.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(SentinelChannel, _POOL, pool_of)


def drop_connections_to_replaced_primary(channel: Any) -> None:
    """Close the blocking read and the subscription of a consumer if Sentinels name another primary by now.

    Kombu then connects them anew in its event loop. It does so by itself as well, 26 to 51 s after a server
    has ceased to answer; one that was cut off from its Sentinels answers, however.

    Args:
        channel: A consumer's channel; one without Sentinels is left alone.
    """
    if not isinstance(channel, SentinelChannel):
        return
    try:
        primary = channel.pool.get_master_address()
    except MasterNotFoundError:
        return
    for name in ("client", "subclient"):
        connection = getattr(vars(channel).get(name), "connection", None)
        if connection is not None and (connection.host, connection.port) != primary:
            connection.disconnect()
