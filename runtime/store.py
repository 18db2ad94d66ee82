"""The job store that the settings name."""

from __future__ import annotations

from stemline.jobs.store import Notify, RedisStore, StoreOptions
from stemline.jobs.store.values import discard_wake_ups
from stemline.runtime.settings import Settings


def store_options(settings: Settings) -> StoreOptions:
    """Return the limits and times of a store."""
    return StoreOptions(
        key_prefix=settings.store.key_prefix,
        auto_open=settings.tenants.auto_open,
        buckets_per_region=settings.tenants.buckets_per_region,
        queue_max_size=settings.tenants.queue_max_size,
        queue_max_concurrent=settings.tenants.queue_max_concurrent,
        templates_per_bucket=settings.tenants.max_templates,
        cancel_running=settings.jobs.cancel_running,
        lease_s=settings.jobs.lease_s,
        level_ageing_s=settings.jobs.level_ageing_s,
        idempotency_hours=settings.jobs.idempotency_hours,
        retention_days=settings.jobs.retention_days,
        dead_letter_days=settings.callbacks.dead_letter_days,
    )


def open_store(settings: Settings, *, notify: Notify = discard_wake_ups) -> RedisStore:
    """Return the store on the server of the settings; connects at the first call.

    Args:
        settings: server, limits and times.
        notify: sends wake-ups; must not raise.
    """
    return RedisStore.open(settings.store.url.get_secret_value(), store_options(settings), notify=notify)
