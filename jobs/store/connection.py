"""What the Redis repositories of one store share: the client, the scripts, the options and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from stemline.jobs.store.options import StoreOptions
from stemline.jobs.store.scripts import Scripts
from stemline.jobs.store.server_errors import CLIENT_ERRORS, translate
from stemline.jobs.store.values import Deliver, Notify, WakeUp, discard_deliveries, discard_wake_ups


class Connection:
    """A server with the store's scripts, options and clock."""

    def __init__(
        self,
        client: redis.Redis,
        options: StoreOptions,
        *,
        notify: Notify = discard_wake_ups,
        deliver: Deliver = discard_deliveries,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Use a client.

        Args:
            client: Decodes answers to ``str``.
            options: Limits and times.
            notify: Sends wake-ups; must not raise.
            deliver: Has callbacks delivered; must not raise.
            clock: µs since the epoch, instead of the server's clock; for tests.
        """
        self.client = client
        self.options = options
        self._scripts = Scripts(client, options.confirmation, marker=self.key("confirmed"))
        self._notify = notify
        self._deliver = deliver
        self._clock = clock

    def key(self, *parts: str) -> str:
        """Return a key under the store's prefix."""
        return ":".join((self.options.key_prefix, *parts))

    def run(self, script: str, *args: str | float) -> Any:
        """Run one of the scripts in ``lua/`` and return its answer.

        Raises:
            StoreUnavailable: The server cannot be reached, is full, or does not answer.
            RecordTooNew: A record was written by a newer release.
        """
        return self._scripts.run(script, self.options.key_prefix, self._clock() if self._clock else 0, *args)

    def run_each(self, script: str, calls: Iterable[Sequence[str | float]]) -> list[Any]:
        """Run one of the scripts several times in one round trip.

        Args:
            script: Its name.
            calls: The arguments of each.

        Returns:
            The answer of each, or the error with which it ended, as :meth:`run` raises it.

        Raises:
            StoreUnavailable: The server cannot be reached or does not answer.
        """
        first = (self.options.key_prefix, self._clock() if self._clock else 0)
        return self._scripts.run_each(script, [(*first, *args) for args in calls])

    def read(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a reading method of the client.

        Raises:
            StoreUnavailable: The server cannot be reached or does not answer.
        """
        try:
            return call(*args, **options)
        except CLIENT_ERRORS as error:
            raise translate(error) from error

    def read_confirmed(self, *command: str) -> Any:
        """Run a reading command whose answer a client takes for that of a change it made before.

        Raises:
            StoreUnavailable: The server cannot be reached or does not answer.
            NotConfirmed: What it has found may not survive what it should.
        """
        return self._scripts.read_confirmed(*command)

    def hashes(self, kind: str, ids: Iterable[str]) -> list[dict[str, str]]:
        """Read the hashes ``<prefix>:<kind>:<id>`` in one round trip; an unknown id gives an empty one.

        Raises:
            StoreUnavailable: The server cannot be reached or does not answer.
        """
        with self.client.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.hgetall(self.key(kind, each))
            return list(self.read(pipe.execute))

    def now(self) -> int:
        """Return the store's time, µs since the epoch."""
        if self._clock:
            return self._clock()
        seconds, micros = self.read(self.client.time)
        return int(seconds) * 1_000_000 + int(micros)

    def wake_up(self, rows: Sequence[Sequence[str]]) -> None:
        """Send wake-ups, as scripts return them."""
        if rows:
            self._notify([WakeUp(int(level), job_id, wants) for level, job_id, wants in rows])

    def deliver(self, deliveries: Sequence[str]) -> None:
        """Have callbacks delivered that a script has made due."""
        if deliveries:
            self._deliver(deliveries)
