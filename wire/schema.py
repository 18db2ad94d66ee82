"""The named schemas of the interface's description: what requests and answers hold, in their JSON form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stemline.jobs.audio import CODECS
from stemline.jobs.separation import TAG, AudioMode
from stemline.jobs.states import State
from stemline.wire.errors import ANSWERS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "pattern": r"^(-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0800)$"}
DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
HTTP_URL: Schema = {"type": "string", "pattern": "^https?://"}


def words(*values: str) -> Schema:
    """One of some texts."""
    return {"type": "string", "enum": list(values)}


def listed(schema: Schema, **limits: int) -> Schema:
    """A list; in XML a repeated element."""
    return {"type": "array", "items": schema, **limits}


def fields(required: Iterable[str] = (), **properties: Schema) -> Schema:
    """An element with children; ``required=…`` as names, all of them where ``'*'``."""
    names = list(properties) if tuple(required) == ("*",) else list(required)
    return {"type": "object", "properties": properties, **({"required": names} if names else {})}


def ref(name: str) -> Schema:
    """One of the named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """Everything that has a name of its own."""
    audio_config = fields(Codec=words(*CODECS), Samplerate=DIGITS, Bitrate=DIGITS, Channels=DIGITS)
    mode = words(*AudioMode)
    mq = fields(["*"], MqRegion=TEXT, MqMode=words("Queue", "Topic"), MqName=TEXT)
    output = fields(
        ["Region", "Bucket"],
        Region=TEXT,
        Bucket=TEXT,
        Object=TEXT,
        AuObject=TEXT,
        BassObject=TEXT,
        DrumObject=TEXT,
    )
    separate = fields(["AudioMode"], AudioMode=mode, AudioConfig=ref("AudioConfig"))
    media_format = fields(
        Bitrate=TEXT,
        Duration=TEXT,
        FormatLongName=TEXT,
        FormatName=TEXT,
        NumProgram=TEXT,
        NumStream=TEXT,
        Size=TEXT,
        StartTime=TEXT,
    )
    audio = fields(
        **dict.fromkeys(
            (
                *("Index", "CodecName", "CodecLongName", "CodecTimeBase", "CodecTagString", "CodecTag"),
                *("SampleFmt", "SampleRate", "Channel", "ChannelLayout", "Timebase", "StartTime", "Duration"),
                *("Bitrate", "Language"),
            ),
            TEXT,
        )
    )
    file = fields(
        ["*"],
        Bucket=TEXT,
        Md5Info=listed(fields(["*"], ObjectName=TEXT, Md5={"type": "string", "pattern": "^[0-9a-f]{32}$"})),
        ObjectName=listed(TEXT),
        ObjectPrefix=TEXT,
        Region=TEXT,
    )
    operation = fields(
        ["Output", "JobLevel"],
        TemplateId=TEXT,
        TemplateName=TEXT,
        VoiceSeparate=ref("VoiceSeparate"),
        Output=ref("Output"),
        MediaInfo=fields(
            ["*"],
            Format=media_format,
            Stream=fields(["*"], Audio=listed(audio), Subtitle=TEXT, Video=TEXT),
        ),
        MediaResult=fields(["*"], OutputFile=file),
        UserData=TEXT,
        JobLevel=words("0", "1", "2"),
    )
    notify = {
        "State": words("On", "Off"),
        "Event": TEXT,
        "ResultFormat": words("XML", "JSON"),
        "MqMode": words("Queue", "Topic"),
        "MqRegion": TEXT,
        "MqName": TEXT,
    }
    queue_name = {"type": "string", "maxLength": 128}
    template_name = {"type": "string", "maxLength": 64}
    return {
        "AudioConfig": audio_config,
        "VoiceSeparate": separate,
        "Output": output,
        "Submission": fields(
            ["Tag", "Input", "Operation"],
            Tag=words(TAG),
            Input=fields(["Object"], Object={"type": "string", "minLength": 1, "maxLength": 1024}),
            Operation=fields(
                ["Output"],
                TemplateId=TEXT,
                VoiceSeparate=ref("VoiceSeparate"),
                Output=ref("Output"),
                UserData={"type": "string", "maxLength": 1024, "pattern": "^[ -~]*$"},
                JobLevel=words("0", "1", "2"),
            ),
            CallBackFormat=words("XML", "JSON"),
            CallBackType=words("Url", "TDMQ"),
            CallBack={"type": "string", "pattern": "^(https?://.*|no)$"},
            CallBackMqConfig=mq,
            QueueId=TEXT,
            QueueType=words("Speeching"),
        ),
        "Job": fields(
            ["*"],
            Code=TEXT,
            Message=TEXT,
            JobId={"type": "string", "pattern": "^j[0-9a-f]{32}$"},
            State=words(*State),
            Progress=DIGITS,
            CreationTime=TIME,
            StartTime=TIME,
            EndTime=TIME,
            QueueId=TEXT,
            QueueType=words("Speeching"),
            Tag=words(TAG),
            Input=fields(["*"], BucketId=TEXT, Region=TEXT, Object=TEXT),
            Operation=operation,
        ),
        "Callback": fields(
            ["CallbackId", "JobId", "State", "Format", "Type", "CreationTime", "NextTime"],
            CallbackId=TEXT,
            JobId=TEXT,
            State=words("Pending", "Delivered", "Dead"),
            Format=words("XML", "JSON"),
            Type=words("Url", "TDMQ"),
            Url=TEXT,
            MqConfig=mq,
            CreationTime=TIME,
            NextTime=TIME,
            Attempt=listed(fields(["*"], Time=TIME, Status=TEXT, DurationMs=DIGITS, Answer=TEXT)),
        ),
        "TemplateRequest": fields(
            ["Tag", "Name", "AudioMode"],
            Tag=words(TAG),
            Name=template_name,
            AudioMode=mode,
            AudioConfig=ref("AudioConfig"),
        ),
        "TemplateUpdate": fields(
            Tag=words(TAG), Name=template_name, AudioMode=mode, AudioConfig=ref("AudioConfig")
        ),
        "Template": fields(
            ["*"],
            Tag=words(TAG),
            TemplateId={"type": "string", "pattern": "^t1[0-9a-f]{32}$"},
            Name=template_name,
            BucketId=TEXT,
            Category=words("Custom"),
            VoiceSeparate=ref("VoiceSeparate"),
            CreateTime=TIME,
            UpdateTime=TIME,
        ),
        "QueueUpdate": fields(
            Name=queue_name,
            State=words("Active", "Paused"),
            NotifyConfig=fields(Type=words("Url", "TDMQ"), Url=HTTP_URL, **notify),
            MaxSize=DIGITS,
            MaxConcurrent=DIGITS,
        ),
        "Queue": fields(
            ["*"],
            QueueId={"type": "string", "pattern": "^p[0-9a-f]{32}$"},
            Name=queue_name,
            State=words("Active", "Paused"),
            NotifyConfig=fields(
                ["Url", "Event", "Type", "State", "ResultFormat"], Url=TEXT, Type=TEXT, **notify
            ),
            MaxSize=DIGITS,
            MaxConcurrent=DIGITS,
            UpdateTime=TIME,
            CreateTime=TIME,
            BucketId=TEXT,
            Category=words("Speeching"),
        ),
        "AsrBucket": fields(
            ["*"], BucketId=TEXT, Name=TEXT, Region=TEXT, CreateTime=TIME, AliasBucketId=TEXT
        ),
        "Error": fields(
            ["*"],
            Code=words(*sorted({code for code, _ in ANSWERS.values()})),
            Message={"type": "string", "minLength": 1},
            Resource={"type": "string", "minLength": 1},
            RequestId={"type": "string", "minLength": 1},
            TraceId={"type": "string", "minLength": 1},
        ),
    }
