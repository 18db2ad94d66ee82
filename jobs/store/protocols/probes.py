"""Protocol of questions about sources."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.probe import Probe, Question


class ProbeRepository(Protocol):
    """Questions of dry runs and the answers of workers; each is forgotten within seconds."""

    def ask(self, question: Question) -> bool:
        """Ask whichever worker is free first.

        Returns:
            Whether it may be answered: not where the tenant or the credential has taken too much time lately,
            or a look at the source was in vain.
        """
        ...

    def take(self, timeout_s: float) -> Question | None:
        """Return a question, which no other worker gets.

        It is one of those whose tenant and credential have taken the least time lately.

        Args:
            timeout_s: How long to wait for one, s; at most a few.
        """
        ...

    def spend(self, question: Question, seconds: float, *, in_vain: bool = False) -> None:
        """Count how long a worker was busy with a question.

        Args:
            question: What was asked.
            seconds: How long, s.
            in_vain: Whether that was as long as it may, and did not suffice.
        """
        ...

    def answer(self, question_id: str, probe: Probe) -> None:
        """Answer a question."""
        ...

    def answered(self, question_id: str) -> Probe | None:
        """Return the answer if there is one, once."""
        ...
