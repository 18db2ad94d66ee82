"""Delivery of callbacks, over HTTP and to message queues."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from stemline.runtime.settings.groups.group import Group, setting
from stemline.runtime.settings.values import HttpUrl, Network


class CallbackSettings(Group):
    """Delivery of callbacks."""

    timeout_s: float = setting(
        10.0, "Longest time one delivery may take in total, s.", variable="callback_timeout_s", gt=0
    )
    schedule_s: tuple[float, ...] = setting(
        (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
        "Delay before each attempt, s, JSON list; its length is the number of attempts.",
        variable="callback_schedule_s",
        min_length=1,
    )
    jitter: float = setting(
        0.1, "Share by which delays are spread at random.", variable="callback_jitter", ge=0, le=1
    )
    allow_networks: tuple[Network, ...] = setting(
        (),
        "Networks (CIDR) that callbacks may reach although they are not public, JSON list.",
        variable="callback_allow_networks",
    )
    per_host: int = setting(4, "Deliveries to one host at the same time.", variable="callback_per_host", ge=1)
    concurrency: int = setting(
        128, "Deliveries at the same time in one callback worker.", variable="callback_concurrency", ge=1
    )
    proxy: HttpUrl | None = setting(
        None, "Proxy for Url callbacks; the environment's are not used.", variable="callback_proxy"
    )
    webhook_secrets: tuple[SecretStr, ...] = setting(
        (), "Secrets (`whsec_…`) that sign callbacks where the credential has none, JSON list."
    )
    queue_webhook_secrets: dict[str, tuple[SecretStr, ...]] = setting(
        {}, "Queue id to secrets that sign its jobs' callbacks before any others, JSON."
    )
    dead_letter_days: float = setting(30.0, "How long callbacks that failed for good are kept, days.", gt=0)


class TdmqSettings(Group):
    """Callbacks to message queues."""

    endpoints: dict[str, str] = setting(
        {},
        "MqRegion (`*`: others) to endpoint, JSON: http(s) for CMQ, amqp or redis by Kombu.",
        variable="tdmq_endpoints",
    )
    max_bytes: int = setting(65536, "Largest TDMQ message, bytes.", variable="tdmq_max_bytes", ge=1)
    secret_id: str = setting("", "SecretId for CMQ.", variable="tdmq_secret_id")
    secret_key: SecretStr = setting(SecretStr(""), "SecretKey for CMQ.", variable="tdmq_secret_key")
    signature: Literal["HmacSHA1", "HmacSHA256"] = setting(
        "HmacSHA1", "Signature method for CMQ.", variable="tdmq_signature"
    )
