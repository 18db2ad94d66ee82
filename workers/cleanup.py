"""Cleanup of what an attempt left in the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from stemline.jobs.errors import JobFailed
from stemline.storage import Buckets, Upload

log = structlog.get_logger(__name__)

BUDGET_S: Final = 2.0
"""How long a bucket may take to delete, s. A cancel waits for it; later sweeps try again for a week."""


def cleanup(
    buckets: Buckets,
    uploads: Sequence[Upload],
    *,
    job_id: str,
    token: int,
    expires_at: Callable[[], float] | None = None,
) -> list[Upload]:
    """Abort an attempt's uploads and delete its objects; objects of others are kept.

    Args:
        buckets: The buckets.
        uploads: The registered uploads.
        job_id: The job.
        token: Its latest fencing token: objects written under it, or under an earlier one, are deleted.
        expires_at: Returns when the lease expires; ``None`` if no attempt is running.

    Returns:
        The uploads of which something may be left: their bucket refused, or was unavailable.

    Raises:
        LeaseLost: The lease has expired.
    """
    end = time.monotonic() + BUDGET_S
    left: list[Upload] = []
    for upload in uploads:
        budget_s = end - time.monotonic()
        if budget_s <= 0:
            left.append(upload)
            continue
        try:
            if upload.upload_id:
                buckets.stems.abort(upload, budget_s=budget_s)
            buckets.stems.delete_own(
                upload.region,
                upload.bucket,
                upload.key,
                job_id=job_id,
                token=token,
                expires_at=expires_at,
                budget_s=max(0.0, end - time.monotonic()),
            )
        except JobFailed as error:
            left.append(upload)
            log.warning("cleanup.failed", bucket=upload.bucket, key=upload.key, reason=error.message)
    return left
