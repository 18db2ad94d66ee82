"""Answers to the console; times in µs since the epoch, so that the page can show them in its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stemline.jobs.job import Job
from stemline.jobs.worker import worker_of
from stemline.wire.elements import Element, Table
from stemline.wire.job import MQ_CONFIG
from stemline.wire.kinds import TEXT, integer


def _duration(job: Job) -> str | None:
    """Return the length of a finished job's sound, s."""
    if job.result is None:
        return None
    found = job.result.media_info.get("Format", {})
    return found.get("Duration") if isinstance(found, dict) else None


def _answer(*elements: Element) -> Table:
    return Table("", Element("RequestId", TEXT, "request_id"), *elements)


def _maybe(name: str, source: str | Callable[[Any], Any]) -> Element:
    return Element(name, TEXT, source, optional=True)


_LINKED = (
    Element("Url", TEXT, "link.play"),
    Element("DownloadUrl", TEXT, "link.save"),
)
_ROW = (
    Element("JobId", TEXT, "id"),
    Element("State", TEXT, "state"),
    Element("Key", TEXT, "spec.input_object"),
    Element("Mode", TEXT, "spec.separate.audio_mode"),
    Element("Codec", TEXT, "spec.codec"),
    Element("Level", TEXT, "spec.level"),
    Element("QueueId", TEXT, "spec.queue_id"),
    _maybe("TemplateName", "spec.template_name"),
    _maybe("UserData", "spec.user_data"),
    Element("Progress", TEXT, "progress"),
    Element("Stage", TEXT, "stage"),
    _maybe("Position", "position"),
    _maybe("WaitReason", lambda job: job.wait_reason or None),
    _maybe("EstimatedStart", "estimated_start"),
    _maybe("EstimatedEnd", "estimated_end"),
    _maybe("BatchId", lambda job: job.spec.batch or None),
    _maybe("NotBefore", "spec.not_before"),
    _maybe("Deadline", "spec.deadline"),
    Element("Created", TEXT, "created"),
    _maybe("Started", "started"),
    _maybe("Ended", "ended"),
    _maybe("Duration", _duration),
    _maybe("Model", lambda job: (job.result and job.result.model) or None),
    _maybe("Reused", lambda job: (job.result and job.result.reused) or None),
    Element("Code", TEXT, "code"),
    Element("Message", TEXT, "message"),
    Element("Attempt", TEXT, "attempt"),
    Element("Worker", TEXT, "worker"),
    Element("WorkerName", TEXT, lambda job: worker_of(job.worker)),
    Element("Device", TEXT, "device"),
)
_STEM = Table(
    "",
    Element("Track", TEXT, "file.track"),
    Element("Key", TEXT, "file.key"),
    Element("Size", TEXT, "file.size"),
    *_LINKED,
)
_ATTEMPT = Table(
    "",
    Element("Worker", TEXT, "worker"),
    Element("Started", TEXT, "started"),
    _maybe("Ended", "ended"),
    Element("Outcome", TEXT, "outcome"),
    Element("Reason", TEXT, "reason"),
    Element(
        "Stage",
        Table("", Element("Name", TEXT, "name"), Element("Started", TEXT, "started")),
        "stages",
        repeated=True,
    ),
)
_ASKED_CALLBACK = Table(
    "",
    _maybe("CallBack", "url"),
    _maybe("CallBackFormat", "format"),
    _maybe("CallBackType", "type"),
    Element("CallBackMqConfig", MQ_CONFIG, "mq", optional=True),
)
"""What the job's own request said about its callback, by the request's elements."""
SESSION = _answer(
    Element("SecretId", TEXT, "credential"),
    Element("Bucket", TEXT, "bucket"),
    Element("Region", TEXT, "region"),
    Element("Operation", TEXT, "operations", repeated=True),
    Element(
        "OpenBucket",
        Table("", Element("Bucket", TEXT, "tenant.bucket"), Element("Region", TEXT, "tenant.region")),
        "buckets",
        repeated=True,
    ),
    _maybe("FlowerUrl", "flower"),
    Element("Version", TEXT, "version"),
    Element("SourceMaxBytes", TEXT, "max_bytes"),
)
OVERVIEW = _answer(
    Element("Now", TEXT, "now"),
    Element(
        "State",
        Table("", Element("Name", TEXT, "state"), Element("Jobs", TEXT, "jobs")),
        "states",
        repeated=True,
    ),
    Element(
        "Queue",
        Table(
            "",
            Element("QueueId", TEXT, "load.id"),
            Element("Running", TEXT, "load.running"),
            Element("Waiting", TEXT, "load.waiting", repeated=True),
            _maybe("Oldest", "oldest"),
            Element("Later", TEXT, "later"),
        ),
        "queues",
        repeated=True,
    ),
)
"""``Waiting`` holds the waiting jobs of level 0, 1 and 2 that may start; ``Later`` those that may not yet."""
JOBS = _answer(
    Element("Job", Table("", *_ROW), "items", repeated=True),
    Element("Total", integer(), "total", optional=True),
    _maybe("Cursor", "cursor"),
)
JOB = _answer(
    Element("Job", Table("", *_ROW), "job"),
    Element("Source", Table("", Element("Key", TEXT, "key"), *_LINKED), "source"),
    Element("Stem", _STEM, "stems", repeated=True),
    Element("Attempt", _ATTEMPT, "attempts", repeated=True),
    Element("Callback", _ASKED_CALLBACK, "callback"),
    Element("LinkSeconds", TEXT, "link_s"),
)
"""``LinkSeconds`` is how long the links are valid."""
CHECKED = _answer(Element("JobCount", TEXT, "jobs"))
"""How many jobs a submission would make."""
CALLBACK = _answer(Element("ContentType", TEXT, "type"), Element("Body", TEXT, "body"))
"""What is sent."""
WORKERS = _answer(
    Element("Now", TEXT, "now"),
    Element(
        "Worker",
        Table(
            "",
            Element("Name", TEXT, "worker.name"),
            Element("Kind", TEXT, "worker.kind"),
            Element("Slots", TEXT, "worker.slots"),
            Element("Level", TEXT, "worker.levels", repeated=True),
            Element("Device", TEXT, "worker.device"),
            Element("Serves", TEXT, "worker.serves", repeated=True),
            Element("Version", TEXT, "worker.version"),
            Element("Started", TEXT, "worker.started"),
            Element("Seen", TEXT, "worker.seen"),
            Element("Alive", TEXT, "alive"),
        ),
        "workers",
        repeated=True,
    ),
)
"""Workers that reported themselves; ``Alive`` is ``true`` or ``false``."""
