"""Protocol of questions about sources."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.probe import Probe, Question


class ProbeRepository(Protocol):
    """Questions of dry runs and the answers of workers; each is forgotten within seconds."""

    def ask(self, question: Question) -> None:
        """Ask whichever worker is free first."""
        ...

    def take(self, timeout_s: float) -> Question | None:
        """Return the next question, which no other worker gets.

        Args:
            timeout_s: how long to wait for one, s; at most a few.
        """
        ...

    def answer(self, question_id: str, probe: Probe) -> None:
        """Answer a question."""
        ...

    def answered(self, question_id: str) -> Probe | None:
        """Return the answer if there is one, once."""
        ...
