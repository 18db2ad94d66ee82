"""What jobs took, by credential and day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from stemline.client.answers import Raw, children, number, text
from stemline.client.call import Call


@dataclass(frozen=True, slots=True)
class Usage:
    """What the jobs of a credential took on one day, by UTC."""

    day: date
    credential: str
    """SecretId of who submitted them."""
    jobs: int = 0
    """Submitted on that day."""
    succeeded: int = 0
    """Ended so on that day."""
    failed: int = 0
    audio_s: float = 0.0
    """Length of the sources of successful jobs."""
    bytes_in: int = 0
    bytes_out: int = 0
    work_s: Mapping[str, float] = field(default_factory=dict)
    """How long their last attempts ran, by device."""
    raw: Raw = field(default_factory=dict, repr=False)


def read_usage(raw: Raw) -> Usage:
    """Return the usage of one credential on one day of an answer."""
    return Usage(
        day=date.fromisoformat(text(raw, "Date")),
        credential=text(raw, "Credential"),
        jobs=number(raw, "JobCount"),
        succeeded=number(raw, "SuccessCount"),
        failed=number(raw, "FailedCount"),
        audio_s=float(text(raw, "AudioSeconds") or 0),
        bytes_in=number(raw, "BytesIn"),
        bytes_out=number(raw, "BytesOut"),
        work_s={text(each, "Device"): float(text(each, "Seconds") or 0) for each in children(raw, "Work")},
        raw=raw,
    )


def usage(*, first: date | None = None, last: date | None = None) -> Call[list[Usage]]:
    """Return what the jobs of the bucket took.

    Args:
        first: Day; 30 days before the last by default.
        last: Day; today by default.
    """
    params = {"from": first.isoformat() if first else "", "to": last.isoformat() if last else ""}
    return Call(
        "GET",
        "/usage",
        lambda raw: list(map(read_usage, children(raw, "UsageList"))),
        params={name: value for name, value in params.items() if value},
    )
