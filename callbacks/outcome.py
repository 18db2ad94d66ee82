"""What came of one try to deliver."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one try, whichever way it went."""

    delivered: bool
    status: str
    """HTTP status, or a word: see ``docs/callbacks.md``."""
    answer: str = ""
    """The first bytes of the answer, or the reason of the failure."""
    final: bool = False
    """No further try can help."""
    retry_after_s: float | None = None
    """The receiver asked not to be called sooner."""


def failed(status: str, reason: object, *, final: bool = False) -> Outcome:
    """A try that did not get through."""
    return Outcome(delivered=False, status=status, answer=str(reason), final=final)
