"""A model of the broker: lists of messages, which may be lost, doubled, or delivered again a day later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tests.simulation.scheduler import Scheduler


class _Queues(dict[str, object]):
    """The queues that an application knows."""

    def add(self, name: str, **about: object) -> None:
        """Know one more."""
        self[name] = about


@dataclass
class Broker:
    """The lists; stands in for the Celery application of the product's notifier and sweeper."""

    scheduler: Scheduler
    lists: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    """Of the queues that have messages; the others have no list."""
    sent: list[tuple[str, Any]] = field(default_factory=list)
    amqp: Any = field(default_factory=lambda: SimpleNamespace(queues=_Queues()))
    """What the product declares queues with."""

    def send_task(self, task: str, *, args: Sequence[Any], queue: str, **_: Any) -> None:
        """Put a message into a list, unless it is lost."""
        fault = self.scheduler.choices.rare(3)
        self.sent.append((queue, args[0]))
        if copies := (1, 0, 2)[fault]:
            self.lists[queue] += [args[0]] * copies

    def take(self, queues: Sequence[str]) -> tuple[str, Any] | None:
        """Take a message from the first list that has one."""
        for queue in queues:
            if queue in self.lists:
                message = self.lists[queue].pop(0)
                if not self.lists[queue]:
                    del self.lists[queue]
                return queue, message
        return None

    def has(self, queues: Sequence[str]) -> bool:
        """Return whether one of the lists has a message."""
        return not self.lists.keys().isdisjoint(queues)

    @contextmanager
    def connection_for_read(self) -> Any:
        """Yield what the sweeper counts messages with."""
        client = SimpleNamespace(llen=lambda queue: len(self.lists.get(queue, ())))
        yield SimpleNamespace(default_channel=SimpleNamespace(client=client))
