"""A callback and the attempts to deliver it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stemline.jobs.callback import MASK, CallbackTarget, masked_url, secrets_in_url
from stemline.jobs.tenant import Tenant
from stemline.jobs.text import shorten

_LOCATION = re.compile("^(Location: )(.+)$", re.MULTILINE | re.IGNORECASE)
"""The target of a redirect, which may be a part of a URL."""
_URL = re.compile(r"""https?://[^\s"'<>]+""", re.IGNORECASE)


DELIVERY_STATUSES = frozenset({"pending", "delivered", "dead"})


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt to deliver a callback."""

    at: int
    """When it began, µs since the epoch."""
    status: str
    """HTTP status, or a word such as ``timeout`` or ``refused``."""
    duration_ms: int
    answer: str = ""
    """The first kilobyte of the answer, or why there is none."""

    def __post_init__(self) -> None:
        """Cut what a receiver sent, also where an earlier release kept more of it."""
        object.__setattr__(self, "status", shorten(self.status, 64))
        object.__setattr__(self, "answer", shorten(self.answer))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback, from the end of its job on."""

    id: str
    """The same for all attempts, and for all ends of a batch."""
    job_id: str
    tenant: Tenant
    target: CallbackTarget
    created: int
    """When the job ended, µs since the epoch."""
    due: int | None
    """When the next attempt is due, µs since the epoch; ``None`` once it is delivered or given up."""
    status: str = "pending"
    """``pending``, ``delivered`` or ``dead``."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    uncounted: int = 0
    """Attempts that do not count for the schedule: those before the last replay, and those sent by hand."""
    scheduled: int | None = None
    """When the schedule's next attempt is due, while one that was sent by hand is; µs since the epoch."""

    @property
    def message_id(self) -> str:
        """The ``webhook-id``, by which a receiver recognises repetitions.

        A batch whose rows are retried ends again, and its next message says something else.
        """
        return f"{self.id}-{self.created}" if self.job_id.startswith("b") else self.id

    @property
    def counted(self) -> int:
        """Attempts of the schedule that were made."""
        return len(self.attempts) - self.uncounted

    def matches(self, tenant: Tenant | None, host: str | None) -> bool:
        """Return whether it belongs to the tenant and goes to the host; ``None`` stands for any."""
        return tenant in {None, self.tenant} and host in {None, self.target.host}

    def without_secrets(self) -> Delivery:
        """Return the delivery as it is shown to those who may not change it."""
        if not self.target.url:
            return self
        secrets = secrets_in_url(self.target.url)
        attempts = tuple(replace(each, answer=_without(each.answer, secrets)) for each in self.attempts)
        return replace(self, target=replace(self.target, url=masked_url(self.target.url)), attempts=attempts)


def _without(text: str, secrets: Sequence[str]) -> str:
    """Return a text without secrets that a receiver may have repeated, and without those of its own URLs."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = _LOCATION.sub(lambda found: found[1] + masked_url(found[2]), text)
    return _URL.sub(lambda found: masked_url(found[0]), text)
