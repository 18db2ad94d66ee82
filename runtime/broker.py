"""Celery's broker, as Kombu wants it described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stemline.runtime.redis_client import SENTINEL_TIMEOUT_S
from stemline.runtime.sentinel_address import SentinelAddress, is_sentinel
from stemline.runtime.settings.groups import StoreSettings
from stemline.runtime.tls import tls_options, without_tls_parameters


@dataclass(frozen=True, slots=True)
class Broker:
    """Celery's broker."""

    url: str
    """Without ``ssl_…`` parameters."""
    tls: dict[str, Any] | None
    """For Celery's ``broker_use_ssl``; ``None`` for a server without TLS."""
    transport_options: dict[str, Any]
    """For Celery's ``broker_transport_options``: the keys' prefix, how to ask Sentinels for the primary."""
    has_sentinels: bool = False


def broker_of(settings: StoreSettings) -> Broker:
    """Return the broker with its TLS options.

    Kombu does not verify a ``rediss://`` URL unless it gets options, and takes none beside ``ssl_…``
    parameters of the URL. So those are moved out of it.
    """
    tls = tls_options(settings, settings.broker) or None
    prefix = {"global_keyprefix": settings.broker_prefix} if settings.broker_prefix else {}
    if not is_sentinel(settings.broker):
        return Broker(without_tls_parameters(settings.broker) if tls else settings.broker, tls, prefix)
    address = SentinelAddress.parse(settings.broker)
    sentinels = {
        **address.sentinel_login(),
        **({"ssl": True, **tls} if tls else {}),
        "socket_timeout": SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": SENTINEL_TIMEOUT_S,
    }
    options = {
        **prefix,
        "master_name": address.master,
        "sentinel_kwargs": sentinels,
        # Who publishes to a primary that hangs waits so long before the Sentinels are asked for the next one.
        "socket_timeout": 10,
    }
    return Broker(address.kombu_url(), tls, options, has_sentinels=True)
