"""Elements of a job: the request that submits it, the answers that show it, the callback at its end.

Where nothing else is said, the value of a table is a :class:`~stemline.jobs.job.Job`
(docs/wire/wire.md, 3.1, 3.4, 7.2 and 8).
"""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.audio import CODECS, check_audio
from stemline.jobs.callback import MqConfig
from stemline.jobs.job import STAGES, Hop, Job, Output, expand
from stemline.jobs.separation import TAG, AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.wire import ids, kinds, times
from stemline.wire.elements import (
    ADDITION,
    ANSWER,
    CALLBACK,
    NOWHERE,
    REQUEST,
    SHOWN,
    Document,
    Element,
    Table,
    addition,
    always,
)
from stemline.wire.kinds import (
    BUCKET,
    DECIBELS,
    KEY,
    TEXT,
    TIME,
    WORD,
    hidden_empty,
    inside,
    integer,
    matching,
    one_of,
    printable,
)

QUEUE_TYPE = "Speeching"
SOME_TIME = replace(kinds.TIME, write=lambda value: None if value is None else times.format_time(value))
"""A time that is left out if it is not set."""
MAX_TIMEOUT_S = 7 * 86_400

FORMATS = one_of("XML", "JSON")
TARGETS = one_of("Url", "TDMQ")
MQ_MODES = one_of("Queue", "Topic")
TAGGED = Element("Tag", one_of(TAG), "tag", required=f"Tag must be {TAG}.")


def separation(
    audio_mode: AudioMode, audio_config: AudioConfig | None = None, model: str | None = None
) -> VoiceSeparate:
    """Return the parameters of a separation.

    Raises:
        RequestRefused: The codec cannot hold what is asked for.
    """
    separate = VoiceSeparate(audio_mode, audio_config or AudioConfig(), model or None)
    check_audio(separate.audio_mode, separate.audio_config)
    return separate


def written_output(job: Job) -> Output:
    """Return the output of a job with its names expanded."""
    given, codec = job.spec.output, job.spec.codec
    fields = [str(row.source) for row in OUTPUT.elements if row.kind is KEY]
    names = {field: name for field in fields if (name := getattr(given, field))}
    return replace(given, **{field: expand(names[field], codec=codec, job_id=job.id) for field in names})


# A page of the vendor's documentation misprints aac as acc, and clients copied it.
_CODEC = inside("AudioConfig", one_of(*CODECS, others={"acc": "aac"}))
AUDIO_CONFIG = Table(
    "AudioConfig",
    Element("Codec", _CODEC, "codec", optional=True),
    Element("Samplerate", integer(), "samplerate", optional=True),
    Element("Bitrate", integer(), "bitrate", optional=True),
    Element("Channels", integer(), "channels", optional=True),
    Element("BitDepth", integer(), "bit_depth", documents=REQUEST | ADDITION, optional=True),
    build=AudioConfig,
    by_name=NOWHERE,
)
"""The value is an ``AudioConfig``. What a codec can hold depends on the mode: see jobs/audio.py."""
_MODE = one_of(*AudioMode, make=AudioMode)
_MODEL = matching(
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    "{name} must be the name of a model, such as 2stems: lower-case letters, digits, ., _ and -.",
)
SEPARATE = Table(
    "VoiceSeparate",
    Element("AudioMode", _MODE, "audio_mode", required="AudioMode is missing."),
    Element("AudioConfig", AUDIO_CONFIG, "audio_config", optional=True),
    Element(
        "Model",
        _MODEL,
        "model",
        documents=REQUEST | ADDITION,
        optional=True,
        description="The model that separates, where the credential may choose one.",
    ),
    build=separation,
)
"""The value is a ``VoiceSeparate``, of a job or of a template."""

_PLACE = "Output.Region and Output.Bucket are required."
OUTPUT = Table(
    "Output",
    Element("Region", WORD, "region", required=_PLACE),
    Element("Bucket", BUCKET, "bucket", required=_PLACE),
    Element("Object", KEY, "object", optional=True),
    Element("AuObject", KEY, "au_object", optional=True),
    Element("BassObject", KEY, "bass_object", optional=True),
    Element("DrumObject", KEY, "drum_object", optional=True),
    build=Output,
)
"""The value is an ``Output``."""

