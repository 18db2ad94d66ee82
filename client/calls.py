"""The operations of the service, as requests and what their answers mean; nothing is sent here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from stemline.client.errors import NotFound
from stemline.client.submission import Submission, audio_config
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
from stemline.wire.queries import MAX_IDS
from stemline.wire.times import format_time

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
PAGE: Final = 100
"""Largest page of every list."""
LONGEST_WAIT_S: Final = 25
"""How long one request asks the service to hold its answer until the job has ended."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read."""

    method: str
    path: str
    """Encoded."""
    read: Callable[[Raw], T_co]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether it may be sent again if it is not known whether the service received it."""


def submit(submission: Submission, bucket: str, region: str, *, key: str = "") -> Call[Job]:
    """Create a job.

    Args:
        submission: what is asked for.
        bucket: of the stems, unless the submission names one.
        region: of that bucket.
        key: the Idempotency-Key; a new one if empty.
    """
    return Call(
        "POST",
        "/jobs",
        lambda raw: read_job(children(raw, "JobsDetail")[0]),
        body=submission.body(bucket, region),
        headers={"Idempotency-Key": key or uuid.uuid4().hex},
    )


def get(ids: Sequence[str], *, wait_s: float = 0) -> Call[dict[str, Job]]:
    """Return up to ten jobs by their ids; those that the bucket does not have are left out.

    Args:
        ids: of the jobs.
        wait_s: hold the answer so long, or until the job has ended; a service that cannot answers at once.
    """
    headers = {"Prefer": f"wait={min(round(wait_s), LONGEST_WAIT_S)}"} if wait_s >= 1 else {}
    return Call(
        "GET",
        f"/jobs/{_ids(ids)}",
        lambda raw: {job.id: job for job in map(read_job, children(raw, "JobsDetail"))},
        headers=headers,
    )


def page(
    *,
    states: Iterable[str] = (),
    queue: str = "",
    source: str = "",
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
        "startCreationTime": _time(since),
        "endCreationTime": _time(until),
        "orderByTime": "Asc" if oldest_first else "",
        "nextToken": cursor,
    }
    return Call(
        "GET",
        "/jobs",
        lambda raw: Page(tuple(map(read_job, children(raw, "JobsDetail"))), text(raw, "NextToken")),
        params=_given(params),
    )


def cancel(ids: Sequence[str]) -> Call[None]:
    """Cancel up to ten jobs, all or none."""
    return Call("PUT", f"/jobs/{_ids(ids)}", _nothing, params={"cancel": ""})


def retry(ids: Sequence[str]) -> Call[list[Job]]:
    """Submit up to ten failed or cancelled jobs again, all or none, and return the new jobs."""
    return Call(
        "POST",
        f"/jobs/{_ids(ids)}/retry",
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
    return Call("PUT", f"/queue/{quote(queue.id)}", lambda raw: read_queue(child(raw, "Queue")), body=fields)


def templates(*, page_number: int = 1, prefix: str = "") -> Call[tuple[list[Template], int]]:
    """Return one page of templates and the number of all."""
    params = {"pageNumber": str(page_number), "pageSize": str(PAGE), "name": prefix}
    return Call(
        "GET",
        "/template",
        lambda raw: (list(map(read_template, children(raw, "TemplateList"))), number(raw, "TotalCount")),
        params=_given(params),
    )


def create_template(name: str, parameters: Submission) -> Call[Template]:
    """Create a template with the mode and the codec of a submission."""
    mode = parameters.body("", "")["Operation"]["VoiceSeparate"]["AudioMode"]
    return Call(
        "POST",
        "/template",
        lambda raw: read_template(child(raw, "Template")),
        body={"Tag": TAG, "Name": name, "AudioMode": mode, "AudioConfig": audio_config(parameters)},
        repeatable=False,
    )


def delete_template(template_id: str) -> Call[None]:
    """Delete a template."""
    return Call("DELETE", f"/template/{quote(template_id, safe='')}", _nothing, repeatable=False)


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
        "startTime": _time(since),
        "pageNumber": str(page_number),
        "pageSize": str(PAGE),
    }
    return Call(
        "GET",
        "/callbacks",
        lambda raw: (list(map(read_callback, children(raw, "CallbackList"))), number(raw, "TotalCount")),
        params=_given(params),
    )


def get_callbacks(ids: Sequence[str]) -> Call[list[Callback]]:
    """Return callbacks by their ids or those of their jobs; unknown ones are left out."""
    return Call(
        "GET", f"/callbacks/{_ids(ids)}", lambda raw: list(map(read_callback, children(raw, "Callback")))
    )


def send_callbacks(ids: Sequence[str]) -> Call[int]:
    """Send callbacks now, whatever their state, all or none, and return how many."""
    return Call("POST", f"/callbacks/{_ids(ids)}/send", lambda raw: number(raw, "ReplayedCount"))


@dataclass(frozen=True, slots=True)
class Changed:
    """What a request for all jobs or callbacks of a filter did."""

    count: int
    """Those that match, of which all were changed unless it was a dry run."""
    cursor: str
    """Where the same request goes on; empty if nothing is left."""


def cancel_where(**filters: Any) -> Call[Changed]:
    """Cancel all jobs that match and have not ended; see :func:`where` for the filters."""
    return Call("POST", "/bulk/jobs/cancel", _changed, params=where(**filters))


def retry_where(**filters: Any) -> Call[Changed]:
    """Submit all failed and cancelled jobs again that match and were not retried yet."""
    return Call("POST", "/bulk/jobs/retry", _changed, params=where(**filters))


def where(
    *,
    states: Iterable[str] = (),
    queue: str = "",
    level: int | None = None,
    prefix: str = "",
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
        "startCreationTime": _time(since),
        "endCreationTime": _time(until),
        "dryRun": "true" if dry_run else "",
        "nextToken": cursor,
    }
    return _given(params)


def send_callbacks_where(
    *, states: Iterable[str] = (), host: str = "", since: datetime | None = None, dry_run: bool = False
) -> Call[Changed]:
    """Send all callbacks that match now; dead letters unless states are given."""
    params = {
        "states": ",".join(states),
        "host": host,
        "startTime": _time(since),
        "dryRun": "true" if dry_run else "",
    }
    return Call("POST", "/bulk/callbacks/send", _changed, params=_given(params))


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
    return Call("DELETE", "/uploads", _nothing, params=_upload(upload))


def links(job_id: str) -> Call[dict[str, str]]:
    """Return links to the stems of a job, by their keys; they are valid for an hour."""
    return Call(
        "GET",
        f"/console/jobs/{_ids([job_id])}",
        lambda raw: {text(each, "Key"): text(each, "DownloadUrl") for each in children(raw, "Stem")},
    )


def execution(job_id: str) -> Call[Execution]:
    """Return which attempt at a job runs, or ran last, and where."""
    return Call(
        "GET",
        f"/console/jobs/{_ids([job_id])}",
        lambda raw: read_execution(child(raw, "Job")),
    )


def one(found: Mapping[str, T], name: str, what: str) -> T:
    """Return the only thing that was asked for.

    Raises:
        NotFound: it was not found.
    """
    if name not in found:
        raise NotFound("NoSuchResource", f"there is no {what} {name} in this bucket", status=404)
    return found[name]


def in_tens(ids: Iterable[str]) -> Iterable[list[str]]:
    """Yield ids in groups of as many as a request may name."""
    rest = list(dict.fromkeys(ids))
    for start in range(0, len(rest), MAX_IDS):
        yield rest[start : start + MAX_IDS]


def _ids(ids: Sequence[str]) -> str:
    return ",".join(quote(each, safe="") for each in ids)


def _time(value: datetime | None) -> str:
    return "" if value is None else format_time(round(value.timestamp() * 1e6))


def _given(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _upload(upload: Upload) -> dict[str, str]:
    return {"key": upload.key, "uploadId": upload.id, "size": str(upload.size)}


def _changed(raw: Raw) -> Changed:
    return Changed(number(raw, "MatchedCount"), text(raw, "NextToken"))


def _nothing(_: Raw) -> None:
    return None
