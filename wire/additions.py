"""Containers that the vendor does not have: batches, events, usage, callbacks, … (docs/beyond-vendor.md)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from stemline.jobs.batch import BatchState
from stemline.jobs.errors import RequestRefused
from stemline.jobs.event import Event
from stemline.jobs.job import STAGES
from stemline.jobs.queue import Override, Reserved
from stemline.jobs.states import QueueState, State
from stemline.jobs.usage import NEARLY_SPENT
from stemline.wire import ids
from stemline.wire.elements import Element, Table, always
from stemline.wire.job import FORMATS, MQ_CONFIG, OUTPUT, SOME_TIME, TARGETS
from stemline.wire.kinds import (
    KEY,
    TEXT,
    TIME,
    Kind,
    decimal,
    hidden_empty,
    inside,
    integer,
    matching,
    one_of,
    printable,
)

EPOCH = date(1970, 1, 1)

WEIGHT = integer(1, 1000)
SLOTS = integer(1, 100_000)
RESERVED = Table(
    "",
    Element("Level1", integer(0, 100_000), "level_1"),
    Element("Level2", integer(0, 100_000), "level_2"),
    build=Reserved,
)


def _override(until: int | None = None, **limits: int) -> Override:
    """Return the limits that a change of a queue sets for a time.

    Raises:
        RequestRefused: It does not say until when.
    """
    if until is None:
        raise RequestRefused("Override.Until is missing.")
    return Override(until, **limits)


OVERRIDE = Table(
    "",
    Element("Until", TIME, "until"),
    Element("MaxConcurrent", inside("Override", SLOTS), "max_concurrent", optional=True),
    Element("Weight", inside("Override", WEIGHT), "weight", optional=True),
    build=_override,
)

WAVEFORM = Table(
    "Waveform",
    Element("Name", TEXT, "name"),
    Element("SamplesPerPair", integer(), "samples_per_pair"),
    Element("Pairs", TEXT, "data"),
)
"""The value is a ``Waveform``."""


def _of(kind: str, name: str) -> Callable[[Event], Any]:
    """Return a source: an attribute of the events of a kind, nothing for others."""
    return lambda event: getattr(event, name) if event.kind == kind else None


EVENT = Table(
    "Event",
    Element("JobId", TEXT, _of("job", "subject"), optional=True),
    Element("QueueId", TEXT, _of("queue", "subject"), optional=True),
    Element("BatchId", TEXT, _of("batch", "subject"), optional=True),
    Element("Credential", TEXT, _of("budget", "subject"), optional=True),
    Element("State", one_of(*dict.fromkeys((*State, *QueueState, *BatchState, NEARLY_SPENT))), "state"),
    Element("Stage", hidden_empty(one_of(*STAGES)), "stage", optional=True),
    Element("Progress", integer(), _of("job", "progress"), optional=True),
    Element("BudgetPercent", integer(), _of("budget", "progress"), optional=True),
    Element("Code", hidden_empty(TEXT), "code", optional=True),
    Element("Time", TIME, "at"),
)
"""The data of a server-sent event; the value is an ``Event``."""

POSITION = Table(
    "",
    Element("JobId", matching(ids.JOB), "id"),
    Element("Position", integer(), "position"),
    Element("WaitReason", hidden_empty(TEXT), "wait_reason", optional=True),
    Element("EstimatedStartTime", SOME_TIME, "estimated_start", optional=True),
    Element("EstimatedEndTime", SOME_TIME, "estimated_end", optional=True),
)
"""The data of a ``position`` event; the value is a waiting ``Job``."""

BATCH = Table(
    "Batch",
    Element("BatchId", matching(ids.BATCH), "id"),
    Element("Name", TEXT, "name"),
    Element("State", one_of(*BatchState), "state"),
    Element("RowCount", integer(), "rows"),
    Element("WaitingCount", integer(), "waiting"),
    Element("RunningCount", integer(), "running"),
    Element("SuccessCount", integer(), "success"),
    Element("FailedCount", integer(), "failed"),
    Element("CancelCount", integer(), "cancelled"),
    Element("Progress", integer(), "progress"),
    Element("CreationTime", TIME, "created"),
    Element("EndTime", TIME, "ended"),
)
FAILURE = Table(
    "",
    Element("JobId", matching(ids.JOB), "id"),
    Element("Object", TEXT, "spec.input_object"),
    Element("Code", TEXT, "code"),
    Element("Message", TEXT, "message"),
)
"""A failed row of a batch; the value is its ``Job``."""
BATCH_CALLBACK_BODY = Table(
    "",
    Element("EventName", TEXT, always("BatchFinish")),
    Element("Batch", BATCH, "batch"),
    Element("Failure", FAILURE, "failures", repeated=True),
)
"""The body of the callback of a batch; the value is a mapping."""
BATCH_ROW = Table(
    "BatchRow",
    Element("Object", KEY, "object", required="Object is missing."),
    Element("UserData", printable(1024), "user_data"),
    Element("Output", Table("", *(row for row in OUTPUT.elements if not row.required)), "outputs"),
)
"""One line of a batch."""

DAY = Kind(
    lambda text: (date.fromisoformat(text) - EPOCH).days,
    "{name} must be a day such as 2026-03-01.",
    {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    parameter={"type": "string", "format": "date"},
    write=lambda day: (EPOCH + timedelta(days=day)).isoformat(),
)
"""A day by UTC, days since the epoch."""
_SECONDS = decimal(3, unit=1000)
"""Milliseconds, shown as seconds."""
WORK = Table("", Element("Device", TEXT, "device"), Element("Seconds", _SECONDS, "ms"))
USAGE_ROW = Table(
    "Usage",
    Element("Date", DAY, "day"),
    Element("Credential", TEXT, "credential"),
    Element("JobCount", integer(), "jobs"),
    Element("SuccessCount", integer(), "succeeded"),
    Element("FailedCount", integer(), "failed"),
    Element("AudioSeconds", _SECONDS, "audio_ms"),
    Element("BytesIn", integer(), "bytes_in"),
    Element("BytesOut", integer(), "bytes_out"),
    Element(
        "Work",
        WORK,
        lambda usage: [{"device": name, "ms": ms} for name, ms in sorted(usage.work_ms.items())],
        repeated=True,
    ),
)
"""What the jobs of a credential took on one day; the value is a ``Usage``."""
BUDGET = Table(
    "Budget",
    Element("Credential", TEXT, "credential"),
    Element("DailyJobs", integer(), "budget.jobs", optional=True),
    Element("DailyAudioSeconds", _SECONDS, lambda each: each["audio_ms"], optional=True),
    Element("BudgetPercent", integer(), "percent", description="Of today; the nearer of the two limits."),
)
"""The budget of a credential; the value is a mapping."""

_DURATION = decimal(3)
SOURCE = Table(
    "Source",
    Element("Code", TEXT, "code", description="Success, or what a job would fail with."),
    Element("Message", TEXT, "message"),
    Element("Size", integer(), "size", optional=True),
    Element("Duration", _DURATION, "duration_s", optional=True),
    Element("FormatName", hidden_empty(TEXT), "container", optional=True),
    Element("CodecName", hidden_empty(TEXT), "codec", optional=True),
    Element("SampleRate", integer(), "samplerate", optional=True),
    Element("Channel", integer(), "channels", optional=True),
    Element("Bitrate", integer(), "bitrate_kbps", optional=True, description="kbit/s."),
)
"""What a worker found of a source; the value is a ``Probe``."""
ESTIMATE = Table(
    "Estimate",
    Element("EstimatedStartTime", SOME_TIME, "start", optional=True),
    Element("EstimatedEndTime", SOME_TIME, "end", optional=True),
    Element("Seconds", _DURATION, "run_s", optional=True, description="How long the job would run."),
    Element("Message", TEXT, "message", optional=True, description="Why the job would wait."),
    Element("StemCount", integer(), "stems"),
    Element("StemSize", integer(), "stem_bytes", optional=True, description="Bytes of one stem."),
)
"""What is expected of a job that is not submitted; the value is a mapping."""

ATTEMPT = Table(
    "",
    Element("Time", TIME, "at"),
    Element("Status", TEXT, "status"),
    Element("DurationMs", integer(), "duration_ms"),
    Element("Answer", TEXT, "answer"),
)
DELIVERY = Table(
    "Callback",
    Element("CallbackId", TEXT, "id"),
    Element("JobId", TEXT, lambda d: d.job_id if d.job_id.startswith("j") else None, optional=True),
    Element("BatchId", TEXT, lambda d: d.job_id if d.job_id.startswith("b") else None, optional=True),
    Element("State", one_of("Pending", "Delivered", "Dead"), lambda delivery: delivery.status.capitalize()),
    Element("Format", FORMATS, "target.format"),
    Element("Type", TARGETS, "target.type"),
    Element("Url", TEXT, lambda d: None if d.target.mq else d.target.shown_url, optional=True),
    Element("MqConfig", MQ_CONFIG, "target.mq", optional=True),
    Element("CreationTime", TIME, "created"),
    Element("NextTime", TIME, "due"),
    Element("Attempt", ATTEMPT, "attempts", repeated=True),
)
"""A callback and its delivery attempts; not part of the vendor's API (docs/callbacks.md)."""
