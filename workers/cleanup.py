"""Taking away what an attempt left in the bucket."""

from __future__ import annotations

from collections.abc import Callable

from stemline.jobs.job import Job
from stemline.storage import Buckets, Upload


def take_away(
    buckets: Buckets, job: Job, uploads: list[Upload], *, until: Callable[[], float] | None = None
) -> None:
    """Leave nothing of an attempt in the bucket, seen or unseen; other people's objects stay.

    Raises:
        JobFailed: the store did not let us; the sweeper tries again.
    """
    for upload in uploads:
        if upload.upload_id:
            buckets.abort(upload)
        buckets.delete_own(
            upload.region, upload.bucket, upload.key, job_id=job.id, token=job.token, expires_at=until
        )
