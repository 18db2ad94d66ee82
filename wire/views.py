"""The trees of the answers, every element in the wire's order (docs/wire/wire.md, 3.4, 4, 5, 6 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemline.jobs.job import Job, Result
from stemline.jobs.queue import NotifyConfig, Queue
from stemline.jobs.separation import TAG, AudioConfig, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket
from stemline.wire.times import format_time

Tree = dict[str, Any]

QUEUE_TYPE = "Speeching"


def job_detail(job: Job) -> Tree:
    """``JobsDetail``. ``Object`` is the last child of ``Input``: an older Java parser keeps the last one."""
    spec = job.spec
    failed = job.state is State.FAILED
    return {
        "Code": job.code if failed else "Success",
        "Message": job.message if failed else "",
        "JobId": job.id,
        "State": job.state.value,
        "Progress": str(job.progress),
        "CreationTime": format_time(job.created),
        "StartTime": format_time(job.started),
        "EndTime": format_time(job.ended),
        "QueueId": spec.queue_id,
        "QueueType": QUEUE_TYPE,
        "Tag": TAG,
        "Input": {"BucketId": spec.tenant.bucket, "Region": spec.tenant.region, "Object": spec.input_object},
        "Operation": _operation(job),
    }


def template(item: Template) -> Tree:
    """``Template``, and an entry of ``TemplateList``."""
    return {
        "Tag": item.tag,
        "TemplateId": item.id,
        "Name": item.name,
        "BucketId": item.tenant.bucket,
        "Category": "Custom",
        "VoiceSeparate": {
            "AudioMode": item.separate.audio_mode.value,
            "AudioConfig": _audio_config(item.separate.audio_config),
        },
        "CreateTime": format_time(item.created),
        "UpdateTime": format_time(item.updated),
    }


def queue(item: Queue) -> Tree:
    """``Queue``, and an entry of ``QueueList``."""
    return {
        "QueueId": item.id,
        "Name": item.name,
        "State": item.state.value,
        "NotifyConfig": _notify_config(item.notify),
        "MaxSize": str(item.max_size),
        "MaxConcurrent": str(item.max_concurrent),
        "UpdateTime": format_time(item.updated),
        "CreateTime": format_time(item.created),
        "BucketId": item.tenant.bucket,
        "Category": QUEUE_TYPE,
    }


def bucket(item: Bucket) -> Tree:
    """``AsrBucket``, and an entry of ``AsrBucketList``."""
    return {
        "BucketId": item.tenant.bucket,
        "Name": item.tenant.bucket,
        "Region": item.tenant.region,
        "CreateTime": format_time(item.created),
        "AliasBucketId": "",
    }


def _operation(job: Job) -> Tree:
    spec = job.spec
    tree: Tree = {}
    if spec.template_id:
        tree["TemplateId"] = spec.template_id
        tree["TemplateName"] = spec.template_name or ""
    else:
        tree["VoiceSeparate"] = _voice_separate(spec.separate)
    output = spec.output
    named = {
        "Object": output.object,
        "AuObject": output.au_object,
        "BassObject": output.bass_object,
        "DrumObject": output.drum_object,
    }
    tree["Output"] = {"Region": output.region, "Bucket": output.bucket} | _given(named)
    if job.state is State.SUCCESS and job.result is not None:
        tree["MediaInfo"] = _media_info(job.result)
        tree["MediaResult"] = _media_result(job, job.result)
    if spec.user_data is not None:
        tree["UserData"] = spec.user_data
    tree["JobLevel"] = str(spec.level)
    return tree


def _voice_separate(separate: VoiceSeparate) -> Tree:
    return {"AudioConfig": _audio_config(separate.audio_config), "AudioMode": separate.audio_mode.value}


def _audio_config(config: AudioConfig) -> Tree:
    """Only what was given."""
    return _given(
        {
            "Codec": config.codec,
            "Samplerate": config.samplerate,
            "Bitrate": config.bitrate,
            "Channels": config.channels,
        }
    )


def _notify_config(notify: NotifyConfig) -> Tree:
    tree = {
        "Url": notify.url,
        "Event": notify.event,
        "Type": notify.type,
        "State": notify.state,
        "ResultFormat": notify.result_format,
    }
    mq = {"MqMode": notify.mq_mode, "MqRegion": notify.mq_region, "MqName": notify.mq_name}
    return tree | {name: value for name, value in mq.items() if value}


def _media_info(result: Result) -> Tree:
    info = result.media_info
    stream = info.get("Stream", {})
    return {
        "Format": _sorted(info.get("Format", {})),
        "Stream": {
            "Audio": [_sorted(audio) for audio in stream.get("Audio", [])],
            "Subtitle": "",
            "Video": "",
        },
    }


def _media_result(job: Job, result: Result) -> Tree:
    output = job.spec.output
    return {
        "OutputFile": {
            "Bucket": output.bucket,
            "Md5Info": [{"Md5": file.md5, "ObjectName": file.key} for file in result.files],
            "ObjectName": [file.key for file in result.files],
            "ObjectPrefix": "",
            "Region": output.region,
        }
    }


def _given(values: Mapping[str, str | int | None]) -> Tree:
    return {name: str(value) for name, value in values.items() if value is not None}


def _sorted(values: Mapping[str, Any]) -> Tree:
    return dict(sorted(values.items()))
