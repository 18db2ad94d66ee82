"""Clients of the servers of store and broker: by their address, or by asking Sentinels for the primary."""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from stemline.runtime.sentinel_address import SentinelAddress, is_sentinel
from stemline.runtime.settings.groups import StoreSettings
from stemline.runtime.tls import tls_options

SENTINEL_TIMEOUT_S: Final = 1.0
"""For connecting to a Sentinel, and for its answer; the next one is asked after that."""
CHECK_S: Final = 5.0
"""How often the Sentinels are asked whether the primary is still the same, s."""


def open_client(settings: StoreSettings, url: str, **options: Any) -> redis.Redis:
    """Return a client of a server, or of the primary that Sentinels name; connects at the first call.

    A client of Sentinels asks them each time it connects. It drops a connection whose server answers
    READONLY, so that it finds the new primary after a failover.

    Args:
        settings: Authorities and certificate for TLS.
        url: URL of the server, or of Sentinels.
        options: Options of each connection to the server, as :class:`redis.Redis` takes them.
    """
    tls = tls_options(settings, url)
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **tls, **options)
    address = SentinelAddress.parse(url)
    sentinel = _Sentinel(  # type: ignore[no-untyped-call]
        address.sentinels,
        sentinel_kwargs=_sentinel_options(settings, url),
        **({"ssl": True, **tls} if tls else {}),
        db=address.database,
        username=address.username or None,
        password=address.password or None,
        **options,
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        address.master, connection_pool_class=_Pool
    )
    return client


def ask_sentinels(settings: StoreSettings, url: str) -> dict[str, list[tuple[str, int]] | None]:
    """Ask each Sentinel for the servers it knows.

    Returns:
        For each Sentinel, by host and port, the hosts and ports of primary and replicas, the primary's first;
        ``None`` where it does not answer, or knows no primary of this name.
    """
    address = SentinelAddress.parse(url)
    answers: dict[str, list[tuple[str, int]] | None] = {}
    for (host, port), client in open_sentinels(settings, url).items():
        try:
            primary: Any = client.sentinel_master(address.master)
            replicas: Any = client.sentinel_slaves(address.master)
            answers[f"{host}:{port}"] = [(each["ip"], each["port"]) for each in (primary, *replicas)]
        except redis.exceptions.RedisError:
            answers[f"{host}:{port}"] = None
        finally:
            client.close()
    return answers


def open_sentinels(settings: StoreSettings, url: str) -> dict[tuple[str, int], redis.Redis]:
    """Return a client of each Sentinel, by host and port; connects at the first call."""
    options = _sentinel_options(settings, url)
    sentinels = SentinelAddress.parse(url).sentinels
    return {
        (host, port): redis.Redis(host, port, decode_responses=True, **options) for host, port in sentinels
    }


def _sentinel_options(settings: StoreSettings, url: str) -> dict[str, Any]:
    tls = tls_options(settings, url)
    return {
        **SentinelAddress.parse(url).sentinel_login(),
        **({"ssl": True, **tls} if tls else {}),
        "socket_timeout": SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": SENTINEL_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }


class _Sentinel(Sentinel):
    """Several threads may ask at a time."""

    def discover_master(self, service_name: str) -> Any:
        """Return host and port of the primary.

        The library moves the Sentinel that answered to the front of a list. Two threads that do so at a time
        could lose one, so each moves it in a list of its own.
        """
        mine = copy.copy(self)
        mine.sentinels = list(self.sentinels)
        found = Sentinel.discover_master(mine, service_name)  # type: ignore[no-untyped-call]
        self.sentinels = mine.sentinels
        return found


class _Pool(SentinelConnectionPool):
    """Leaves a primary that was replaced, and closes the connections to the Sentinels along with its own."""

    _next_check = 0.0

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """Return a connection to the primary.

        The library asks the Sentinels when it connects. A primary that was cut off from them keeps its
        connections, though, and what it writes is lost. So they are asked every :data:`CHECK_S` as well;
        the pool then closes what is idle if the primary is another.
        """
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_S
            # What is connected stays in use while no Sentinel knows better.
            with suppress(MasterNotFoundError):
                self.get_master_address()  # type: ignore[no-untyped-call]
        return super().get_connection(*args, **options)

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        # The proxy closes idle connections alone when the primary changes, with the Sentinels in use.
        if inuse_connections:
            self.sentinel_manager.close()
