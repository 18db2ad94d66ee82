"""Whose jobs these are: a bucket in a region."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Tenant:
    """Whose jobs, queues and templates these are."""

    bucket: str
    region: str

    def __str__(self) -> str:
        return f"{self.region}/{self.bucket}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket for which the service is opened."""

    tenant: Tenant
    created: int
