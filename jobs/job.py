"""A separation job: what the client asked for, and what is known about it.

Times are integers, µs since the epoch; ``None`` until they are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.separation import MODE_TRACKS, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant


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
