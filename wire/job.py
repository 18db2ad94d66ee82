"""Elements of a job: the request that submits it, the answers that show it, the callback at its end.

The value of every table here is a :class:`~stemline.jobs.job.Job`, unless its rows say otherwise
(docs/wire/wire.md, 3.1, 3.4, 7.2 and 8).
"""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.audio import CODECS, check_audio
from stemline.jobs.callback import MqConfig
from stemline.jobs.job import Job, Output, expand
from stemline.jobs.separation import TAG, AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.wire import ids, kinds
from stemline.wire.elements import ANSWER, CALLBACK, NOWHERE, REQUEST, SHOWN, Document, Element, Table, always
from stemline.wire.kinds import KEY, TEXT, TIME, WORD, integer, matching, one_of, printable

QUEUE_TYPE = "Speeching"

FORMATS = one_of("XML", "JSON")
WAYS = one_of("Url", "TDMQ")
MODES = one_of(*AudioMode, make=AudioMode)
MQ_MODES = one_of("Queue", "Topic")
TAG_ELEMENT = Element("Tag", one_of(TAG), "tag", required=f"Tag must be {TAG}.")
TYPE_ELEMENT = Element("QueueType", one_of(QUEUE_TYPE), always(QUEUE_TYPE), documents=SHOWN)


def separation(audio_mode: AudioMode, audio_config: AudioConfig | None = None) -> VoiceSeparate:
    """Return the parameters of a separation.

    Raises:
        RequestRefused: the codec cannot hold what is asked for.
    """
    separate = VoiceSeparate(audio_mode, audio_config or AudioConfig())
    check_audio(separate.audio_mode, separate.audio_config)
    return separate


def _written_output(job: Job) -> Output:
    """Return the output of a job with its names expanded."""
    given = job.spec.output
    names = {
        row.source: expand(name, codec=job.spec.codec, job_id=job.id)
        for row in OUTPUT.elements
        if row.kind is KEY and isinstance(row.source, str) and (name := getattr(given, row.source))
    }
    return replace(given, **names)


AUDIO_CONFIG = Table(
    "AudioConfig",
    (
        # The codec is checked with the mode: see jobs/audio.py.
        Element("Codec", replace(WORD, schema=one_of(*CODECS).schema), "codec", optional=True),
        Element("Samplerate", integer(), "samplerate", optional=True),
        Element("Bitrate", integer(), "bitrate", optional=True),
        Element("Channels", integer(), "channels", optional=True),
    ),
    build=AudioConfig,
    by_name=NOWHERE,
)
SEPARATE = Table(
    "VoiceSeparate",
    (
        Element("AudioMode", MODES, "audio_mode", required="AudioMode is missing."),
        Element("AudioConfig", AUDIO_CONFIG, "audio_config", optional=True),
    ),
    build=separation,
    by_name=CALLBACK,
)
"""The value is a ``VoiceSeparate``, of a job or of a template."""

_NEEDED = "Output.Region and Output.Bucket are required."
OUTPUT = Table(
    "Output",
    (
        Element("Region", WORD, "region", required=_NEEDED),
        Element("Bucket", WORD, "bucket", required=_NEEDED),
        Element("Object", KEY, "object", optional=True),
        Element("AuObject", KEY, "au_object", optional=True),
        Element("BassObject", KEY, "bass_object", optional=True),
        Element("DrumObject", KEY, "drum_object", optional=True),
    ),
    build=Output,
)
"""The value is an ``Output``."""

INPUT = Table(
    "",
    (
        Element("BucketId", TEXT, "spec.tenant.bucket", documents=SHOWN),
        Element("Region", TEXT, "spec.tenant.region", documents=SHOWN),
        # Last: an older parser of Java keeps the last child (open point 11).
        Element(
            "Object",
            KEY,
            "spec.input_object",
            required="Input.Object is missing.",
            last_in=Document.XML_CALLBACK,
        ),
    ),
)


def _measured(*names: str) -> tuple[Element, ...]:
    """Return the elements of texts that the worker measured, kept by their names."""
    return tuple(Element(name, TEXT, name, optional=True) for name in names)


