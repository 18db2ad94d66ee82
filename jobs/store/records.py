"""Conversion between the hashes on the server, described in ``lua/schema.lua``, and values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from stemline.jobs.batch import Batch, BatchState, Row
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.estimate import Pace, with_estimates
from stemline.jobs.event import Event
from stemline.jobs.job import Job, JobSpec, Result, Waveform
from stemline.jobs.probe import Probe, Question
from stemline.jobs.queue import USUAL_WEIGHT, NotifyConfig, Override, Queue, Reserved
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.serving import no_worker, wait_reason
from stemline.jobs.states import ENDED, QueueState, State
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket, Tenant
from stemline.jobs.worker import Worker

RECORD_VERSION = 1
"""Version of the job records that this release writes; a record of a newer version is refused."""

RECORD_BYTES = 1000
"""What the keys of a job take on the server beside the texts of its record, bytes; measured."""

PAGE_BYTES = 2 << 20
"""A page of jobs ends with the record that reaches this size, bytes; a hundred usual ones take a tenth."""

SPEC = TypeAdapter(JobSpec)
RESULT = TypeAdapter(Result)
WAVEFORMS = TypeAdapter(tuple[Waveform, ...])
NOTIFY = TypeAdapter(NotifyConfig)
SEPARATE = TypeAdapter(VoiceSeparate)
TARGET = TypeAdapter(CallbackTarget)
ATTEMPT = TypeAdapter(DeliveryAttempt)
ROW = TypeAdapter(Row)
QUESTION = TypeAdapter(Question)
PROBE = TypeAdapter(Probe)
WORKER = TypeAdapter(Worker)


def text(adapter: TypeAdapter[Any], value: Any) -> str:
    """Return a value as JSON, without the fields that have their default."""
    return adapter.dump_json(value, exclude_defaults=True).decode()


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Return a hash from the flat list of fields and values that a script returns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def digest(name: str) -> str:
    """Return the hash of an input object's name that is used in keys."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def tenant(name: str) -> Tenant:
    """Return the tenant written as ``region/bucket``."""
    region, _, bucket = name.partition("/")
    return Tenant(bucket=bucket, region=region)


def job(flat: Sequence[str]) -> Job | None:
    """Return a job from what a script returns of it; ``None`` from nothing.

    Args:
        flat: Fields and values of its hash, with ``id``, and perhaps those of ``shown`` in lib/views.lua.
    """
    if not flat:
        return None
    record = pairs(flat)
    found = _job(record)
    if "now" not in record or found.state in ENDED:
        return found
    mean = record.get("mean_run")
    pace = Pace(int(record["now"]), int(record["running"]), int(mean) if mean else None)
    if wants := record.get("unserved"):
        found = dataclasses.replace(found, message=no_worker(wants))
    reason = wait_reason(record.get("missing", ""), found.spec.level, found.spec.wants)
    return with_estimates(
        dataclasses.replace(found, wait_reason=reason),
        pace,
        ahead=_time(record, "ahead"),
        by_worker=_time(record, "ends"),
    )


def _job(record: Mapping[str, str]) -> Job:
    spec = SPEC.validate_json(record["spec"])
    result = record.get("result")
    return Job(
        id=record["id"],
        spec=dataclasses.replace(spec, queue_id=record["queue"], level=int(record["level"])),
        state=State(record["state"]),
        created=int(record["created"]),
        started=_time(record, "started"),
        ended=_time(record, "ended"),
        code=record.get("code", "Success"),
        message=record.get("message", ""),
        progress=int(record.get("progress", 0)),
        stage=record.get("stage", ""),
        attempt=int(record.get("attempt", 0)),
        claims=int(record.get("claims", 0)),
        token=int(record.get("token", 0)),
        worker=record.get("worker", ""),
        device=record.get("device", ""),
        cancel_requested=record.get("cancel") == "1",
        uploads=tuple(json.loads(record.get("uploads") or "[]")),
        result=RESULT.validate_json(result) if result else None,
        retried_by=record.get("retried", ""),
    )


def queue(queue_id: str, record: Mapping[str, str]) -> Queue:
    """Return a queue from its hash."""
    until = _time(record, "until")
    override = Override(
        until or 0,
        int(record["max_concurrent"]) if "base:max_concurrent" in record else None,
        int(record["weight"]) if "base:weight" in record else None,
    )
    return Queue(
        id=queue_id,
        tenant=tenant(record["tenant"]),
        name=record["name"],
        state=QueueState(record["state"]),
        max_size=int(record["max_size"]),
        max_concurrent=int(record.get("base:max_concurrent", record["max_concurrent"])),
        created=int(record["created"]),
        updated=int(record["updated"]),
        notify=NOTIFY.validate_json(record["notify"]),
        weight=int(record.get("base:weight", record.get("weight", USUAL_WEIGHT))),
        reserved=Reserved(int(record.get("reserved:1", 0)), int(record.get("reserved:2", 0))),
        override=override if until else None,
        revision=int(record.get("revision", 0)),
    )


def template(template_id: str, record: Mapping[str, str]) -> Template:
    """Return a template from its hash."""
    return Template(
        id=template_id,
        tenant=tenant(record["tenant"]),
        name=record["name"],
        separate=SEPARATE.validate_json(record["separate"]),
        created=int(record["created"]),
        updated=int(record["updated"]),
        revision=int(record.get("revision", 0)),
    )


def bucket(name: str, record: Mapping[str, str]) -> Bucket:
    """Return an opened bucket from its tenant's hash."""
    return Bucket(tenant=tenant(name), created=int(record["created"]))


def delivery(delivery_id: str, record: Mapping[str, str], attempts: Sequence[str]) -> Delivery:
    """Return a callback from its hash and the list of its attempts."""
    return Delivery(
        id=delivery_id,
        job_id=record["job"],
        tenant=tenant(record["tenant"]),
        target=TARGET.validate_json(record["target"]),
        created=int(record["created"]),
        due=_time(record, "due"),
        status=record["status"],
        attempts=tuple(ATTEMPT.validate_json(attempt) for attempt in attempts),
        uncounted=int(record.get("replayed", 0)),
        scheduled=_time(record, "scheduled"),
    )


def batch(batch_id: str, record: Mapping[str, str]) -> Batch:
    """Return a batch from its hash."""
    target = record.get("target")
    rows, fed = int(record["rows"]), int(record["fed"])
    return Batch(
        id=batch_id,
        tenant=tenant(record["tenant"]),
        name=record["name"],
        spec=SPEC.validate_json(record["spec"]),
        state=BatchState(record["state"]),
        created=int(record["created"]),
        ended=_time(record, "ended"),
        target=TARGET.validate_json(target) if target else None,
        body=record.get("body", ""),
        rows=rows,
        fed=fed,
        waiting=rows - fed + int(record.get("n:Submitted", 0)),
        running=int(record.get("n:Running", 0)),
        success=int(record.get("n:Success", 0)),
        failed=int(record.get("n:Failed", 0)),
        cancelled=int(record.get("n:Cancel", 0)),
    )


def event(name: str, entry: Mapping[str, str]) -> Event:
    """Return an event from its entry in a stream."""
    return Event(
        id=name,
        kind=entry["kind"],
        subject=entry["id"],
        state=entry["state"],
        progress=int(entry["progress"]),
        stage=entry["stage"],
        code=entry["code"],
    )


def _time(record: Mapping[str, str], field: str) -> int | None:
    value = record.get(field)
    return int(value) if value else None
