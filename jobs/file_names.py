"""Names of objects for stores that keep objects as files in folders."""

from __future__ import annotations

from typing import Final

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec

MAX_SEGMENT_BYTES: Final = 255
"""Longest name of a file or folder on every file system in use."""
_ANY_JOB_ID = "j" + "0" * 32


def check_file_names(spec: JobSpec) -> None:
    """Refuse output names that such a store folds into another name or answers with 500 for ever.

    Raises:
        RequestRefused: a name has an empty segment, or one of more than 255 bytes; says which.
    """
    for track in spec.tracks():
        segments = spec.key(track, _ANY_JOB_ID).split("/")
        if "" in segments:
            raise RequestRefused(f"Output.{track} has an empty segment, which this store ignores.")
        if max(len(segment.encode()) for segment in segments) > MAX_SEGMENT_BYTES:
            limit = f"{MAX_SEGMENT_BYTES} bytes, the limit of this store"
            raise RequestRefused(f"Output.{track} has a segment of more than {limit}.")
