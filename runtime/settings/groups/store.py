"""The job store and Celery's broker."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import SecretStr

from stemline.runtime.settings.groups.group import Group, setting
from stemline.runtime.settings.values import RedisUrl

USUAL_PREFIX: Final = "stemline"


class StoreSettings(Group):
    """The job store and Celery's broker."""

    url: RedisUrl = setting(
        SecretStr("redis://127.0.0.1:6379/0"),
        "Valkey or Redis that holds the jobs: `redis://`, `rediss://` with TLS, or the Sentinels of its "
        "primary as `sentinel://:password@host1:26379,host2:26379/0?master=name` (`sentinels://` with TLS).",
        variable="redis_url",
    )
    broker_url: RedisUrl | None = setting(
        None, "Valkey or Redis that carries Celery's messages; redis_url if not set."
    )
    tls_ca: Path | None = setting(
        None,
        "PEM file of the authorities that may sign the certificate of a server with TLS, of store and "
        "broker; the system's if not set.",
        variable="redis_ca",
    )
    tls_certificate: Path | None = setting(
        None,
        "PEM certificate chain that this process shows to a server with TLS.",
        variable="redis_certificate",
    )
    tls_key: Path | None = setting(None, "PEM key of that certificate.", variable="redis_key")
    key_prefix: str = setting(
        USUAL_PREFIX,
        "First part of every key in the job store, and, if it is another one, of every key of the broker "
        "and every channel: installations with prefixes of their own may share a server.",
        pattern=r"^[A-Za-z0-9._:-]+$",
    )
    durability: Literal["process", "disk", "replica"] = setting(
        "process",
        "What an answered change survives: `process` a kill of any process of the service, `disk` also a "
        "crash of the store's machine (`WAITAOF`), `replica` also its loss (`WAIT`).",
    )

    durability_replicas: int = setting(
        1,
        "How many replicas at least must have a change before it is answered, with `replica`. Behind "
        "Sentinels all must that may be promoted; set it where an address follows the primary instead.",
        ge=1,
    )

    @property
    def broker(self) -> str:
        """URL of Celery's broker."""
        return (self.broker_url or self.url).get_secret_value()

    @property
    def broker_prefix(self) -> str:
        """First part of every key and channel of Celery's broker; empty for the usual installation.

        Its keys have none, so that the releases before and after this one understand each other.
        """
        return "" if self.key_prefix == USUAL_PREFIX else f"{self.key_prefix}:"
