"""The buckets that hold sources and stems."""

from __future__ import annotations

from pathlib import Path

from stemline.runtime.settings.groups.group import Group, setting
from stemline.runtime.settings.values import BucketAccess


class StorageSettings(Group):
    """The buckets that hold sources and stems."""

    buckets: dict[str, BucketAccess] = setting(
        {}, 'How buckets are reached, JSON by bucket name; `"*"` for all the others.'
    )
    buckets_file: Path | None = setting(
        None, "A JSON file with more of them; it is read again when it changes."
    )
    retry_budget_s: float = setting(
        120.0,
        "How long an attempt retries when a bucket's store is unreachable or answers 5xx, s.",
        variable="storage_patience_s",
        gt=0,
    )
    upload_prefix: str = setting(
        "uploads/",
        "Beginning of the keys of sources that clients upload through the API; a folder of their own each.",
        pattern=r"^([A-Za-z0-9._-]+/)+$",
    )
    scratch_dir: Path | None = setting(
        None, "Where workers keep files while they work; else a folder of their user's in the temporary one."
    )
    scratch_bytes: int | None = setting(
        None, "What all jobs may take there at a time, bytes; the whole disk if not set.", ge=1 << 20
    )