_SOURCE = "Input.Object is missing."
_TRACK = "Input.{name} must be the number of an audio track, from 0, or a language such as eng."
INPUT = Table(
    "",
    Element("BucketId", TEXT, "spec.tenant.bucket", documents=SHOWN),
    Element("Region", TEXT, "spec.tenant.region", documents=SHOWN),
    # Last in XML: an older parser of Java keeps the last child (docs/wire/wire.md, 11, point 11).
    Element("Object", KEY, "spec.input_object", required=_SOURCE, last_in=Document.XML_CALLBACK),
    Element(
        "AudioTrack",
        matching("^([0-9]{1,2}|[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8})$", _TRACK),
        "spec.audio_track",
        optional=True,
        description="The audio track to separate; by default the one that the file marks, else the first.",
    ),
)


def _measured(names: str) -> list[Element]:
    """Return the elements that the worker measured, kept in a mapping by their names."""
    return [Element(name, TEXT, name, optional=True) for name in names.split()]


MEDIA_FORMAT = Table(
    "",
    *_measured("Bitrate Duration FormatLongName FormatName NumProgram NumStream Size StartTime"),
)
MEDIA_AUDIO = Table(
    "",
    *_measured("Bitrate Channel ChannelLayout CodecLongName CodecName CodecTag CodecTagString"),
    *_measured("CodecTimeBase Duration Index Language SampleFmt SampleRate StartTime Timebase"),
)
_NOT_IN_JSON_CALLBACKS = SHOWN & ~Document.JSON_CALLBACK
MEDIA_STREAM = Table(
    "",
    Element("Audio", MEDIA_AUDIO, "Audio", repeated=True),
    Element("Subtitle", TEXT, always(""), documents=_NOT_IN_JSON_CALLBACKS),
    Element("Video", TEXT, always(""), documents=_NOT_IN_JSON_CALLBACKS),
)
MEDIA_INFO = Table("", Element("Format", MEDIA_FORMAT, "Format"), Element("Stream", MEDIA_STREAM, "Stream"))
"""The value is the mapping that the worker made."""
MD5_INFO = Table("", Element("Md5", matching("^[0-9a-f]{32}$"), "md5"), Element("ObjectName", TEXT, "key"))
OUTPUT_FILE = Table(
    "",
    Element("Bucket", TEXT, "spec.output.bucket"),
    Element("Md5Info", MD5_INFO, "result.files", repeated=True),
    Element("ObjectName", TEXT, lambda job: [file.key for file in job.result.files], repeated=True),
    Element("ObjectPrefix", TEXT, always("")),
    Element("Region", TEXT, "spec.output.region"),
)
STEM_LEVELS = Table(
    "",
    Element("ObjectName", TEXT, "key"),
    Element("PeakDb", DECIBELS, "levels.peak_db", optional=True),
    Element("ClippedSamples", integer(), "levels.clipped"),
    Element("LoudnessLufs", DECIBELS, "levels.loudness_lufs", optional=True),
    Element("ShareDb", DECIBELS, "levels.share_db", optional=True),
    Element("Doubt", TEXT, lambda file: file.levels.doubt or None, optional=True),
)
"""The value is an ``OutputFile`` with levels."""
SOUND_INFO = Table(
    "",
    Element("Stem", STEM_LEVELS, lambda job: [f for f in job.result.files if f.levels], repeated=True),
    Element("NullTestDb", DECIBELS, "result.null_test_db", optional=True),
    Element("ResidualDb", DECIBELS, "result.residual_db", optional=True),
)
"""What the worker measured of the stems; an addition to the vendor's interface."""
MEDIA_RESULT = Table("", Element("OutputFile", OUTPUT_FILE))


def _inline(job: Job) -> VoiceSeparate | None:
    return None if job.spec.template_id else job.spec.separate


def _finished(job: Job) -> Job | None:
    return job if job.result else None


def _measured_job(job: Job) -> Job | None:
    return job if job.result and any(file.levels for file in job.result.files) else None


