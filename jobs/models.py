"""Job, Queue and Template: what they are, as frozen values.

Times are integers, microseconds since the epoch; ``None`` while they have not come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from stemline.jobs.states import QueueState, State

TAG = "VoiceSeparate"


@dataclass(frozen=True, slots=True, order=True)
class Tenant:
    """Whose jobs, queues and templates these are."""

    bucket: str
    region: str

    def __str__(self) -> str:
        return f"{self.region}/{self.bucket}"


class AudioMode(StrEnum):
    """Which tracks a job asks for (docs/wire/wire.md, 3.2)."""

    IS_AUDIO = "IsAudio"
    IS_BACKGROUND = "IsBackground"
    AUDIO_AND_BACKGROUND = "AudioAndBackground"
    MUSIC_MODE = "MusicMode"


class Track(StrEnum):
    """A stem by the name of the output element that asks for it, in the wire's order."""

    VOICE = "AuObject"
    BACKGROUND = "Object"
    BASS = "BassObject"
    DRUM = "DrumObject"


MODE_TRACKS: Mapping[AudioMode, tuple[Track, ...]] = {
    AudioMode.IS_AUDIO: (Track.VOICE,),
    AudioMode.IS_BACKGROUND: (Track.BACKGROUND,),
    AudioMode.AUDIO_AND_BACKGROUND: (Track.VOICE, Track.BACKGROUND),
    AudioMode.MUSIC_MODE: (Track.VOICE, Track.BACKGROUND, Track.BASS, Track.DRUM),
}


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """How tracks are encoded; ``None`` is "not given" and decided when the job runs."""

    codec: str | None = None
    samplerate: int | None = None
    """Hz."""
    bitrate: int | None = None
    """kbit/s."""
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class VoiceSeparate:
    """The parameters of a separation, inline in a job or kept in a template."""

    audio_mode: AudioMode
    audio_config: AudioConfig = AudioConfig()


@dataclass(frozen=True, slots=True)
class Output:
    """Where the tracks go; names as submitted, wildcards unexpanded."""

    region: str
    bucket: str
    object: str | None = None
    au_object: str | None = None
    bass_object: str | None = None
    drum_object: str | None = None

    def name(self, track: Track) -> str | None:
        """The key given for a track, unexpanded."""
        return {
            Track.VOICE: self.au_object,
            Track.BACKGROUND: self.object,
            Track.BASS: self.bass_object,
            Track.DRUM: self.drum_object,
        }[track]


