"""What the parts of the store share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import redis

from stemline.jobs.queue import NotifyConfig
from stemline.jobs.store import records
from stemline.jobs.store.scripts import Scripts, unavailable
from stemline.runtime.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A hint that a job may be ready: what a Celery message says."""

    level: int
    job_id: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of an endless list."""

    items: list[T]
    cursor: str | None
    """Where the next page begins; ``None`` at the end."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A numbered page of a short list."""

    items: list[T]
    total: int
    missing: tuple[str, ...] = ()
    """Ids that were asked for and do not exist."""


def notify_nobody(wake_ups: Sequence[WakeUp]) -> None:
    """Send no wake-ups: the sweeper does."""


class Repository:
    """A client, the scripts and the settings."""

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        *,
        notify: Callable[[Sequence[WakeUp]], None] = notify_nobody,
        clock: Callable[[], int] | None = None,
        scripts: Scripts | None = None,
    ) -> None:
        """Keep jobs behind a client.

        Args:
            client: decodes answers to ``str``.
            settings: limits and times.
            notify: called with wake-ups for jobs that may be ready; must not raise.
            clock: µs since the epoch in place of the server's clock; for tests.
            scripts: those of another repository, to share; made from the client where not given.
        """
        self.client = client
        self.settings = settings
        self.scripts = scripts or Scripts(client, settings.store.key_prefix, clock)
        self._notify = notify

    def notify(self, wake_ups: Sequence[Sequence[str]]) -> None:
        """Send wake-ups for jobs that may be ready, as scripts return them."""
        if wake_ups:
            self._notify([WakeUp(int(level), job_id) for level, job_id in wake_ups])

    def now(self) -> int:
        """The store's time, µs since the epoch."""
        if self.scripts.clock:
            return self.scripts.clock()
        seconds, micros = self.reading(self.client.time)
        return int(seconds) * 1_000_000 + int(micros)

    def reading(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run a read of the client.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        try:
            return call(*args, **options)
        except redis.exceptions.RedisError as error:
            raise unavailable(error) from error

    def notify_of(self, queue_id: str) -> NotifyConfig:
        """A queue's callback defaults."""
        text = self.reading(self.client.hget, self.scripts.key("queue", queue_id), "notify")
        return records.NOTIFY.validate_json(text) if text else NotifyConfig()
