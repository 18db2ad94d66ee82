"""How many replicas a failover could promote now, as the Sentinels see them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, Final

import redis

from stemline.runtime.redis_client import open_sentinels
from stemline.runtime.sentinel_address import SentinelAddress
from stemline.runtime.settings.groups import StoreSettings

_KEPT_S: Final = 1.0
"""How long a count is used, s."""
_PASSED_OVER_S: Final = 10.0
"""How long a Sentinel that did not answer is not asked again, s."""


class PromotableReplicas:
    """Counts the replicas that no majority of the Sentinels holds to be down.

    Sentinels promote one of these. A change that all of them have survives each failover, also one in which
    the former primary lives on for a while and another replica confirms what it answers.
    """

    def __init__(self, settings: StoreSettings, url: str, *, least: int) -> None:
        """Describe the Sentinels; nothing is connected yet.

        Args:
            settings: Authorities and certificate for TLS.
            url: URL of the Sentinels.
            least: The count is never below.
        """
        self._settings = settings
        self._url = url
        self._address = SentinelAddress.parse(url)
        self._ask_at = dict.fromkeys(self._address.sentinels, 0.0)
        self._least = least
        self._count = least
        self._valid_until = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Return the count; at most a second old, unless the Sentinels do not answer."""
        with self._lock:
            if time.monotonic() >= self._valid_until:
                self._count = self._ask()
                self._valid_until = time.monotonic() + _KEPT_S
            return self._count

    def _ask(self) -> int:
        seen_up: Counter[tuple[str, int]] = Counter()
        silent = 0
        for sentinel, client in open_sentinels(self._settings, self._url).items():
            replicas = self._replicas_of(sentinel, client)
            silent += replicas is None
            seen_up.update((each["ip"], each["port"]) for each in replicas or () if not each["is_sdown"])
        count = len(self._ask_at)
        if silent == count:
            return self._count
        # Down is what a majority of all holds to be down; who is silent holds nothing to be down.
        return max(self._least, sum(2 * (up + silent) >= count for up in seen_up.values()))

    def _replicas_of(self, sentinel: tuple[str, int], client: redis.Redis) -> list[dict[str, Any]] | None:
        now = time.monotonic()
        if now < self._ask_at[sentinel]:
            return None
        try:
            found: Any = client.sentinel_slaves(self._address.master)
        except redis.exceptions.RedisError:
            self._ask_at[sentinel] = now + _PASSED_OVER_S
            return None
        finally:
            client.close()
        return list(found)
