"""How a run over many tracks is done, and to whom it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemline.client.names import DEFAULT_PATTERN
from stemline.client.tracks.entry import Entry


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done."""

    parameters: Mapping[str, Any]
    """Of :class:`~stemline.client.submission.Submission`."""
    folder: Path
    """Of the stems."""
    pattern: str = DEFAULT_PATTERN
    jobs: int = 100
    """Tracks that are sent, wait, run or are fetched at the same time."""
    retry_failed: bool = False
    """Whether the tracks that failed, and only these, are tried again."""
    waits: bool = True
    """Whether jobs are followed and their stems fetched."""
    overwrite: bool = False
    """Whether stems may replace files that are not theirs."""


class Report:
    """What a run reports; every method may be called from several threads."""

    def stage(self, track: str, stage: str, percent: float) -> None:
        """Report what is done to a track, and how far its job is."""

    def ended(self, entry: Entry) -> None:
        """Report that nothing is left to be done for a track."""

    def holding(self, why: str) -> None:
        """Report why nothing is submitted at the moment; empty once it goes on."""
