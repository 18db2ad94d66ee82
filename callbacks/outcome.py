"""The outcome of one attempt to deliver a callback."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.text import shorten


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt, by URL or by message queue."""

    delivered: bool
    status: str
    """HTTP status, or a word such as ``timeout``: see ``docs/callbacks.md``."""
    answer: str = ""
    """The first bytes of the response, or the reason of the failure."""
    final: bool = False
    """Whether no further attempt can succeed."""
    retry_after_s: float | None = None
    """The shortest wait the receiver asked for, in seconds."""


def failed(status: str, reason: object, *, final: bool = False) -> Outcome:
    """Return the outcome of an attempt that did not get through."""
    return Outcome(delivered=False, status=shorten(status, 64), answer=shorten(reason), final=final)
