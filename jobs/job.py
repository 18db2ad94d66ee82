"""A separation job: its specification, its state and its result.

Times are µs since the epoch; ``None`` until they are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stemline.jobs.audio import DEFAULT_CODEC
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.separation import MODE_TRACKS, Track, VoiceSeparate
from stemline.jobs.serving import mode_wanted
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant

STAGES = ("wait", "download", "decode", "separate", "encode", "upload")
"""What a worker does one after the other; while it separates, it decodes and encodes too."""


_FIELDS: Final = {
    Track.VOICE: "au_object",
    Track.BACKGROUND: "object",
    Track.BASS: "bass_object",
    Track.DRUM: "drum_object",
}
"""The field of ``Output`` that names a track."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where the tracks are written; names as submitted, with their variables.

    The names are object keys that may contain ``${ext}`` and ``${jobid}``; ``None`` if not given.
    """

    region: str
    bucket: str
    object: str | None = None
    au_object: str | None = None
    bass_object: str | None = None
    drum_object: str | None = None

    def name(self, track: Track) -> str | None:
        """Return the name given for a track, with its variables."""
        name: str | None = getattr(self, _FIELDS[track])
        return name


@dataclass(frozen=True, slots=True)
class Hop:
    """A change of the level of a job that waits for long."""

    wait_s: int
    """How long it waits before the change, from the time at which it may start, s."""
    level: int
    """The level that it has afterwards."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the client asked for; it never changes after the submission."""

    tenant: Tenant
    input_object: str
    separate: VoiceSeparate
    """A copy: later changes of the template do not affect the job."""
    output: Output
    audio_track: str | None = None
    """Number among the source's audio tracks, from 0, or language; ``None`` is its default track."""
    template_id: str | None = None
    template_name: str | None = None
    queue_id: str = ""
    """Empty for the tenant's default queue until the store fills it in."""
    user_data: str | None = None
    level: int = 0
    """JobLevel, 0 to 2; a higher one is served first."""
    callback: CallbackRequest = CallbackRequest()
    credential: str = ""
    """SecretId of the submitter; it selects the webhook secrets that sign the callback."""
    signed: bool = False
    """Whether the submitter had webhook secrets: without them its callback is not sent."""
    trace: str = ""
    """W3C traceparent of the submission; empty without tracing."""
    batch: str = ""
    """Id of the batch of which it is a row; empty for none."""
    not_before: int | None = None
    """When it may start, µs since the epoch."""
    deadline: int | None = None
    """When it is cancelled if it has not started, µs since the epoch."""
    timeout_s: int | None = None
    """Longest time that one attempt may take, s."""
    hop: Hop | None = None
    """Another level after a wait."""
    reuse: bool = False
    """Whether stems of an equal job may be copied."""
    weight: int | None = None
    """Weight of the submitter, whose jobs then take their own share of a queue; ``None`` for none."""
    origin: str = ""
    """Id of the job that this one retries; empty for none."""

    @property
    def share(self) -> str:
        """The share of its queue that it takes: its submitter's, or that of all without a weight (empty)."""
        return self.credential if self.weight is not None else ""

    @property
    def wants(self) -> str:
        """What its worker must serve: the model that it names, or else its mode."""
        return self.separate.model or mode_wanted(self.separate.audio_mode)

    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks to compute: those of the mode for which a name was given."""
        return tuple(t for t in MODE_TRACKS[self.separate.audio_mode] if self.output.name(t))

    @property
    def codec(self) -> str:
        """The codec of the outputs."""
        return self.separate.audio_config.codec or DEFAULT_CODEC

    def key(self, track: Track, job_id: str) -> str:
        """Return the object key of a track, with its variables replaced."""
        return expand(self.output.name(track) or "", codec=self.codec, job_id=job_id)


def expand(name: str, *, codec: str, job_id: str) -> str:
    """Return a name with ``${ext}`` and ``${jobid}`` replaced; other variables stay."""
    return name.replace("${ext}", codec).replace("${jobid}", job_id)


@dataclass(frozen=True, slots=True)
class StemLevels:
    """The levels of a stem, before its samples are clipped for the file."""

    peak_db: float | None = None
    """Largest sample, dBFS; ``None`` for digital silence."""
    clipped: int = 0
    """Samples that the file holds clipped to full scale, counted in each channel."""
    loudness_lufs: float | None = None
    """Integrated loudness by BS.1770-4; ``None`` below its gate."""
    share_db: float | None = None
    """Energy over the mix's, dB; ``None`` for digital silence, and of a release that did not measure it."""
    doubt: str = ""
    """Why it looks like a network's fault: ``loud``, ``silent`` or ``mix``; empty for most stems."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A written stem."""

    track: Track
    key: str
    md5: str
    """MD5 of the object, 32 lower-case hex digits."""
    size: int
    """Bytes."""
    levels: StemLevels | None = None
    """None for a stem of a release that did not measure them."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a job that ended as Success."""

    files: tuple[OutputFile, ...]
    media_info: Mapping[str, Any]
    """``{"Format": {…}, "Stream": {"Audio": […]}}`` with the names of the wire; all values are strings
    (docs/wire/wire.md, 8.1)."""
    null_test_db: float | None = None
    """Largest sample of the stems' sum less the mix, dBFS; ``None`` if they do not add up by construction."""
    residual_db: float | None = None
    """Energy of the mix that is in none of the stems, dB; ``None`` if they add up by construction."""
    audio_s: float = 0.0
    """Duration of the source, s."""
    source_bytes: int = 0
    model: str = ""
    """The model that separated."""
    reused: str = ""
    """Id of the job whose stems were copied; empty if they were separated."""

    def usage(self) -> tuple[int, int, int]:
        """Return what the job took: ms and bytes of the source, unless stems were copied, and their bytes."""
        stems = sum(file.size for file in self.files)
        return (0, 0, stems) if self.reused else (round(self.audio_s * 1000), self.source_bytes, stems)


@dataclass(frozen=True, slots=True)
class Waveform:
    """The mix or a stem as pairs of the smallest and the largest sample, for a page that draws it."""

    name: str
    """``Mix``, or the name of the track."""
    samples_per_pair: int
    """At 44,100 Hz."""
    data: str
    """Base64 of one signed byte for each smallest and largest sample in turn, 127 being full scale."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment."""

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
    stage: str = ""
    """What the worker does, of a running job: one of ``STAGES``."""
    attempt: int = 0
    """Attempts so far that count towards the maximum."""
    claims: int = 0
    """How often it was claimed, whether or not the attempt counted."""
    token: int = 0
    """Fencing token of the current attempt; every write of the attempt carries it."""
    worker: str = ""
    device: str = ""
    cancel_requested: bool = False
    uploads: tuple[Mapping[str, Any], ...] = ()
    """The current attempt's uploads to the bucket."""
    result: Result | None = None
    retried_by: str = ""
    """Id of the latest job that retries this one; empty for none."""
    position: int | None = field(default=None, compare=False)
    """Place among the waiting jobs of its queue, from 1; ``None`` if it is not waiting for its turn."""
    wait_reason: str = field(default="", compare=False)
    """Why no worker takes it, of a waiting job; empty if one does, as soon as it has a free slot."""
    estimated_start: int | None = field(default=None, compare=False)
    estimated_end: int | None = field(default=None, compare=False)
