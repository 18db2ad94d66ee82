"""A limit on concurrent deliveries per host, shared by all callback workers.

A delivery whose host has no free slot waits in a list in Redis and holds no thread. The worker that ends a
delivery to that host continues with the one that has waited longest. If a waiting entry is lost, its
delivery becomes due again when its reservation in the outbox expires.
"""

from __future__ import annotations

from enum import IntEnum
from importlib.resources import files

import redis

from stemline.jobs.store.scripts import unavailable


class Slot(IntEnum):
    """The answer to a request for a slot."""

    ACQUIRED = 1
    QUEUED = 0
    """No slot is free; the delivery waits for its turn."""
    DUPLICATE = -1
    """Another worker is sending this delivery."""


class HostLimiter:
    """The slots of all hosts, kept in Redis."""

    def __init__(self, client: redis.Redis, prefix: str, *, slot_ttl_s: float) -> None:
        """Share slots with every worker that uses the same server and prefix.

        Args:
            client: A client that decodes responses to ``str``.
            prefix: First part of the keys.
            slot_ttl_s: After this time a dead worker's slot is free again. Longer than any delivery.
        """
        self._script = client.register_script((files("stemline.callbacks") / "lua" / "lanes.lua").read_text())
        self._prefix = prefix
        self._ttl_ms = round(slot_ttl_s * 1000)

    def acquire(self, host: str, delivery: str, limit: int) -> Slot:
        """Take a slot of a host, or join its waiting list.

        Args:
            host: Host and port, or another name of what shares the limit.
            delivery: Id of the delivery.
            limit: How many deliveries may go to the host at once.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        return Slot(int(self._run("enter", host, delivery, limit)))

    def release(self, host: str, delivery: str, limit: int) -> str | None:
        """Give a slot back.

        Returns:
            The waiting delivery that now holds the slot and must be sent next, if there is one.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        return self._run("leave", host, delivery, limit) or None

    def _run(self, command: str, host: str, delivery: str, limit: int) -> str:
        keys = [f"{self._prefix}:lane:{host}:busy", f"{self._prefix}:lane:{host}:waiting"]
        try:
            return str(self._script(keys=keys, args=[command, delivery, limit, self._ttl_ms]))
        except redis.exceptions.RedisError as error:
            raise unavailable(error) from error
