"""What a manifest notes of one track."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of a track."""

    track: str
    state: str = "new"
    """``new``, ``sending``, ``sent``, ``submitted``, ``done`` or ``failed``."""
    turn: int = 1
    """How many jobs it has had, this one included; another one follows only from ``--retry-failed``."""
    at: float = 0.0
    """When its present turn began, Unix seconds."""
    key: str = ""
    """Of the source in the bucket."""
    job: str = ""
    code: str = ""
    message: str = ""
    duration_s: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Stems that were fetched or are being fetched, relative to the folder of the output."""
    folder: str = ""
    """``{dir}`` in the names of its stems, which stay as they were when it was begun."""
    name: str = ""
    """``{name}`` in the same; empty until it was begun."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the stems that were fetched, by their files."""
    stamp: str = ""
    """Of the source as it was separated, see :attr:`stemline.client.tracks.sources.Track.stamp`."""


def digest(track: str) -> str:
    """Return a short, fixed name of a track."""
    return sha256(track.encode("utf-8", "surrogateescape")).hexdigest()[:16]
