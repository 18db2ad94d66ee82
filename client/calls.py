"""The operations of the service, as requests and what their answers mean; nothing is sent here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from stemline.client.call import (
    PAGE,
    Call,
    Changed,
    changed,
    given,
    joined,
    nothing,
    prefer_wait,
    segment,
    wire_time,
)
from stemline.client.submission import Submission
from stemline.client.values import (
    Callback,
    Execution,
    Job,
    Page,
    Queue,
    Raw,
    Template,
    Upload,
    child,
    children,
    number,
    read_callback,
    read_execution,
    read_job,
    read_queue,
    read_template,
    read_upload,
    text,
)
from stemline.jobs.separation import TAG


def submit(
    submission: Submission, bucket: str, region: str, *, key: str = "", wait_s: float = 0
) -> Call[Job]:
    """Create a job.

    Args:
        submission: what is asked for.
        bucket: of the stems, unless the submission names one.
        region: of that bucket.
        key: the Idempotency-Key; a new one if empty.
        wait_s: hold the answer so long, or until the job has ended; a service that cannot answers at once.
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
        submission: what is asked for.
        bucket: of the stems, unless the submission names one.
        region: of that bucket.
        probe: whether a worker looks at the source; otherwise only the request is checked.
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
        ids: of the jobs.
        wait_s: hold the answer so long, or until the job has ended; a service that cannot answers at once.
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


def queues() -> Call[list[Queue]]:
    """Return the queues of the bucket."""
    return Call(
        "GET",
        "/queue",
        lambda raw: list(map(read_queue, children(raw, "QueueList"))),
        params={"pageSize": str(PAGE)},
    )


def update_queue(queue: Queue, changes: Mapping[str, Any]) -> Call[Queue]:
    """Change a queue; what is not named stays."""
    fields = {"Name": queue.name, "QueueID": queue.id, **changes}
    path = f"/queue/{segment(queue.id)}"
    return Call("PUT", path, lambda raw: read_queue(child(raw, "Queue")), body=fields)


def templates(*, page_number: int = 1, prefix: str = "") -> Call[tuple[list[Template], int]]:
    """Return one page of templates and the number of all."""
    params = {"pageNumber": str(page_number), "pageSize": str(PAGE), "name": prefix}
    return Call(
        "GET",
        "/template",
        lambda raw: (list(map(read_template, children(raw, "TemplateList"))), number(raw, "TotalCount")),
        params=given(params),
    )


def create_template(name: str, parameters: Submission) -> Call[Template]:
    """Create a template with the mode and the codec of a submission."""
    separate = parameters.body("", "")["Operation"]["VoiceSeparate"]
    return Call(
        "POST",
        "/template",
        lambda raw: read_template(child(raw, "Template")),
        body={"Tag": TAG, "Name": name, **separate},
        repeatable=False,
    )


def delete_template(template_id: str) -> Call[None]:
    """Delete a template."""
    return Call("DELETE", f"/template/{segment(template_id)}", nothing, repeatable=False)


def callbacks(
    *, states: Iterable[str] = (), host: str = "", since: datetime | None = None, page_number: int = 1
) -> Call[tuple[list[Callback], int]]:
    """Return one page of callbacks and the number of all, latest first.

    Args:
        states: ``Pending``, ``Delivered`` and ``Dead``; all of them if empty.
        host: of the URL, or ``MqRegion/MqName``.
        since: those of jobs that ended since then, dead ones that were given up since then.
        page_number: from 1.
    """
    params = {
        "states": ",".join(states) or "All",
        "host": host,
        "startTime": wire_time(since),
        "pageNumber": str(page_number),
        "pageSize": str(PAGE),
    }
    return Call(
        "GET",
        "/callbacks",
        lambda raw: (list(map(read_callback, children(raw, "CallbackList"))), number(raw, "TotalCount")),
        params=given(params),
    )


def get_callbacks(ids: Sequence[str]) -> Call[list[Callback]]:
    """Return callbacks by their ids or those of their jobs; unknown ones are left out."""
    return Call(
        "GET", f"/callbacks/{joined(ids)}", lambda raw: list(map(read_callback, children(raw, "Callback")))
    )


def send_callbacks(ids: Sequence[str]) -> Call[int]:
    """Send callbacks now, whatever their state, all or none, and return how many."""
    return Call("POST", f"/callbacks/{joined(ids)}/send", lambda raw: number(raw, "ReplayedCount"))


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
        states: of the jobs; all that can be changed if empty.
        queue: its id.
        level: their level.
        prefix: beginning of the keys of their sources.
        batch: id of the batch that they are rows of.
        since: when they were created at the earliest.
        until: when they were created at the latest.
        dry_run: only count them.
        cursor: of the answer to the same request.
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


def send_callbacks_where(
    *, states: Iterable[str] = (), host: str = "", since: datetime | None = None, dry_run: bool = False
) -> Call[Changed]:
    """Send all callbacks that match now; dead letters unless states are given."""
    params = {
        "states": ",".join(states),
        "host": host,
        "startTime": wire_time(since),
        "dryRun": "true" if dry_run else "",
    }
    return Call("POST", "/bulk/callbacks/send", changed, params=given(params))


def begin_upload(name: str, size: int) -> Call[Upload]:
    """Begin an upload through the service, under a new key that ends with a name."""
    return Call(
        "POST",
        "/uploads",
        lambda raw: read_upload(child(raw, "Upload")),
        body={"Name": name, "Size": str(size)},
        repeatable=False,
    )


def resume_upload(upload: Upload) -> Call[Upload]:
    """Return the parts that an upload lacks, with new URLs."""
    return Call("PUT", "/uploads", lambda raw: read_upload(child(raw, "Upload")), params=_upload(upload))


def complete_upload(upload: Upload) -> Call[str]:
    """Make an upload an object, and return its key."""
    return Call(
        "POST", "/uploads/complete", lambda raw: text(raw, "Key"), params=_upload(upload), repeatable=False
    )


def abort_upload(upload: Upload) -> Call[None]:
    """Give an upload up."""
    return Call("DELETE", "/uploads", nothing, params=_upload(upload))


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


def _upload(upload: Upload) -> dict[str, str]:
    return {"key": upload.key, "uploadId": upload.id, "size": str(upload.size)}
