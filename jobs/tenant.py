"""A tenant of the service: a bucket in a region."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Tenant:
    """The owner of jobs, queues and templates."""

    bucket: str
    region: str

    def __str__(self) -> str:
        return f"{self.region}/{self.bucket}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket for which the service is open."""

    tenant: Tenant
    created: int
    """When it was opened first, µs since the epoch."""
