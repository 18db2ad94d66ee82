"""What can be asked of jobs, as requests and what their answers mean; nothing is sent here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from stemline.client.answers import Raw, child, children, text
from stemline.client.call import PAGE, Call, Changed, changed, given, joined, nothing, prefer_wait, wire_time
from stemline.client.job import Execution, Job, Page, read_execution, read_job
from stemline.client.submission import Submission
from stemline.jobs.separation import TAG


def submit(
    submission: Submission, bucket: str, region: str, *, key: str = "", wait_s: float = 0
) -> Call[Job]:
    """Create a job.

    Args:
        submission: What is asked for.
        bucket: Bucket of the stems, unless the submission names one.
        region: Region of that bucket.
        key: The Idempotency-Key; a new one if empty.
        wait_s: Hold the answer so long, or until the job has ended; a service that cannot answers at once.
    """
    return Call(
        "POST",
        "/jobs",
        lambda raw: read_job(children(raw, "JobsDetail")[0]),
        body=submission.body(bucket, region),
        headers={"Idempotency-Key": key or uuid.uuid4().hex, **prefer_wait(wait_s)},
    )


def dry_run(submission: Submission, bucket: str, region: str, *, probe: bool = True) -> Call[Raw]:
    """Check a submission and return what a worker says of its source, and what is expected of the job.

    Args:
        submission: What is asked for.
        bucket: Bucket of the stems, unless the submission names one.
        region: Region of that bucket.
        probe: Whether a worker looks at the source; otherwise only the request is checked.
    """
    return Call(
        "POST",
        "/jobs",
        lambda raw: raw,
        params={"dryRun": "true", **({} if probe else {"probe": "false"})},
        body=submission.body(bucket, region),
    )


def get(ids: Sequence[str], *, wait_s: float = 0) -> Call[dict[str, Job]]:
    """Return up to ten jobs by their ids; those that the bucket does not have are left out.

    Args:
        ids: Ids of the jobs.
        wait_s: Hold the answer so long, or until the job has ended; a service that cannot answers at once.
    """
    return Call(
        "GET",
        f"/jobs/{joined(ids)}",
        lambda raw: {job.id: job for job in map(read_job, children(raw, "JobsDetail"))},
        headers=prefer_wait(wait_s),
    )


def page(
    *,
    states: Iterable[str] = (),
    queue: str = "",
    source: str = "",
    batch: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    oldest_first: bool = False,
    cursor: str = "",
    size: int = PAGE,
) -> Call[Page]:
    """Return one page of jobs, by creation time."""
    params = {
        "tag": TAG,
        "size": str(size),
        "states": ",".join(states),
        "queueId": queue,
        "inputObject": source,
        "batchId": batch,
        "startCreationTime": wire_time(since),
        "endCreationTime": wire_time(until),
        "orderByTime": "Asc" if oldest_first else "",
        "nextToken": cursor,
    }
    return Call(
        "GET",
        "/jobs",
        lambda raw: Page(tuple(map(read_job, children(raw, "JobsDetail"))), text(raw, "NextToken")),
        params=given(params),
    )


def cancel(ids: Sequence[str]) -> Call[None]:
    """Cancel up to ten jobs, all or none."""
    return Call("PUT", f"/jobs/{joined(ids)}", nothing, params={"cancel": ""})


def retry(ids: Sequence[str]) -> Call[list[Job]]:
    """Submit up to ten failed or cancelled jobs again, all or none, and return the new jobs."""
    return Call(
        "POST",
        f"/jobs/{joined(ids)}/retry",
        lambda raw: list(map(read_job, children(raw, "JobsDetail"))),
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )


def cancel_where(**filters: Any) -> Call[Changed]:
    """Cancel all jobs that match and have not ended; see :func:`where` for the filters."""
    return Call("POST", "/bulk/jobs/cancel", changed, params=where(**filters))


def retry_where(**filters: Any) -> Call[Changed]:
    """Submit all failed and cancelled jobs again that match and were not retried yet."""
    return Call("POST", "/bulk/jobs/retry", changed, params=where(**filters))


def where(
    *,
    states: Iterable[str] = (),
    queue: str = "",
    level: int | None = None,
    prefix: str = "",
    batch: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    dry_run: bool = False,
    cursor: str = "",
) -> dict[str, str]:
    """Return the filter of a request that changes many jobs.

    Args:
        states: States of the jobs; all that can be changed if empty.
        queue: Its id.
        level: Their level.
        prefix: Beginning of the keys of their sources.
        batch: Id of the batch that they are rows of.
        since: When they were created at the earliest.
        until: When they were created at the latest.
        dry_run: Only count them.
        cursor: Cursor of the answer to the same request.
    """
    params = {
        "states": ",".join(states),
        "queueId": queue,
        "level": "" if level is None else str(level),
        "inputPrefix": prefix,
        "batchId": batch,
        "startCreationTime": wire_time(since),
        "endCreationTime": wire_time(until),
        "dryRun": "true" if dry_run else "",
        "nextToken": cursor,
    }
    return given(params)


def links(job_id: str) -> Call[dict[str, str]]:
    """Return links to the stems of a job, by their keys; they are valid for an hour."""
    return Call(
        "GET",
        f"/console/jobs/{joined([job_id])}",
        lambda raw: {text(each, "Key"): text(each, "DownloadUrl") for each in children(raw, "Stem")},
    )


def execution(job_id: str) -> Call[Execution]:
    """Return which attempt at a job runs, or ran last, and where."""
    return Call(
        "GET",
        f"/console/jobs/{joined([job_id])}",
        lambda raw: read_execution(child(raw, "Job")),
    )
