"""Probes of sources for dry runs."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.job import JobSpec
from stemline.jobs.tenant import Tenant
from stemline.jobs.text import shorten


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker is asked about a source."""

    id: str
    specs: tuple[JobSpec, ...]
    """The jobs that would be submitted; all have the same source."""
    until: int
    """When the asker stops waiting, µs since the epoch."""
    credential: str = ""
    """Who asks."""

    @property
    def tenant(self) -> Tenant:
        """Whose source it is."""
        return self.specs[0].tenant

    @property
    def asker(self) -> str:
        """Who takes turns with others."""
        return f"{self.tenant}|{self.credential}"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a worker found; numbers are ``None`` where the source does not say."""

    code: str = "Success"
    """``Code`` that a job would fail with."""
    message: str = ""
    size: int | None = None
    """Bytes."""
    duration_s: float | None = None
    container: str = ""
    codec: str = ""
    samplerate: int | None = None
    """Hz."""
    channels: int | None = None
    bitrate_kbps: int | None = None
    stem_bytes: tuple[int | None, ...] = ()
    """Expected size of one stem of each job."""

    def __post_init__(self) -> None:
        """Cut the texts that come from the source or its store."""
        for name in ("code", "message", "container", "codec"):
            object.__setattr__(self, name, shorten(getattr(self, name)))
