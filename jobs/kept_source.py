"""A job never writes over its own source."""

from __future__ import annotations

from typing import Final

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.tenant import Tenant

_ANY_JOB_ID: Final = "j" + "0" * 32


def check_source_is_kept(spec: JobSpec, *, folds_names: bool) -> None:
    """Refuse an output that is the source itself.

    Args:
        spec: What is asked for.
        folds_names: Whether the bucket's store ignores empty segments of names.

    Raises:
        RequestRefused: One of the outputs would replace the source; says which.
    """
    if Tenant(spec.output.bucket, spec.output.region) != spec.tenant:
        return
    source = _folded(spec.input_object) if folds_names else spec.input_object
    for track in spec.tracks():
        key = spec.key(track, _ANY_JOB_ID)
        if source == (_folded(key) if folds_names else key):
            raise RequestRefused(f"Output.{track} is the source itself, which would be replaced.")


def _folded(key: str) -> str:
    return "/".join(filter(None, key.split("/")))
