"""TLS to the servers of store and broker (``rediss://``): verified unless their URL says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from stemline.runtime.settings.groups import StoreSettings


@dataclass(frozen=True, slots=True)
class Broker:
    """Celery's broker."""

    url: str
    """Without ``ssl_…`` parameters."""
    tls: dict[str, Any] | None
    """For Celery's ``broker_use_ssl``; ``None`` for a server without TLS."""


def tls_options(settings: StoreSettings, url: str) -> dict[str, Any]:
    """Return the arguments ``ssl_…`` of redis-py for a URL; none unless it is ``rediss://``.

    ``ssl_…`` parameters in the URL itself take precedence over them.
    """
    if urlsplit(url).scheme != "rediss":
        return {}
    files = {
        "ssl_ca_certs": settings.tls_ca,
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
    }
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return {**options, **{name: str(path) for name, path in files.items() if path is not None}}


def broker_of(settings: StoreSettings) -> Broker:
    """Return the broker with its TLS options.

    Kombu does not verify a ``rediss://`` URL unless it gets options, and takes none beside ``ssl_…``
    parameters of the URL. So those are moved out of it.
    """
    parts = urlsplit(settings.broker)
    options = tls_options(settings, settings.broker)
    if not options:
        return Broker(settings.broker, None)
    parameters = dict(parse_qsl(parts.query))
    given: dict[str, Any] = {name: text for name, text in parameters.items() if name.startswith("ssl_")}
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = given["ssl_check_hostname"].lower() != "false"
    if "ssl_cert_reqs" in given:
        given["ssl_cert_reqs"] = given["ssl_cert_reqs"].lower().removeprefix("cert_")
    rest = urlencode({name: text for name, text in parameters.items() if name not in given})
    return Broker(parts._replace(query=rest).geturl(), {**options, **given})
