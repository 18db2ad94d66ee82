"""Records of the store and the values they stand for.

A job's hash holds: ``v`` (format, 1), ``spec`` (JSON), ``tenant``, ``queue``, ``level``, ``input`` (hash of
the object's name), ``state``, ``created``, ``started``, ``ended``, ``code``, ``message``, ``progress``,
``attempt``, ``token``, ``worker``, ``device``, ``cancel``, ``uploads`` (JSON), ``result`` (JSON).
Times are µs since the epoch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from stemline.jobs.callback import CallbackTarget
from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.job import Job, JobSpec, Result
from stemline.jobs.queue import NotifyConfig, Queue
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket, Tenant

FORMAT = 1

SPEC = TypeAdapter(JobSpec)
RESULT = TypeAdapter(Result)
NOTIFY = TypeAdapter(NotifyConfig)
SEPARATE = TypeAdapter(VoiceSeparate)
TARGET = TypeAdapter(CallbackTarget)
ATTEMPT = TypeAdapter(DeliveryAttempt)


def text(adapter: TypeAdapter[Any], value: Any) -> str:
    """A value as JSON."""
    return adapter.dump_json(value, exclude_defaults=True).decode()


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Field and value by turns, as scripts return a hash."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def digest(name: str) -> str:
    """What stands for an input object in key names."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def tenant(name: str) -> Tenant:
    """The tenant written as ``region/bucket``."""
    region, _, bucket = name.partition("/")
    return Tenant(bucket=bucket, region=region)


def job(record: Mapping[str, str]) -> Job:
    """A job from its hash and ``id``."""
    spec = SPEC.validate_json(record["spec"])
    result = record.get("result")
    return Job(
        id=record["id"],
        spec=dataclasses.replace(spec, queue_id=record["queue"]),
        state=State(record["state"]),
        created=int(record["created"]),
        started=_time(record, "started"),
        ended=_time(record, "ended"),
        code=record.get("code", "Success"),
        message=record.get("message", ""),
        progress=int(record.get("progress", 0)),
        attempt=int(record.get("attempt", 0)),
        token=int(record.get("token", 0)),
        worker=record.get("worker", ""),
        device=record.get("device", ""),
        cancel_requested=record.get("cancel") == "1",
        uploads=tuple(json.loads(record.get("uploads") or "[]")),
        result=RESULT.validate_json(result) if result else None,
    )


def queue(queue_id: str, record: Mapping[str, str]) -> Queue:
    """A queue from its hash."""
    return Queue(
        id=queue_id,
        tenant=tenant(record["tenant"]),
        name=record["name"],
        state=QueueState(record["state"]),
        max_size=int(record["max_size"]),
        max_concurrent=int(record["max_concurrent"]),
        created=int(record["created"]),
        updated=int(record["updated"]),
        notify=NOTIFY.validate_json(record["notify"]),
    )


def template(template_id: str, record: Mapping[str, str]) -> Template:
    """A template from its hash."""
    return Template(
        id=template_id,
        tenant=tenant(record["tenant"]),
        name=record["name"],
        separate=SEPARATE.validate_json(record["separate"]),
        created=int(record["created"]),
        updated=int(record["updated"]),
    )


def bucket(name: str, record: Mapping[str, str]) -> Bucket:
    """An opened bucket from its tenant's hash."""
    return Bucket(tenant=tenant(name), created=int(record["created"]))


def delivery(delivery_id: str, record: Mapping[str, str], tries: Sequence[str]) -> Delivery:
    """A callback from its hash and the list of its tries."""
    return Delivery(
        id=delivery_id,
        job_id=record["job"],
        tenant=tenant(record["tenant"]),
        target=TARGET.validate_json(record["target"]),
        created=int(record["created"]),
        due=_time(record, "due"),
        status=record["status"],
        attempts=tuple(ATTEMPT.validate_json(t) for t in tries),
        replayed_after=int(record.get("replayed", 0)),
    )


def _time(record: Mapping[str, str], field: str) -> int | None:
    value = record.get(field)
    return int(value) if value else None
