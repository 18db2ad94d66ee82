"""Questions about sources, in memory."""

from __future__ import annotations

from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import ProbeRepository
from stemline.testing.in_memory_store.contents import Contents


class InMemoryProbes(ProbeRepository):
    """Questions about sources, in memory; nothing is forgotten."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def ask(self, question: Question) -> None:
        with self._contents.changed:
            self._contents.questions.append(question)
            self._contents.changed.notify_all()

    def take(self, timeout_s: float) -> Question | None:
        contents = self._contents
        with contents.changed:
            contents.changed.wait_for(lambda: bool(contents.questions), timeout_s)
            return contents.questions.popleft() if contents.questions else None

    def answer(self, question_id: str, probe: Probe) -> None:
        with self._contents.lock:
            self._contents.probes[question_id] = probe

    def answered(self, question_id: str) -> Probe | None:
        with self._contents.lock:
            return self._contents.probes.get(question_id)
