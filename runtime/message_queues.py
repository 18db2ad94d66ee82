"""Checks that endpoints of message queues are not the service's own databases.

Clients choose the names of their queues (``MqName``). In the database of the job store or of Celery's broker
such a name could be that of a key of ours.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

from stemline.runtime.errors import EndpointRefused
from stemline.runtime.redis_client import ask_sentinels
from stemline.runtime.sentinel_address import SentinelAddress, is_sentinel
from stemline.runtime.settings import Settings

_HTTP = frozenset({"http", "https"})
_AMQP = frozenset({"amqp", "amqps", "pyamqp"})
_REDIS = frozenset({"redis", "rediss"})
_SOCKET = frozenset({"redis+socket"})
_REDIS_PORT = 6379
THIS_MACHINE = "this machine"


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a Redis server."""

    hosts: frozenset[str]
    """Addresses of the server; ``THIS_MACHINE`` stands for all of this machine's."""
    port: int | None
    """``None`` stands for any: of a Unix socket, and of servers that only Sentinels know."""
    number: int

    def may_be(self, other: Database) -> bool:
        """Return whether both may be the same database."""
        same_port = self.port == other.port or None in {self.port, other.port}
        return same_port and self.number == other.number and bool(self.hosts & other.hosts)


def check_endpoints(settings: Settings) -> None:
    """Check the endpoints of message queues.

    Raises:
        EndpointRefused: One is not understood, or is the database of the job store or of the broker.
    """
    own = [
        database
        for url in (settings.store.url.get_secret_value(), settings.store.broker)
        for database in (_behind_sentinels(settings, url) if is_sentinel(url) else _databases(url))
    ]
    for region, endpoint in settings.tdmq.endpoints.items():
        try:
            found = list(_databases(endpoint))
        except ValueError as error:
            raise EndpointRefused(region, str(error)) from None
        if any(database.may_be(each) for database in found for each in own):
            raise EndpointRefused(
                region,
                "it is the database of the job store or of the broker, where an MqName could be the name of "
                "one of their keys; use another database or server",
            )


def _behind_sentinels(settings: Settings, url: str) -> Iterator[Database]:
    """Yield the databases of the servers that Sentinels name.

    The Sentinels' own machines count with every port, because a server often runs beside a Sentinel, and they
    may not answer now.
    """
    address = SentinelAddress.parse(url)
    for host, port in address.sentinels:
        yield Database(_hosts(host, port), None, address.database)
    answers = ask_sentinels(settings.store, url).values()
    for host, port in {server for servers in answers for server in servers or ()}:
        yield Database(_hosts(host, port), port, address.database)


def _databases(url: str) -> Iterator[Database]:
    """Yield the databases that a URL may lead to; none for servers that are not Redis.

    Raises:
        ValueError: The URL is not understood; the message does not hold it, since it may have a password.
    """
    scheme = urlsplit(url).scheme
    if scheme in _HTTP | _AMQP:
        return
    if scheme not in _REDIS | _SOCKET:
        known = ", ".join(sorted(_HTTP | _AMQP | _REDIS | _SOCKET))
        raise ValueError(f"its scheme must be one of {known}")
    # Kombu takes several URLs joined by semicolons.
    for each in url.split(";"):
        parts = urlsplit(each if "://" in each else f"{scheme}://{each}")
        named = parse_qs(parts.query, keep_blank_values=True)
        if parts.scheme in _SOCKET:
            number = named.get("virtual_host", ["0"])[-1]
            yield Database(frozenset({THIS_MACHINE}), None, _number(number))
            continue
        if parts.scheme not in _REDIS or "virtual_host" in named:
            raise ValueError("its database must be the path of the URL, such as redis://host:6379/1")
        try:
            port = parts.port or _REDIS_PORT
        except ValueError:
            raise ValueError("its port is not a number up to 65535") from None
        for number in named.get("db", [unquote(parts.path)]):
            yield Database(_hosts(parts.hostname or "localhost", port), port, _number(number))


def _number(text: str) -> int:
    text = text.strip("/") or "0"
    if not (text.isascii() and text.isdigit()):
        raise ValueError("its database is not a number")
    return int(text)


def _hosts(name: str, port: int) -> frozenset[str]:
    """Return the addresses of a host, and its name, which stands for them where it cannot be resolved."""
    name = name.lower().removesuffix(".")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset({name})
    addresses = {str(sockaddr[0]) for *_, sockaddr in found}
    local = {THIS_MACHINE} if any(map(_is_local, addresses)) else set()
    return frozenset(addresses | local | {name})


def _is_local(text: str) -> bool:
    """Return whether an address is one of this machine: a socket can be bound to it."""
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_loopback or mapped.is_unspecified:
        return True
    family = socket.AF_INET if mapped.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(mapped), 0))
    except OSError:
        return False
    return True