MEDIA_FORMAT = Table(
    "",
    _measured(
        *("Bitrate", "Duration", "FormatLongName", "FormatName", "NumProgram", "NumStream", "Size"),
        "StartTime",
    ),
)
MEDIA_AUDIO = Table(
    "",
    _measured(
        *("Bitrate", "Channel", "ChannelLayout", "CodecLongName", "CodecName", "CodecTag", "CodecTagString"),
        *("CodecTimeBase", "Duration", "Index", "Language", "SampleFmt", "SampleRate", "StartTime"),
        "Timebase",
    ),
)
_NOT_IN_JSON_CALLBACKS = SHOWN & ~Document.JSON_CALLBACK
MEDIA_STREAM = Table(
    "",
    (
        Element("Audio", MEDIA_AUDIO, "Audio", repeated=True),
        Element("Subtitle", TEXT, always(""), documents=_NOT_IN_JSON_CALLBACKS),
        Element("Video", TEXT, always(""), documents=_NOT_IN_JSON_CALLBACKS),
    ),
)
MEDIA_INFO = Table("", (Element("Format", MEDIA_FORMAT, "Format"), Element("Stream", MEDIA_STREAM, "Stream")))
MD5_INFO = Table("", (Element("Md5", matching("^[0-9a-f]{32}$"), "md5"), Element("ObjectName", TEXT, "key")))
OUTPUT_FILE = Table(
    "",
    (
        Element("Bucket", TEXT, "spec.output.bucket"),
        Element("Md5Info", MD5_INFO, "result.files", repeated=True),
        Element("ObjectName", TEXT, lambda job: [file.key for file in job.result.files], repeated=True),
        Element("ObjectPrefix", TEXT, always("")),
        Element("Region", TEXT, "spec.output.region"),
    ),
)
MEDIA_RESULT = Table("", (Element("OutputFile", OUTPUT_FILE),))

OPERATION = Table(
    "",
    (
        Element("TemplateId", WORD, "spec.template_id", optional=True),
        Element("TemplateName", TEXT, "spec.template_name", documents=SHOWN, optional=True),
        Element("VoiceSeparate", SEPARATE, "spec.separate", documents=REQUEST),
        Element(
            "VoiceSeparate",
            replace(SEPARATE, by_name=SHOWN),
            lambda job: None if job.spec.template_id else job.spec.separate,
            documents=SHOWN,
            optional=True,
        ),
        Element("Output", OUTPUT, "spec.output", documents=REQUEST | ANSWER, required=_NEEDED),
        Element("Output", OUTPUT, _written_output, documents=CALLBACK),
        Element("MediaInfo", MEDIA_INFO, "result.media_info", documents=SHOWN, optional=True),
        Element(
            "MediaResult",
            MEDIA_RESULT,
            lambda job: job if job.result else None,
            documents=SHOWN,
            optional=True,
        ),
        Element("UserData", printable(1024), "spec.user_data", optional=True, last_in=CALLBACK),
        Element("JobLevel", integer(0, 2), "spec.level", last_in=CALLBACK),
    ),
)

JOB = Table(
    "Job",
    (
        Element("Code", TEXT, "code"),
        Element("Message", TEXT, "message"),
        Element("JobId", matching(ids.JOB), "id"),
        Element("State", one_of(*State), "state"),
        Element("Progress", integer(), "progress", documents=ANSWER),
        Element("CreationTime", TIME, "created"),
        Element("StartTime", TIME, "started"),
        Element("EndTime", TIME, "ended"),
        Element("QueueId", TEXT, "spec.queue_id"),
        TYPE_ELEMENT,
        Element("Tag", one_of(TAG), always(TAG)),
        Element("Input", INPUT),
        Element("Operation", OPERATION),
    ),
)
"""``JobsDetail``."""

CALLBACK_BODY = Table(
    "",
    (
        Element("EventName", TEXT, always("TaskFinish")),
        Element("JobsDetail", JOB, documents=Document.XML_CALLBACK),
        Element("JobsDetail", JOB, lambda job: [job], documents=Document.JSON_CALLBACK, repeated=True),
    ),
)
"""The body of a callback: ``Response`` in XML, the outermost object in JSON."""

_NEEDED_MQ = "TDMQ needs MqRegion, MqMode and MqName."
_MQ_NAME = replace(
    matching("^[A-Za-z][A-Za-z0-9._-]{0,63}$"),
    refusal="{name} must be a letter and up to 63 letters, digits, dots, - or _.",
)
MQ_CONFIG = Table(
    "",
    (
        Element("MqRegion", WORD, "region", required=_NEEDED_MQ),
        Element("MqMode", MQ_MODES, "mode", required=_NEEDED_MQ),
        Element("MqName", _MQ_NAME, "name", required=_NEEDED_MQ),
    ),
    build=MqConfig,
)
"""The value is an ``MqConfig``."""

JOB_REQUEST = Table(
    "JobRequest",
    (
        TAG_ELEMENT,
        Element("Input", INPUT, required="Input.Object is missing."),
        Element("Operation", OPERATION, "operation", required="Operation is missing."),
        Element("QueueId", WORD, "spec.queue_id"),
        Element("CallBackFormat", FORMATS, "spec.callback.format"),
        Element("CallBackType", WAYS, "spec.callback.type"),
        Element("CallBack", kinds.CALLBACK, "spec.callback.url"),
        Element("CallBackMqConfig", MQ_CONFIG, "spec.callback.mq"),
        replace(TYPE_ELEMENT, source="", documents=REQUEST),
    ),
)
"""``Request`` of a submission; ``spec`` holds what becomes the :class:`~stemline.jobs.job.JobSpec`."""