OPERATION = Table(
    "",
    Element("TemplateId", WORD, "spec.template_id", optional=True),
    Element("TemplateName", TEXT, "spec.template_name", documents=SHOWN, optional=True),
    Element("VoiceSeparate", SEPARATE, "spec.separate", documents=REQUEST),
    Element(
        "VoiceSeparate",
        Table(SEPARATE.name, *SEPARATE.elements, by_name=SHOWN),
        _inline,
        documents=SHOWN,
        optional=True,
    ),
    Element("Output", OUTPUT, "spec.output", documents=REQUEST | ANSWER, required=_PLACE),
    Element("Output", OUTPUT, written_output, documents=CALLBACK),
    Element("MediaInfo", MEDIA_INFO, "result.media_info", documents=SHOWN, optional=True),
    Element("MediaResult", MEDIA_RESULT, _finished, documents=SHOWN, optional=True),
    addition("SoundInfo", SOUND_INFO, _measured_job),
    Element("UserData", printable(1024), "spec.user_data", optional=True, last_in=CALLBACK),
    Element("JobLevel", integer(0, 2), "spec.level", last_in=CALLBACK),
)
_HOP = "Hop needs Wait and JobLevel."
HOP = Table(
    "",
    Element("Wait", inside("Hop", integer(1, MAX_TIMEOUT_S)), "wait_s", required=_HOP),
    Element("JobLevel", inside("Hop", integer(0, 2)), "level", required=_HOP),
    build=Hop,
)
"""The value is a ``Hop``."""
_OTHER_JOB = hidden_empty(matching(ids.JOB))
JOB = Table(
    "Job",
    Element("Code", TEXT, "code"),
    Element("Message", TEXT, "message"),
    Element("JobId", matching(ids.JOB), "id"),
    Element("State", one_of(*State), "state"),
    Element("Progress", integer(), "progress", documents=ANSWER),
    addition("Stage", hidden_empty(one_of(*STAGES)), "stage", "What the worker of a running job does."),
    addition("Position", integer(), "position", "Place of a waiting job in its queue, from 1."),
    addition("WaitReason", hidden_empty(TEXT), "wait_reason", "Why no worker takes a waiting job."),
    Element("CreationTime", TIME, "created"),
    Element("StartTime", TIME, "started"),
    Element("EndTime", TIME, "ended"),
    addition("NotBefore", SOME_TIME, "spec.not_before"),
    addition("Deadline", SOME_TIME, "spec.deadline"),
    addition("Timeout", integer(), "spec.timeout_s"),
    addition("Hop", HOP, "spec.hop"),
    addition("EstimatedStartTime", SOME_TIME, "estimated_start"),
    addition("EstimatedEndTime", SOME_TIME, "estimated_end"),
    Element("QueueId", TEXT, "spec.queue_id"),
    Element("QueueType", one_of(QUEUE_TYPE), always(QUEUE_TYPE)),
    Element("Tag", one_of(TAG), always(TAG)),
    Element("Input", INPUT),
    Element("Operation", OPERATION),
    addition("Model", hidden_empty(TEXT), "result.model", "The model that separated."),
    addition("ReusedJobId", _OTHER_JOB, "result.reused", "The job whose stems were copied."),
    addition("OriginJobId", _OTHER_JOB, "spec.origin", "The job that this one retries."),
    addition("RetryJobId", _OTHER_JOB, "retried_by", "The latest job that retries this one."),
)
"""``JobsDetail``."""
CALLBACK_BODY = Table(
    "",
    Element("EventName", TEXT, always("TaskFinish")),
    Element("JobsDetail", JOB, documents=Document.XML_CALLBACK),
    Element("JobsDetail", JOB, lambda job: [job], documents=Document.JSON_CALLBACK, repeated=True),
)
"""``Response`` of an XML callback, the outermost object of a JSON one."""

_COMPLETE = "TDMQ needs MqRegion, MqMode and MqName."
MQ_NAMES = matching(
    "^[A-Za-z][A-Za-z0-9._-]{0,63}$", "{name} must be a letter and up to 63 letters, digits, dots, - or _."
)
MQ_CONFIG = Table(
    "",
    Element("MqRegion", WORD, "region", required=_COMPLETE),
    Element("MqMode", MQ_MODES, "mode", required=_COMPLETE),
    Element("MqName", MQ_NAMES, "name", required=_COMPLETE),
    build=MqConfig,
)
"""The value is an ``MqConfig``."""
JOB_REQUEST = Table(
    "JobRequest",
    TAGGED,
    Element("Input", INPUT, required=_SOURCE),
    Element("Operation", OPERATION, "operation", required="Operation is missing."),
    Element("QueueId", WORD, "spec.queue_id"),
    Element("CallBackFormat", FORMATS, "spec.callback.format"),
    Element("CallBackType", TARGETS, "spec.callback.type"),
    Element("CallBack", kinds.CALLBACK, "spec.callback.url"),
    Element("CallBackMqConfig", MQ_CONFIG, "spec.callback.mq"),
    Element("QueueType", one_of(QUEUE_TYPE)),
    Element("NotBefore", kinds.TIME, "spec.not_before", description="When the jobs may start."),
    Element("Deadline", kinds.TIME, "spec.deadline", description="A job that waits then is cancelled."),
    Element("Timeout", integer(1, MAX_TIMEOUT_S), "spec.timeout_s", description="Longest run of a job, s."),
    Element("Hop", HOP, "spec.hop", description="Another JobLevel for a job that has waited for long."),
)
"""``Request`` of a submission; ``spec`` holds what becomes the :class:`~stemline.jobs.job.JobSpec`."""
