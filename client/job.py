"""A job as the service answers with it; ``raw`` holds the whole JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from stemline.client.answers import Raw, child, children, number, optional_number, text, time_of

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
    wait_reason: str = ""
    """Why no worker takes a waiting job; empty if one does, as soon as it has a free slot."""
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
        """Seconds until it ends, as the service estimates.

        ``None`` where nothing is known, as of a job that takes longer than it was expected to.
        """
        if self.estimated_end is None or self.has_ended:
            return None
        left_s = (self.estimated_end - datetime.now(UTC)).total_seconds()
        return left_s if left_s > 0 else None

    @property
    def succeeded(self) -> bool:
        """Whether all of its stems are in the bucket."""
        return self.state == "Success"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs."""

    jobs: tuple[Job, ...]
    cursor: str
    """Of the next page; empty on the last one."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Which attempt at a job runs, or ran last, and where."""

    number: int
    """0 before the first attempt; attempts that were put off do not count."""
    worker: str
    device: str


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
        timeout_s=optional_number(raw, "Timeout"),
        template_id=text(operation, "TemplateId"),
        outputs=keys,
        stems=tuple(_stems(child(child(operation, "MediaResult"), "OutputFile"), keys, job_id)),
        duration_s=_duration(operation),
        stage=text(raw, "Stage"),
        position=optional_number(raw, "Position"),
        wait_reason=text(raw, "WaitReason"),
        estimated_start=time_of(raw, "EstimatedStartTime"),
        estimated_end=time_of(raw, "EstimatedEndTime"),
        origin=text(raw, "OriginJobId"),
        retried_by=text(raw, "RetryJobId"),
        raw=raw,
    )


def read_execution(raw: Raw) -> Execution:
    """Return which attempt at a job an answer names."""
    return Execution(number(raw, "Attempt"), text(raw, "Worker"), text(raw, "Device"))


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
