"""One HTTP POST under one deadline: no redirects, no proxies from the environment, a short response body."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

import certifi
import httpcore

from stemline.callbacks.address_guard import AddressGuard
from stemline.callbacks.connection import Deadline, GuardedBackend, NameNotFound, checked_addresses

MAX_BODY_BYTES: Final = 64 * 1024
"""How much of a response body is read."""
BODY_TIMEOUT_S: Final = 2.0
"""How long to wait for the body of a response once its status is known, s."""
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class BadUrl(ValueError):
    """The URL is not a valid http(s) URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL; path and query exactly as given."""

    scheme: str
    host: str
    """Lower case, without brackets and trailing dot; other scripts in IDNA form."""
    port: int
    target: bytes
    """Path and query."""
    userinfo: str | None = None

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Response:
    """A response, with the start of its body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most ``MAX_BODY_BYTES`` of it."""


def parse_url(url: str) -> Target:
    """Parse a URL.

    Raises:
        BadUrl: It is not an http(s) URL, or other parsers might read it differently.
    """
    if any(c.isspace() or c < " " or "\x7f" <= c <= "\x9f" or c == "\\" for c in url):
        raise BadUrl("the URL contains a space, a control character or a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl(str(error)) from error
    if parts.scheme not in {"http", "https"}:
        raise BadUrl(f"the URL's scheme is {parts.scheme or 'missing'}, not http or https")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise BadUrl("the URL names no host")
    try:
        host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise BadUrl(f"the URL's host is not a valid name: {error}") from error
    target = url.partition("#")[0].partition("//")[2].removeprefix(parts.netloc)
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port if port is not None else DEFAULT_PORTS[parts.scheme],
        target=quote(target if target.startswith("/") else f"/{target}", safe=_PRINTABLE).encode(),
        userinfo=parts.netloc.rpartition("@")[0] or None,
    )


def post(
    target: Target,
    body: bytes,
    headers: Iterable[tuple[str, str]],
    *,
    guard: AddressGuard,
    deadline: Deadline,
    proxy: str | None = None,
) -> Response:
    """Send a POST; return status, headers and the start of the body.

    The status decides the outcome, so errors while reading the body are ignored.

    Raises:
        AddressRefused: The guard allows no address of the host.
        NameNotFound: The host has no address.
        httpcore.TimeoutException: No status before the deadline.
        httpcore.NetworkError: The connection could not be made, or broke.
        httpcore.ProtocolError: The response is not HTTP.
    """
    sent = [("Host", target.authority), ("Content-Length", str(len(body))), ("Connection", "close"), *headers]
    with _pool(target, guard, deadline, proxy) as pool:
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=None if target.port == DEFAULT_PORTS[target.scheme] else target.port,
            target=target.target,
        )
        with pool.stream("POST", url, headers=sent, content=body) as response:
            deadline.shorten(BODY_TIMEOUT_S)
            names = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            return Response(response.status, names, _short_body(response))


def _short_body(response: httpcore.Response) -> bytes:
    kept = bytearray()
    try:
        for chunk in response.iter_stream():
            kept += chunk
            if len(kept) >= MAX_BODY_BYTES:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return bytes(kept[:MAX_BODY_BYTES])


def _pool(
    target: Target, guard: AddressGuard, deadline: Deadline, proxy: str | None
) -> httpcore.ConnectionPool:
    """Return a pool for one request; reusing connections would bypass the address guard."""
    if proxy is None:
        backend = GuardedBackend(guard, deadline)
        return httpcore.ConnectionPool(ssl_context=tls_context(), network_backend=backend, max_connections=1)
    # The proxy resolves the name itself. Check what resolves here; the proxy's own rules must do the rest.
    with suppress(NameNotFound):
        checked_addresses(target.host, target.port, guard, deadline)
    backend = GuardedBackend(AddressGuard.allowing(("0.0.0.0/0", "::/0")), deadline)
    return httpcore.HTTPProxy(proxy, ssl_context=tls_context(), network_backend=backend, max_connections=1)


@cache
def tls_context() -> ssl.SSLContext:
    """Trust the system's certificate authorities and Mozilla's; with ``SSL_CERT_FILE``, only those in it."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def basic_authorization(userinfo: str) -> str:
    """Return the Authorization header for the ``user:password`` part of a URL."""
    return "Basic " + base64.b64encode(unquote_to_bytes(userinfo)).decode()
