"""One HTTP POST under one deadline: no redirects, no environment proxies, a short look at the answer."""

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

from stemline.callbacks.connect import Deadline, GuardedBackend, NameNotFound, checked_addresses
from stemline.callbacks.guard import Guard

MAX_ANSWER_BYTES: Final = 64 * 1024
REST_OF_ANSWER_S: Final = 2.0
"""How long the body of an answer is waited for once its status is known."""
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class BadUrl(ValueError):
    """The URL cannot be called."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; path and query exactly as given."""

    scheme: str
    host: str
    """Lower case, without brackets and trailing dot; other scripts in IDNA form."""
    port: int
    target: bytes
    """Path and query."""
    userinfo: str | None = None

    @property
    def authority(self) -> str:
        """``host`` or ``host:port`` as the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most 64 KB of it."""


def parse_url(url: str) -> Target:
    """Take a URL apart.

    Raises:
        BadUrl: it is not an http(s) URL that every reader understands alike.
    """
    if any(c.isspace() or c < " " or c in "\\\x7f" for c in url):
        raise BadUrl("the URL holds a space, a control character or a backslash")
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
        raise BadUrl(f"the URL's host is no name: {error}") from error
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
    guard: Guard,
    deadline: Deadline,
    proxy: str | None = None,
) -> Answer:
    """Send a POST and read the answer's status, its headers and at most 64 KB of its body.

    Once the status is here the body is worth little: it is waited for briefly, and whatever goes wrong with
    it is passed over.

    Raises:
        AddressRefused: the guard let no address pass.
        NameNotFound: the host has none.
        httpcore.TimeoutException: no status before the deadline.
        httpcore.NetworkError: the connection could not be made or kept.
        httpcore.ProtocolError: what came is not HTTP.
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
            deadline.within(REST_OF_ANSWER_S)
            names = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            return Answer(response.status, names, _short_body(response))


def _short_body(response: httpcore.Response) -> bytes:
    kept = bytearray()
    try:
        for chunk in response.iter_stream():
            kept += chunk
            if len(kept) >= MAX_ANSWER_BYTES:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return bytes(kept[:MAX_ANSWER_BYTES])


def _pool(target: Target, guard: Guard, deadline: Deadline, proxy: str | None) -> httpcore.ConnectionPool:
    """A pool for one request: a connection is never kept, so every delivery's address is judged."""
    if proxy is None:
        backend = GuardedBackend(guard, deadline)
        return httpcore.ConnectionPool(ssl_context=tls(), network_backend=backend, max_connections=1)
    # The proxy looks the name up for itself: what can be judged here is, its own rules must do the rest.
    with suppress(NameNotFound):
        checked_addresses(target.host, target.port, guard, deadline)
    backend = GuardedBackend(Guard.of(("0.0.0.0/0", "::/0")), deadline)
    return httpcore.HTTPProxy(proxy, ssl_context=tls(), network_backend=backend, max_connections=1)


@cache
def tls() -> ssl.SSLContext:
    """The system's certificate authorities and Mozilla's; where ``SSL_CERT_FILE`` is set, only those."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def basic_authorization(userinfo: str) -> str:
    """The Authorization header for ``user:password`` of a URL."""
    return "Basic " + base64.b64encode(unquote_to_bytes(userinfo)).decode()
