"""The job store that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import redis

from stemline.jobs.store import Notify, RedisStore, StoreOptions
from stemline.jobs.store.client import client_options
from stemline.jobs.store.durability import Confirmation, Durability, shortcoming
from stemline.jobs.store.server_errors import CLIENT_ERRORS, word_of
from stemline.jobs.store.values import Deliver, discard_deliveries, discard_wake_ups
from stemline.runtime.promotable_replicas import PromotableReplicas
from stemline.runtime.redis_client import open_client
from stemline.runtime.sentinel_address import is_sentinel
from stemline.runtime.settings import Settings
from stemline.runtime.settings.groups import StoreSettings

_PROBE_TIMEOUT_S: Final = 2.0
_EMPTY_SCRIPT: Final = "#!lua flags=allow-oom\nreturn 1"
"""Not marked as reading only, so a server refuses it where it refuses writes, except when it is full."""


def store_options(settings: Settings) -> StoreOptions:
    """Return the limits and times of a store."""
    return StoreOptions(
        key_prefix=settings.store.key_prefix,
        durability=Durability(settings.store.durability),
        required_replicas=required_replicas(settings.store),
        auto_open=settings.tenants.auto_open,
        buckets_per_region=settings.tenants.buckets_per_region,
        queue_max_size=settings.tenants.queue_max_size,
        queue_max_concurrent=settings.tenants.queue_max_concurrent,
        templates_per_bucket=settings.tenants.max_templates,
        batches_per_bucket=settings.tenants.batches_per_bucket,
        batch_rows_per_bucket=settings.tenants.batch_rows_per_bucket,
        batch_bytes_per_bucket=settings.tenants.batch_bytes_per_bucket,
        job_bytes_per_bucket=settings.tenants.job_bytes_per_bucket,
        nonces_per_credential=settings.access.nonces_per_credential,
        cancel_running=settings.jobs.cancel_running,
        lease_s=settings.jobs.lease_s,
        level_ageing_s=settings.jobs.level_ageing_s,
        model_limits=settings.workers.model_limits,
        idempotency_hours=settings.jobs.idempotency_hours,
        retention_days=settings.jobs.retention_days,
        dead_letter_days=settings.callbacks.dead_letter_days,
    )


def required_replicas(settings: StoreSettings) -> Callable[[], int]:
    """Return what counts the replicas that must have a change before it is answered, with `replica`.

    Behind Sentinels these are all that may be promoted now, else those of the settings.
    """
    url, least = settings.url.get_secret_value(), settings.durability_replicas
    if settings.durability == "replica" and is_sentinel(url):
        return PromotableReplicas(settings, url, least=least)
    return lambda: least


def confirmation_of(settings: StoreSettings) -> Confirmation:
    """Return what the server must confirm before a change is answered."""
    return Confirmation(Durability(settings.durability), required_replicas(settings))


def open_store(
    settings: Settings, *, notify: Notify = discard_wake_ups, deliver: Deliver = discard_deliveries
) -> RedisStore:
    """Return the store on the server of the settings; connects at the first call.

    Args:
        settings: Server, limits and times.
        notify: Sends wake-ups; must not raise.
        deliver: Has callbacks delivered; must not raise.
    """
    client = open_client(settings.store, settings.store.url.get_secret_value(), **client_options())
    return RedisStore(client, store_options(settings), notify=notify, deliver=deliver)


def connect(settings: StoreSettings, url: str, *, timeout_s: float) -> redis.Redis:
    """Return a client of a server, for checks; connects at the first call.

    Args:
        settings: Authorities and certificate for TLS.
        url: URL of the server, or of Sentinels.
        timeout_s: For connecting, and for each reply, s.
    """
    return open_client(
        settings, url, decode_responses=True, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )


def probe(settings: StoreSettings, url: str) -> str:
    """Return whether a server takes writes: ``ok``, or the word of its refusal, a key of ``MEANINGS``.

    A replica answers PING, but takes no jobs. A full server passes: it still serves what it holds.
    """
    client = connect(settings, url, timeout_s=_PROBE_TIMEOUT_S)
    try:
        client.eval(_EMPTY_SCRIPT, 0)
    except CLIENT_ERRORS as error:
        return word_of(error)
    finally:
        client.close()
    return "ok"


def probe_durability(settings: StoreSettings) -> str:
    """Return whether the store's server confirms what the settings ask for: ``ok``, or why it cannot."""
    client = connect(settings, settings.url.get_secret_value(), timeout_s=_PROBE_TIMEOUT_S)
    try:
        return shortcoming(client, confirmation_of(settings)) or "ok"
    except CLIENT_ERRORS as error:
        return word_of(error)
    finally:
        client.close()
