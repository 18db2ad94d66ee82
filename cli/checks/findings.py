"""The results of checks: what was found, how serious it is and how to fix it; never with a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stemline.runtime.sentinel_address import SentinelAddress, is_sentinel

if TYPE_CHECKING:  # half a second that `stemline --help` saves
    from stemline.runtime.settings import Settings

GIB: Final = 1 << 30
TIMEOUT_S: Final = 5.0
"""How long a check waits for a server."""


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    """The service works, but not in every case or not for long."""
    ERROR = "error"
    """The service cannot do its work."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    verdict: Verdict
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The settings to check and the options of `stemline doctor`."""

    settings: Settings
    write: bool = True
    """Whether to write a small object to each bucket and delete it again."""
    buckets: tuple[str, ...] = ()
    """Buckets to check, as ``region/bucket``; if empty, the buckets with jobs in the store."""
    receiver: str = ""
    """URL of a callback receiver to connect to."""


def ok(check: str, message: str) -> Finding:
    """Return a finding with nothing to fix."""
    return Finding(check, Verdict.OK, message)


def warn(check: str, message: str, fix: str) -> Finding:
    """Return a finding that limits the service."""
    return Finding(check, Verdict.WARNING, message, fix)


def fail(check: str, message: str, fix: str) -> Finding:
    """Return a finding that stops the service from working."""
    return Finding(check, Verdict.ERROR, message, fix)


def skip(check: str, message: str) -> Finding:
    """Return the reason why a check did not run."""
    return Finding(check, Verdict.SKIPPED, message)


def address_of(url: str) -> str:
    """Return host and port of a URL, without user and password."""
    if is_sentinel(url):
        return str(SentinelAddress.parse(url))
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}{f':{parts.port}' if parts.port else ''}"
