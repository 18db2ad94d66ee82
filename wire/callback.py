"""What is said when a job ends: the XML and JSON bodies of the wire (sections 7.2 and 8).

Both are written from one tree of names and values: a value is a string, a tree, or a list of values (in XML
its name is repeated). Unlike in the API's answers, output names are expanded and elements go in the order of
callbacks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, Union
from xml.sax.saxutils import escape

from stemline.jobs.job import Job, JobSpec, Output, Result, expand
from stemline.jobs.separation import TAG, Track, VoiceSeparate
from stemline.wire.times import format_time

CONTENT_TYPES: Final[Mapping[str, str]] = {"XML": "application/xml", "JSON": "application/json"}
"""``Content-Type`` by callback format."""

Value: TypeAlias = Union[str, "Tree", Sequence["Value"]]
Tree: TypeAlias = Mapping[str, Value]

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def body(job: Job, form: str) -> bytes:
    """The body in a format, ``XML`` or ``JSON``."""
    return json_body(job) if form == "JSON" else xml_body(job)


def xml_body(job: Job) -> bytes:
    """The XML body of a job's end: compact, UTF-8, without a declaration."""
    stream: Tree = {"Subtitle": "", "Video": ""}
    source: Tree = {
        "BucketId": job.spec.tenant.bucket,
        "Region": job.spec.tenant.region,
        "Object": job.spec.input_object,
    }
    tree: Tree = {"EventName": "TaskFinish", "JobsDetail": _detail(job, source, more_streams=stream)}
    return "".join(_elements("Response", tree)).encode()


def json_body(job: Job) -> bytes:
    """The JSON body of a job's end: no ``Response`` around it, ``JobsDetail`` a list, scalars all strings."""
    source: Tree = {
        "BucketId": job.spec.tenant.bucket,
        "Object": job.spec.input_object,
        "Region": job.spec.tenant.region,
    }
    tree: Tree = {"EventName": "TaskFinish", "JobsDetail": [_detail(job, source, more_streams={})]}
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _detail(job: Job, source: Tree, *, more_streams: Tree) -> Tree:
    return {
        "Code": job.code,
        "CreationTime": format_time(job.created),
        "EndTime": format_time(job.ended),
        "Input": source,
        "JobId": job.id,
        "Message": job.message,
        "Operation": _operation(job, more_streams),
        "QueueId": job.spec.queue_id,
        "QueueType": "Speeching",
        "StartTime": format_time(job.started),
        "State": str(job.state),
        "Tag": TAG,
    }


def _operation(job: Job, more_streams: Tree) -> Tree:
    spec = job.spec
    operation: dict[str, Value] = {}
    if job.result:
        operation["MediaInfo"] = _media_info(job.result, more_streams)
        operation["MediaResult"] = _media_result(job.result, spec.output)
    operation["Output"] = _output(spec, job.id)
    if spec.template_id:
        operation["TemplateId"] = spec.template_id
        operation["TemplateName"] = spec.template_name or ""
    else:
        operation["VoiceSeparate"] = _voice_separate(spec.separate)
    if spec.user_data is not None:
        operation["UserData"] = spec.user_data
    operation["JobLevel"] = str(spec.level)
    return operation


def _media_info(result: Result, more_streams: Tree) -> Tree:
    info = dict(result.media_info)
    info["Stream"] = {**info.get("Stream", {}), **more_streams}
    return info


def _media_result(result: Result, output: Output) -> Tree:
    return {
        "OutputFile": {
            "Bucket": output.bucket,
            "Md5Info": [{"Md5": file.md5, "ObjectName": file.key} for file in result.files],
            "ObjectName": [file.key for file in result.files],
            "ObjectPrefix": "",
            "Region": output.region,
        }
    }


def _output(spec: JobSpec, job_id: str) -> Tree:
    """Every name that was given, expanded, between bucket and region in alphabetical order."""
    places = {"Bucket": spec.output.bucket, "Region": spec.output.region}
    for track in Track:
        name = spec.output.name(track)
        if name:
            places[track.value] = expand(name, codec=spec.codec, job_id=job_id)
    return dict(sorted(places.items()))


def _voice_separate(separate: VoiceSeparate) -> Tree:
    config = separate.audio_config
    given = {
        "Codec": config.codec,
        "Samplerate": config.samplerate,
        "Bitrate": config.bitrate,
        "Channels": config.channels,
    }
    return {
        "AudioConfig": {name: str(value) for name, value in given.items() if value is not None},
        "AudioMode": str(separate.audio_mode),
    }


def _elements(name: str, value: Value) -> list[str]:
    if isinstance(value, Mapping):
        inner = "".join(part for key, item in value.items() for part in _elements(key, item))
    elif isinstance(value, str):
        # What XML cannot hold at all would make the whole body unreadable.
        inner = escape(_NOT_XML.sub("\ufffd", value))
    else:
        return [part for item in value for part in _elements(name, item)]
    return [f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"]
