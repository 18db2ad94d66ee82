"""What a check says: what it found, what that means, and what mends it; never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from stemline.runtime.settings import Settings

GIB: Final = 1 << 30
TIMEOUT_S: Final = 5.0
"""How long anything is waited for that should be near."""


class Verdict(StrEnum):
    """What a finding means for the service."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    part: str
    verdict: Verdict
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    settings: Settings
    write: bool = True
    """Whether a small object may be written to buckets, and removed again."""
    buckets: tuple[str, ...] = ()
    """Buckets to try, as ``region/bucket``; those for which the service is opened where none are named."""
    receiver: str = ""
    """A URL that callbacks should reach."""


def ok(part: str, found: str) -> Finding:
    """All is well."""
    return Finding(part, Verdict.OK, found)


def warning(part: str, found: str, mend: str) -> Finding:
    """It works, but not for ever or not for all."""
    return Finding(part, Verdict.WARNING, found, mend)


def bad(part: str, found: str, mend: str) -> Finding:
    """The service cannot do its work."""
    return Finding(part, Verdict.BAD, found, mend)


def skipped(part: str, found: str) -> Finding:
    """It was not looked at, for a reason."""
    return Finding(part, Verdict.SKIPPED, found)


def address_of(url: str) -> str:
    """Host and port of a URL, without its user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}{f':{parts.port}' if parts.port else ''}"
