"""How many deliveries go to one host at a time, over all callback workers.

A delivery that finds its host busy waits in the lane, where it holds no thread; whoever ends a delivery to
that host goes on with the one that waits longest. A delivery whose waiting is forgotten comes back by its
lease in the outbox.
"""

from __future__ import annotations

from enum import IntEnum
from importlib.resources import files

import redis

from stemline.jobs.store.scripts import unavailable


class Place(IntEnum):
    """What a delivery found when it came to its lane."""

    TAKEN = 1
    WAITING = 0
    SENDING = -1
    """Another worker sends the very same delivery now."""


class Lanes:
    """The lanes of all hosts, in Redis."""

    def __init__(self, client: redis.Redis, prefix: str, *, kept_s: float) -> None:
        """Share lanes with every worker of the same server and prefix.

        Args:
            client: decodes answers to ``str``.
            prefix: first part of the keys.
            kept_s: after which a place is taken from a worker that died; longer than any delivery.
        """
        self._script = client.register_script((files("stemline.callbacks") / "lua" / "lanes.lua").read_text())
        self._prefix = prefix
        self._kept_ms = round(kept_s * 1000)

    def enter(self, host: str, delivery: str, places: int) -> Place:
        """Take one of a host's places, or wait for one."""
        return Place(int(self._run("enter", host, delivery, places)))

    def leave(self, host: str, delivery: str, places: int) -> str | None:
        """Give a place back; the delivery that has it now and must be sent next, if one waited."""
        return str(self._run("leave", host, delivery, places)) or None

    def _run(self, verb: str, host: str, delivery: str, places: int) -> str:
        """Run the script.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        keys = [f"{self._prefix}:lane:{host}:busy", f"{self._prefix}:lane:{host}:waiting"]
        try:
            return str(self._script(keys=keys, args=[verb, delivery, places, self._kept_ms]))
        except redis.exceptions.RedisError as error:
            raise unavailable(error) from error
