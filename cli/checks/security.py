"""Check of the settings that others could misuse: access, signatures, the operators' port, message queues."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stemline.cli.checks.findings import CheckContext, Finding, fail, ok, warn
from stemline.runtime.sentinel_address import SentinelAddress, is_sentinel

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

_LONG_SPAN_S: Final = 7 * 86400
_PLAIN: Final = frozenset({"http", "amqp", "pyamqp", "redis"})
"""Schemes without TLS."""


def security(context: CheckContext) -> Iterator[Finding]:
    """Check the settings, and what confines decoders on this machine; nothing is connected to."""
    settings = context.settings
    found = [
        *_access(settings),
        *_files(settings),
        *_ports(settings),
        *_servers(settings),
        *_confinement(),
    ]
    yield from found or [ok("security", "access, signatures, ports and message queues are as they should be")]


def _access(settings: Settings) -> Iterator[Finding]:
    access = settings.access
    if access.anonymous:
        yield warn(
            "security",
            "requests without a signature are served, for every bucket",
            "unset STEMLINE_ANONYMOUS_ACCESS where others reach the port",
        )
    if not access.require_signed_host:
        yield warn(
            "security",
            "signatures need not cover Host: one is valid for every bucket",
            "unset STEMLINE_REQUIRE_SIGNED_HOST, or limit each credential to its buckets",
        )
    if access.signature_max_span_s > _LONG_SPAN_S:
        yield warn(
            "security",
            f"signatures may be valid for {access.signature_max_span_s // 86400} days",
            "lower STEMLINE_SIGNATURE_MAX_SPAN_S: a copied request can be repeated as long",
        )
    if not access.rate_limit_per_s:
        yield warn("security", "requests have no rate limit", "set STEMLINE_RATE_LIMIT_PER_S")
    if not settings.tenants.job_bytes_per_bucket:
        yield warn(
            "security",
            "a bucket may fill the job store with jobs that have ended",
            "set STEMLINE_JOB_BYTES_PER_BUCKET",
        )
    for each in access.credentials:
        if len(each.secret_key.get_secret_value()) < 16:
            yield warn(
                "security", f"the SecretKey of {each.secret_id} is short", "use 32 random characters or more"
            )


def _files(settings: Settings) -> Iterator[Finding]:
    """Yield the files of secrets that every user of this machine may read."""
    files = {
        "STEMLINE_CREDENTIALS_FILE": settings.access.credentials_file,
        "STEMLINE_BUCKETS_FILE": settings.storage.buckets_file,
        "STEMLINE_TLS_KEY": settings.server.tls_key,
        "STEMLINE_REDIS_KEY": settings.store.tls_key,
    }
    for name, path in files.items():
        with suppress(OSError):  # the check of files says what cannot be read
            if path is not None and path.stat().st_mode & stat.S_IROTH:
                yield warn(
                    "security",
                    f"every user of this machine may read {path} ({name})",
                    f"chmod o-rwx {shlex.quote(str(path))}",
                )


def _ports(settings: Settings) -> Iterator[Finding]:
    metrics, server = settings.metrics, settings.server
    if metrics.port and not _is_loopback(metrics.host) and metrics.token is None:
        yield warn(
            "security",
            f"metrics and readiness are served to everyone who reaches {metrics.host}:{metrics.port}",
            "let a firewall or network policy keep others out, or set STEMLINE_METRICS_TOKEN",
        )
    if not server.max_connections_per_client:
        yield warn(
            "security",
            "a client may take all connections",
            "set STEMLINE_MAX_CONNECTIONS_PER_CLIENT, unless a proxy limits its clients",
        )


def _servers(settings: Settings) -> Iterator[Finding]:
    from stemline.runtime.errors import EndpointRefused
    from stemline.runtime.message_queues import check_endpoints

    try:
        check_endpoints(settings)
    except EndpointRefused as error:
        yield fail("security", str(error), "give message queues a server or a database of their own")
    named = {
        "the job store": settings.store.url.get_secret_value(),
        "the broker": settings.store.broker,
        **{f"the message queue of {region}": url for region, url in settings.tdmq.endpoints.items()},
    }
    for name, url in named.items():
        if is_sentinel(url):
            yield from _sentinels(name, SentinelAddress.parse(url))
            continue
        parts = urlsplit(url)
        if parts.scheme in _PLAIN and not _is_loopback(parts.hostname or ""):
            yield warn("security", f"{name} is reached without TLS", "use its TLS port, or a private network")
        if parts.scheme in {"redis", "rediss"} and not parts.password:
            yield warn("security", f"{name} asks for no password", "set one, and put it into the URL")


def _sentinels(name: str, address: SentinelAddress) -> Iterator[Finding]:
    if not address.has_tls and not all(_is_loopback(host) for host, _ in address.sentinels):
        yield warn("security", f"{name} is reached without TLS", "use sentinels://, or a private network")
    if not address.password:
        yield warn("security", f"{name} asks for no password", "set one, and put it into the URL")
    if not address.sentinel_password:
        message = f"the Sentinels of {name} ask for no password: who reaches them can cause a failover"
        yield warn("security", message, "set `requirepass` there, and sentinel_password in the URL")


def _confinement() -> Iterator[Finding]:
    """Yield what this machine lacks to confine the processes that decode, where a worker can run on it."""
    if find_spec("av") is None:
        return
    from stemline.separation.confinement import missing

    if lacking := missing():
        yield warn(
            "security",
            f"sources are decoded without {' and '.join(lacking)}: a decoder that a file takes over reaches "
            "what the worker reaches",
            "run workers on Linux 5.13 or later, and allow the container or unit its system calls landlock_*",
        )


def _is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    return host in {"localhost", "::1"} or host.startswith("127.")
