"""TLS to the servers of store and broker: verified unless their URL says otherwise."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from stemline.runtime.settings.groups import StoreSettings


def tls_options(settings: StoreSettings, url: str) -> dict[str, Any]:
    """Return the arguments ``ssl_…`` of redis-py for a URL; none unless it is one with TLS.

    ``ssl_…`` parameters in the URL itself take precedence over them.
    """
    if url.partition("://")[0] not in {"rediss", "sentinels"}:
        return {}
    files = {
        "ssl_ca_certs": settings.tls_ca,
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
    }
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return {**options, **{name: str(path) for name, path in files.items() if path is not None}, **_given(url)}


def _given(url: str) -> dict[str, Any]:
    """Return the ``ssl_…`` parameters of a URL as redis-py takes them."""
    parameters = (pair for each in url.split(";") for pair in parse_qsl(each.partition("?")[2]))
    given: dict[str, Any] = {name: text for name, text in parameters if name.startswith("ssl_")}
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = given["ssl_check_hostname"].lower() != "false"
    if "ssl_cert_reqs" in given:
        given["ssl_cert_reqs"] = given["ssl_cert_reqs"].lower().removeprefix("cert_")
    return given


def without_tls_parameters(url: str) -> str:
    """Return a URL without its ``ssl_…`` parameters."""
    parts = urlsplit(url)
    rest = [(name, text) for name, text in parse_qsl(parts.query) if not name.startswith("ssl_")]
    return parts._replace(query=urlencode(rest)).geturl()
