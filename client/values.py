"""What the service answers, as values; ``raw`` holds the whole JSON of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from stemline.wire.job import AUDIO_CONFIG
from stemline.wire.times import parse_time

Raw = Mapping[str, Any]

ENDED: Final = frozenset({"Success", "Failed", "Cancel"})
"""States that a job does not leave."""
STEMS: Final[Mapping[str, str]] = {
    "AuObject": "voice",
    "Object": "background",
    "BassObject": "bass",
    "DrumObject": "drums",
}
"""Name of a stem by the element of ``Output`` that asks for it, in the order of the wire."""
_CODECS: Final = ("aac", "mp3", "flac", "amr", "wav")


@dataclass(frozen=True, slots=True)
class Stem:
    """A stem in the bucket."""

    name: str
    """``voice``, ``background``, ``bass`` or ``drums``."""
    key: str
    bucket: str
    region: str
    md5: str
    """Of the object, 32 hexadecimal digits; empty if the service does not say."""

    @property
    def extension(self) -> str:
        """Return the file name's extension, without the dot."""
        return self.key.rpartition("/")[2].rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment."""

    id: str
    state: str
    """``Submitted``, ``Pause``, ``Running``, ``Success``, ``Failed`` or ``Cancel``."""
    source: str
    """Key of the object that is separated."""
    code: str = ""
    message: str = ""
    progress: int = 0
    """Percent."""
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    queue_id: str = ""
    level: int = 0
    user_data: str = ""
    mode: str = ""
    """``AudioMode``; empty for a job with a template."""
    codec: str = ""
    model: str = ""
    """That separated, or that was asked for; empty where the service chooses and has not yet."""
    not_before: datetime | None = None
    """When the job may start; at once if ``None``."""
    deadline: datetime | None = None
    """A job that still waits then is cancelled."""
    timeout_s: int | None = None
    """Longest run of the job, s."""
    template_id: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Keys as submitted, by the names of the stems."""
    stems: tuple[Stem, ...] = ()
    """What was written; empty until the job has succeeded."""
    duration_s: float | None = None
    """Length of the source, seconds of audio; ``None`` until the job has succeeded."""
    stage: str = ""
    """What a running job does: ``wait``, ``download``, ``decode``, ``separate``, ``encode`` or ``upload``."""
    position: int | None = None
    """Place of a waiting job in its queue, from 1."""
    estimated_start: datetime | None = None
    estimated_end: datetime | None = None
    """``None`` where nothing is known, as before the first job of a queue has succeeded."""
    origin: str = ""
    """Id of the job that this one retries."""
    retried_by: str = ""
    """Id of the latest job that retries this one."""
    raw: Raw = field(default_factory=dict, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether the job stays as it is."""
        return self.state in ENDED

    @property
    def eta_s(self) -> float | None:
        """Seconds until it ends, as the service estimates; ``None`` where nothing is known."""
        if self.estimated_end is None or self.has_ended:
            return None
        return max(0.0, (self.estimated_end - datetime.now(UTC)).total_seconds())

    @property
    def succeeded(self) -> bool:
        """Whether all of its stems are in the bucket."""
        return self.state == "Success"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload through the service, and where the parts that it lacks are to be sent."""

    key: str
    id: str
    size: int
    """Bytes."""
    part_size: int
    """Bytes of each part but the last."""
    parts: Mapping[int, str] = field(default_factory=dict)
    """URLs by the numbers of the parts, from 1; not more than a hundred at a time."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Which attempt at a job runs, or ran last, and where."""

    number: int
    """0 before the first attempt; attempts that were put off do not count."""
    worker: str
    device: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs."""

    jobs: tuple[Job, ...]
    cursor: str
    """Of the next page; empty on the last one."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the bucket."""

    id: str
    name: str
    state: str
    """``Active`` or ``Paused``."""
    max_size: int
    """Waiting jobs that it may hold."""
    max_concurrent: int
    """Jobs that may run at the same time."""
    weight: int = 100
    """Turns that it gets in proportion to other queues."""
    created: datetime | None = None
    updated: datetime | None = None
    raw: Raw = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Template:
    """Separation parameters under a name."""

    id: str
    name: str
    mode: str
    audio: Mapping[str, str]
    """``AudioConfig`` as on the wire: ``Codec``, ``Samplerate`` …"""
    created: datetime | None = None
    updated: datetime | None = None
    model: str = ""
    """The model that separates; empty: that of the service."""
    raw: Raw = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a callback."""

    at: datetime | None
    status: str
    """HTTP status, or a word such as ``timeout``."""
    duration_ms: int
    answer: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback and the attempts to deliver it."""

    id: str
    job_id: str
    state: str
    """``Pending``, ``Delivered`` or ``Dead``."""
    to: str
    """The URL, or mode, name and region of the message queue."""
    format: str
    created: datetime | None = None
    next: datetime | None = None
    """When the next attempt is due; ``None`` if there will be none."""
    attempts: tuple[Attempt, ...] = ()
    raw: Raw = field(default_factory=dict, repr=False)


def read_job(raw: Raw) -> Job:
    """Return a job of an answer."""
    operation, output = child(raw, "Operation"), child(child(raw, "Operation"), "Output")
    separate = child(operation, "VoiceSeparate")
    keys = {STEMS[name]: text(output, name) for name in STEMS if text(output, name)}
    job_id = text(raw, "JobId")
    return Job(
        id=job_id,
        state=text(raw, "State"),
        source=text(child(raw, "Input"), "Object"),
        code=text(raw, "Code"),
        message=text(raw, "Message"),
        progress=number(raw, "Progress"),
        created=time_of(raw, "CreationTime"),
        started=time_of(raw, "StartTime"),
        ended=time_of(raw, "EndTime"),
        queue_id=text(raw, "QueueId"),
        level=number(operation, "JobLevel"),
        user_data=text(operation, "UserData"),
        mode=text(separate, "AudioMode"),
        codec=text(child(separate, "AudioConfig"), "Codec"),
        model=text(raw, "Model") or text(separate, "Model"),
        not_before=time_of(raw, "NotBefore"),
        deadline=time_of(raw, "Deadline"),
        timeout_s=_optional(raw, "Timeout"),
        template_id=text(operation, "TemplateId"),
        outputs=keys,
        stems=tuple(_stems(child(child(operation, "MediaResult"), "OutputFile"), keys, job_id)),
        duration_s=_duration(operation),
        stage=text(raw, "Stage"),
        position=_optional(raw, "Position"),
        estimated_start=time_of(raw, "EstimatedStartTime"),
        estimated_end=time_of(raw, "EstimatedEndTime"),
        origin=text(raw, "OriginJobId"),
        retried_by=text(raw, "RetryJobId"),
        raw=raw,
    )


def read_queue(raw: Raw) -> Queue:
    """Return a queue of an answer."""
    return Queue(
        id=text(raw, "QueueId"),
        name=text(raw, "Name"),
        state=text(raw, "State"),
        max_size=number(raw, "MaxSize"),
        max_concurrent=number(raw, "MaxConcurrent"),
        weight=number(raw, "Weight") or 100,
        created=time_of(raw, "CreateTime"),
        updated=time_of(raw, "UpdateTime"),
        raw=raw,
    )


def read_template(raw: Raw) -> Template:
    """Return a template of an answer."""
    separate = child(raw, "VoiceSeparate")
    audio = child(separate, "AudioConfig")
    return Template(
        id=text(raw, "TemplateId"),
        name=text(raw, "Name"),
        mode=text(separate, "AudioMode"),
        audio={row.name: text(audio, row.name) for row in AUDIO_CONFIG.elements if text(audio, row.name)},
        created=time_of(raw, "CreateTime"),
        updated=time_of(raw, "UpdateTime"),
        model=text(separate, "Model"),
        raw=raw,
    )


def read_execution(raw: Raw) -> Execution:
    """Return which attempt at a job an answer names."""
    return Execution(number(raw, "Attempt"), text(raw, "Worker"), text(raw, "Device"))


def read_upload(raw: Raw) -> Upload:
    """Return an upload of an answer."""
    return Upload(
        key=text(raw, "Key"),
        id=text(raw, "UploadId"),
        size=number(raw, "Size"),
        part_size=number(raw, "PartSize"),
        parts={number(each, "PartNumber"): text(each, "Url") for each in children(raw, "Part")},
    )


def read_callback(raw: Raw) -> Callback:
    """Return a callback of an answer."""
    mq = child(raw, "MqConfig")
    names = ("MqMode", "MqName", "MqRegion")
    return Callback(
        id=text(raw, "CallbackId"),
        job_id=text(raw, "JobId"),
        state=text(raw, "State"),
        to=" ".join(text(mq, name) for name in names) if mq else text(raw, "Url"),
        format=text(raw, "Format"),
        created=time_of(raw, "CreationTime"),
        next=time_of(raw, "NextTime"),
        attempts=tuple(
            Attempt(
                time_of(each, "Time"), text(each, "Status"), number(each, "DurationMs"), text(each, "Answer")
            )
            for each in children(raw, "Attempt")
        ),
        raw=raw,
    )


def text(raw: Raw, name: str) -> str:
    """Return a text of an answer; empty if it is missing."""
    value = raw.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(raw: Raw, name: str) -> int:
    """Return a number of an answer; 0 if it is missing."""
    return int(_optional(raw, name) or 0)


def time_of(raw: Raw, name: str) -> datetime | None:
    """Return a time of an answer in UTC; ``None`` if it is not known yet."""
    try:
        return datetime.fromtimestamp(parse_time(text(raw, name)) / 1e6, UTC)
    except ValueError:
        return None


def child(raw: Raw, name: str) -> Raw:
    """Return a container of an answer; empty if it is missing."""
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def children(raw: Raw, name: str) -> Sequence[Raw]:
    """Return the containers of a list; empty if it is missing."""
    value = raw.get(name)
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _optional(raw: Raw, name: str) -> int | None:
    try:
        return round(float(text(raw, name)))
    except (ValueError, OverflowError):
        return None


def _stems(written: Raw, keys: Mapping[str, str], job_id: str) -> Iterable[Stem]:
    """Yield the stems that a job wrote; each is known by the key that was asked for."""
    named = {
        key.replace("${jobid}", job_id).replace("${ext}", codec): stem
        for stem, key in keys.items()
        for codec in _CODECS
    }
    for file in children(written, "Md5Info"):
        key = text(file, "ObjectName")
        yield Stem(
            name=named.get(key, key.rpartition("/")[2]),
            key=key,
            bucket=text(written, "Bucket"),
            region=text(written, "Region"),
            md5=text(file, "Md5"),
        )


def _duration(operation: Raw) -> float | None:
    try:
        return float(text(child(child(operation, "MediaInfo"), "Format"), "Duration"))
    except ValueError:
        return None
