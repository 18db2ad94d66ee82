"""Cleanup of what an attempt left in the bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stemline.jobs.job import Job
from stemline.storage import Buckets, Upload


def cleanup(
    buckets: Buckets, job: Job, uploads: Sequence[Upload], *, expires_at: Callable[[], float] | None = None
) -> None:
    """Abort the attempt's uploads and delete its objects; objects of others are kept.

    Args:
        buckets: The buckets.
        job: The job, with the token of its latest attempt.
        uploads: The registered uploads.
        expires_at: Returns when the lease expires; ``None`` if no attempt is running.

    Raises:
        JobFailed: The bucket refused, or was unavailable; something may be left.
        LeaseLost: The lease has expired.
    """
    for upload in uploads:
        if upload.upload_id:
            buckets.abort(upload)
        buckets.delete_own(
            upload.region, upload.bucket, upload.key, job_id=job.id, token=job.token, expires_at=expires_at
        )
