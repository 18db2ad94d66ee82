"""Questions about sources in Redis: two kinds of lists that expire."""

from __future__ import annotations

from typing import Final

from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import ProbeRepository

_KEPT_MS: Final = 10_000
"""How long a question or an answer is kept that nobody takes, ms."""
_MOST: Final = 100
"""Questions that wait at a time; the oldest is dropped beyond it."""


class RedisProbes(ProbeRepository):
    """Questions about sources in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, question: Question) -> None:
        key = self._connection.key("probes")
        with self._connection.client.pipeline(transaction=True) as pipe:
            pipe.rpush(key, records.text(records.QUESTION, question))
            pipe.ltrim(key, -_MOST, -1)
            pipe.pexpire(key, _KEPT_MS)
            self._connection.read(pipe.execute)

    def take(self, timeout_s: float) -> Question | None:
        connection = self._connection
        found = connection.read(connection.client.blpop, [connection.key("probes")], timeout=timeout_s)
        return records.QUESTION.validate_json(found[1]) if found else None

    def answer(self, question_id: str, probe: Probe) -> None:
        key = self._connection.key("probe", question_id)
        with self._connection.client.pipeline(transaction=True) as pipe:
            pipe.set(key, records.text(records.PROBE, probe), px=_KEPT_MS)
            self._connection.read(pipe.execute)

    def answered(self, question_id: str) -> Probe | None:
        connection = self._connection
        found = connection.read(connection.client.get, connection.key("probe", question_id))
        return records.PROBE.validate_json(found) if found else None
