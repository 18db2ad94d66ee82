"""Questions about sources in Redis: lists of askers, who take turns, and answers; all expire."""

from __future__ import annotations

from typing import Final

from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import ProbeRepository

_KEPT_MS: Final = 10_000
"""How long a question or an answer is kept that nobody takes, ms."""
_MAX_WAITING: Final = 10
"""Questions of an asker that wait at a time; its oldest is dropped beyond it."""
_MAX_ASKERS: Final = 100
"""Beyond it, the one that has taken the most time is forgotten."""
TENANT_MS: Final = 20_000
"""How long workers look at sources of one tenant within the time below, ms."""
CREDENTIAL_MS: Final = 40_000
"""The same for one credential, which may be that of several tenants."""
_BUDGET_OF_MS: Final = 60_000


class RedisProbes(ProbeRepository):
    """Questions about sources in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, question: Question) -> bool:
        text = records.text(records.QUESTION, question)
        limits = (_MAX_WAITING, _MAX_ASKERS, _KEPT_MS, TENANT_MS, CREDENTIAL_MS)
        source = records.digest(question.specs[0].input_object)
        return bool(self._connection.run("probe", "ask", question.asker, text, *limits, source))

    def take(self, timeout_s: float) -> Question | None:
        connection = self._connection
        turns = [connection.key("probe-turns")]
        found = connection.read(connection.client.bzpopmin, turns, timeout=timeout_s)
        if not found:
            return None
        _, asker, score = found
        text = connection.run("probe", "take", asker, round(score), _KEPT_MS)
        return records.QUESTION.validate_json(text) if text else None

    def spend(self, question: Question, seconds: float, *, in_vain: bool = False) -> None:
        source = records.digest(question.specs[0].input_object) if in_vain else ""
        self._connection.run("probe", "spend", question.asker, round(seconds * 1000), _BUDGET_OF_MS, source)

    def answer(self, question_id: str, probe: Probe) -> None:
        key = self._connection.key("probe", question_id)
        with self._connection.client.pipeline(transaction=True) as pipe:
            pipe.set(key, records.text(records.PROBE, probe), px=_KEPT_MS)
            self._connection.read(pipe.execute)

    def answered(self, question_id: str) -> Probe | None:
        connection = self._connection
        found = connection.read(connection.client.get, connection.key("probe", question_id))
        return records.PROBE.validate_json(found) if found else None