@dataclass(frozen=True, slots=True)
class MqConfig:
    """A TDMQ target (docs/wire/wire.md, 7.4)."""

    region: str
    mode: str
    """``Queue`` or ``Topic``."""
    name: str


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """What the job itself says about its callback; ``None`` is "not given"."""

    format: str | None = None
    """``XML`` or ``JSON``."""
    type: str | None = None
    """``Url`` or ``TDMQ``."""
    url: str | None = None
    """A URL, or ``no``."""
    mq: MqConfig | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the client asked for; never changes after submission."""

    tenant: Tenant
    input_object: str
    separate: VoiceSeparate
    """A copy: later changes of the template do not touch the job."""
    output: Output
    template_id: str | None = None
    template_name: str | None = None
    queue_id: str = ""
    """Filled by the store where the client named none."""
    user_data: str | None = None
    level: int = 0
    """0, 1 or 2; higher is served first."""
    callback: CallbackRequest = CallbackRequest()
    credential: str = ""
    """SecretId of the submitter: says which webhook secrets sign the callback."""
    trace: str = ""
    """W3C traceparent of the submission, empty without tracing."""

    def tracks(self) -> tuple[Track, ...]:
        """The tracks to compute: those of the mode that have a name."""
        return tuple(t for t in MODE_TRACKS[self.separate.audio_mode] if self.output.name(t))

    @property
    def codec(self) -> str:
        """The codec of the outputs."""
        return self.separate.audio_config.codec or "aac"

    def key(self, track: Track, job_id: str) -> str:
        """The object key of a track, ``${ext}`` and ``${jobid}`` expanded."""
        return expand(self.output.name(track) or "", codec=self.codec, job_id=job_id)


def expand(name: str, *, codec: str, job_id: str) -> str:
    """A key with ``${ext}`` and ``${jobid}`` filled in; any other ``${…}`` stays."""
    return name.replace("${ext}", codec).replace("${jobid}", job_id)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One written stem."""

    track: Track
    key: str
    md5: str
    """32 lower-case hex digits over the written bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished job carries."""

    files: tuple[OutputFile, ...]
    media_info: Mapping[str, Any]
    """``{"Format": {…}, "Stream": {"Audio": […]}}``: wire names, every scalar a string (8.1)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store knows it at one moment."""

    id: str
    spec: JobSpec
    state: State
    created: int
    started: int | None = None
    ended: int | None = None
    code: str = "Success"
    message: str = ""
    progress: int = 0
    """0 to 100."""
    attempt: int = 0
    """Claims so far that count."""
    token: int = 0
    """Fencing token of the attempt that holds the job; every later write carries it."""
    worker: str = ""
    device: str = ""
    cancel_requested: bool = False
    uploads: tuple[Mapping[str, Any], ...] = ()
    """What the running attempt has staged in the bucket."""
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """A queue's callback defaults (docs/wire/wire.md, 6.1)."""

    state: str = "Off"
    event: str = ""
    """Comma list of ``TaskFinish`` and ``WorkflowFinish``."""
    result_format: str = "XML"
    type: str = ""
    url: str = ""
    mq_mode: str = ""
    mq_region: str = ""
    mq_name: str = ""

    @property
    def announces_jobs(self) -> bool:
        """Whether the end of a job is announced."""
        return self.state == "On" and "TaskFinish" in [e.strip() for e in self.event.split(",")]


@dataclass(frozen=True, slots=True)
class Queue:
    """The speech queue of a tenant."""

    id: str
    tenant: Tenant
    name: str
    state: QueueState
    max_size: int
    """Waiting jobs it may hold."""
    max_concurrent: int
    """Jobs of it that may run at once, over all workers."""
    created: int
    updated: int
    notify: NotifyConfig = NotifyConfig()


@dataclass(frozen=True, slots=True)
class Template:
    """Named separation parameters."""

    id: str
    tenant: Tenant
    name: str
    separate: VoiceSeparate
    created: int
    updated: int
    tag: str = TAG


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket for which the service is opened."""

    tenant: Tenant
    created: int


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Where and how one job's end is announced, after job and queue were weighed (7.1)."""

    type: str
    """``Url`` or ``TDMQ``."""
    format: str
    """``XML`` or ``JSON``."""
    url: str = ""
    mq: MqConfig | None = None

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return re.sub(r"//([^/?#@:]*):[^/?#]*@", r"//\1:***@", self.url)

    @property
    def host(self) -> str:
        """Whom it goes to: the URL's host, or region and name of the queue or topic."""
        if self.mq:
            return f"{self.mq.region}/{self.mq.name}"
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:  # a URL that is none
            return ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver a callback."""

    at: int
    status: str
    """HTTP status, or a short word such as ``timeout`` or ``refused``."""
    duration_ms: int
    answer: str = ""
    """The first bytes of the answer, or the reason of the failure."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback on its way: one entry of the outbox."""

    id: str
    """Also the ``webhook-id``: the same over all attempts."""
    job_id: str
    tenant: Tenant
    target: CallbackTarget
    created: int
    due: int | None
    """When the next try is due; ``None`` once delivered or given up."""
    status: str = "pending"
    """``pending``, ``delivered`` or ``dead``."""
    attempts: tuple[Attempt, ...] = ()
    replayed_after: int = 0
    """Attempts made before the last replay; they do not count for the schedule."""
