"""Questions about sources, in memory."""

from __future__ import annotations

from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import ProbeRepository
from stemline.jobs.store.probes import CREDENTIAL_MS, TENANT_MS
from stemline.testing.in_memory_store.contents import Contents


class InMemoryProbes(ProbeRepository):
    """Questions about sources, in memory; nothing is forgotten."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def ask(self, question: Question) -> bool:
        with self._contents.changed:
            of_tenant, of_credential = self._spent(question)
            if of_tenant * 1000 >= TENANT_MS or of_credential * 1000 >= CREDENTIAL_MS:
                return False
            if (question.tenant, question.specs[0].input_object) in self._contents.slow_sources:
                return False
            self._contents.questions.append(question)
            self._contents.changed.notify_all()
        return True

    def take(self, timeout_s: float) -> Question | None:
        contents = self._contents
        with contents.changed:
            contents.changed.wait_for(lambda: bool(contents.questions), timeout_s)
            if not contents.questions:
                return None
            question = min(contents.questions, key=lambda each: sum(self._spent(each)))
            contents.questions.remove(question)
            return question

    def spend(self, question: Question, seconds: float, *, in_vain: bool = False) -> None:
        with self._contents.lock:
            if in_vain:
                self._contents.slow_sources.add((question.tenant, question.specs[0].input_object))
            for account in (question.tenant, question.credential):
                self._contents.probe_seconds[account] += seconds

    def answer(self, question_id: str, probe: Probe) -> None:
        with self._contents.lock:
            self._contents.probes[question_id] = probe

    def answered(self, question_id: str) -> Probe | None:
        with self._contents.lock:
            return self._contents.probes.get(question_id)

    def _spent(self, question: Question) -> tuple[float, float]:
        seconds = self._contents.probe_seconds
        return seconds[question.tenant], seconds[question.credential]
