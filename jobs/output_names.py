"""Checks of the names of a job's outputs: a store must be able to keep them, and none may be the source's."""

from __future__ import annotations

from typing import Final

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.tenant import Tenant

MAX_SEGMENT_BYTES: Final = 255
"""Longest name of a file or folder on every file system in use."""
_ANY_JOB_ID: Final = "j" + "0" * 32


def check_output_names(spec: JobSpec, *, keeps_files: bool) -> None:
    """Check the names of a job's outputs.

    Args:
        spec: What is asked for.
        keeps_files: Whether the bucket's store keeps objects as files in folders, and so ignores empty
            segments of names.

    Raises:
        RequestRefused: Such a store cannot keep a name, or an output would replace the source; says which.
    """
    keys = {track: spec.key(track, _ANY_JOB_ID) for track in spec.tracks()}
    if keeps_files:
        for track, key in keys.items():
            _check_segments(f"Output.{track}", key.split("/"))
    if Tenant(spec.output.bucket, spec.output.region) != spec.tenant:
        return
    source = spec.input_object
    for track, key in keys.items():
        if source == key or (keeps_files and _folded(source) == _folded(key)):
            raise RequestRefused(f"Output.{track} is the source itself, which would be replaced.")


def _check_segments(name: str, segments: list[str]) -> None:
    """Refuse a name that a store of files folds into another one, or answers with 500 for ever."""
    if "" in segments:
        raise RequestRefused(f"{name} has an empty segment, which this store ignores.")
    if max(len(segment.encode()) for segment in segments) > MAX_SEGMENT_BYTES:
        limit = f"{MAX_SEGMENT_BYTES} bytes, the limit of this store"
        raise RequestRefused(f"{name} has a segment of more than {limit}.")


def _folded(key: str) -> str:
    """Return the name that a store of files makes of a key."""
    return "/".join(filter(None, key.split("/")))
