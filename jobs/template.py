"""Separation parameters that a tenant keeps under a name."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemline.jobs.separation import TAG, VoiceSeparate
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Template:
    """Named separation parameters; times in µs since the epoch."""

    id: str
    tenant: Tenant
    name: str
    separate: VoiceSeparate
    created: int
    updated: int
    tag: str = TAG
    revision: int = field(default=0, compare=False)
    """How often it was changed."""
