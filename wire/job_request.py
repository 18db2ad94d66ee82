"""Fields of a ``POST /jobs`` to job specifications, checked in the wire's order (docs/wire/wire.md, 3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stemline.jobs.audio import check_audio
from stemline.jobs.callback import CallbackRequest, MqConfig
from stemline.jobs.errors import RequestRefused, TemplateNotFound
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import MODE_TRACKS, TAG, AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.template import Template
from stemline.jobs.tenant import Tenant
from stemline.wire import params as read
from stemline.wire.codec import Fields

MAX_OPERATIONS = 10
MAX_USER_DATA_CHARS = 1024
MQ_REGIONS = ("sh", "bj", "gz", "cd", "hk")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_MQ_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_ANY_JOB_ID = "j" + "0" * 32

FindTemplate = Callable[[str], Template | None]


def specifications(
    fields: Fields, tenant: Tenant, find_template: FindTemplate, *, mq_regions: tuple[str, ...] = MQ_REGIONS
) -> list[JobSpec]:
    """One specification for each ``Operation`` of the request.

    Args:
        fields: the parsed body.
        tenant: bucket and region of the Host header.
        find_template: from a template id to the tenant's template.
        mq_regions: names that ``MqRegion`` may have.

    Raises:
        RequestRefused: ``InvalidArgument`` with the reason, or ``TemplateNotFound``.
    """
    if read.word(fields, "Tag") != TAG:
        raise RequestRefused(f"Tag must be {TAG}.")
    source = read.key(read.container(fields, "Input") or {}, "Object")
    if not source:
        raise RequestRefused("Input.Object is missing.")
    operations = _operations(fields)
    separates = [_separate(operation) for operation in operations]
    outputs = [
        _output(operation, separate) for operation, separate in zip(operations, separates, strict=True)
    ]
    queue_id = read.word(fields, "QueueId") or ""
    drafts = [
        JobSpec(
            tenant=tenant,
            input_object=source,
            separate=separate or VoiceSeparate(AudioMode.IS_AUDIO),
            output=output,
            queue_id=queue_id,
            user_data=_user_data(operation),
            level=read.integer(operation, "JobLevel", most=2) or 0,
        )
        for operation, separate, output in zip(operations, separates, outputs, strict=True)
    ]
    callback = _callback(fields, mq_regions)
    return [
        replace(_with_template(draft, operation, find_template), callback=callback)
        for draft, operation in zip(drafts, operations, strict=True)
    ]


def voice_separate(fields: Fields) -> VoiceSeparate:
    """The parameters of a separation: ``AudioMode`` and ``AudioConfig``, as in a job or a template.

    Raises:
        RequestRefused: a value outside the tables.
    """
    mode = read.choice(fields, "AudioMode", [mode.value for mode in AudioMode])
    if mode is None:
        raise RequestRefused("AudioMode is missing.")
    return VoiceSeparate(AudioMode(mode), audio_config(fields, AudioMode(mode)))


def audio_config(fields: Fields, mode: AudioMode) -> AudioConfig:
    """What ``AudioConfig`` gives; an absent one is all defaults.

    Raises:
        RequestRefused: a value outside the tables.
    """
    given = read.container(fields, "AudioConfig") or {}
    number = _number_without_effect if mode is AudioMode.MUSIC_MODE else read.integer
    config = AudioConfig(
        codec=read.word(given, "Codec"),
        samplerate=number(given, "Samplerate"),
        bitrate=number(given, "Bitrate"),
        channels=number(given, "Channels"),
    )
    check_audio(mode, config)
    return config


def mq_config(given: Fields, mq_regions: tuple[str, ...] = MQ_REGIONS) -> MqConfig:
    """A complete TDMQ target: ``MqRegion``, ``MqMode``, ``MqName``.

    Raises:
        RequestRefused: one of them is missing or not valid.
    """
    region = read.choice(given, "MqRegion", mq_regions)
    mode = read.choice(given, "MqMode", ("Queue", "Topic"))
    name = read.word(given, "MqName")
    if region is None or mode is None or name is None:
        raise RequestRefused("TDMQ needs MqRegion, MqMode and MqName.")
    if not _MQ_NAME.fullmatch(name):
        raise RequestRefused("MqName must be a letter and up to 63 letters, digits, dots, - or _.")
    return MqConfig(region=region, mode=mode, name=name)


def _operations(fields: Fields) -> list[Fields]:
    found = fields.get("Operation")
    operations = found if isinstance(found, list) else [found]
    if not found or not operations:
        raise RequestRefused("Operation is missing.")
    if len(operations) > MAX_OPERATIONS:
        raise RequestRefused(f"A request may hold at most {MAX_OPERATIONS} operations.")
    return [_as_fields(operation) for operation in operations]


def _as_fields(operation: Any) -> Fields:
    if not isinstance(operation, dict):
        raise RequestRefused("Operation must be an element with children.")
    return operation


def _separate(operation: Fields) -> VoiceSeparate | None:
    """The inline parameters; ``None`` where a template decides."""
    if read.word(operation, "TemplateId"):
        return None
    given = read.container(operation, "VoiceSeparate")
    if given is None:
        raise RequestRefused("Operation needs TemplateId or VoiceSeparate.")
    return voice_separate(given)


def _output(operation: Fields, separate: VoiceSeparate | None) -> Output:
    given = read.container(operation, "Output") or {}
    region, bucket = read.word(given, "Region"), read.word(given, "Bucket")
    if not region or not bucket:
        raise RequestRefused("Output.Region and Output.Bucket are required.")
    output = Output(
        region=region,
        bucket=bucket,
        object=read.key(given, "Object"),
        au_object=read.key(given, "AuObject"),
        bass_object=read.key(given, "BassObject"),
        drum_object=read.key(given, "DrumObject"),
    )
    if not any(output.name(track) for track in Track):
        raise RequestRefused("Output names no object.")
    if separate is not None:
        _check_names(output, separate)
    return output


def _check_names(output: Output, separate: VoiceSeparate) -> None:
    """Refuse outputs that would yield nothing, or one file over the other."""
    spec = JobSpec(tenant=Tenant("", ""), input_object="", separate=separate, output=output)
    if not spec.tracks():
        wanted = " or ".join(f"Output.{track.value}" for track in MODE_TRACKS[separate.audio_mode])
        raise RequestRefused(f"{separate.audio_mode.value} needs {wanted}.")
    keys = [spec.key(track, _ANY_JOB_ID) for track in spec.tracks()]
    if len(set(keys)) != len(keys):
        raise RequestRefused("Two outputs have the same name.")
    if max(len(key.encode()) for key in keys) > read.MAX_KEY_BYTES:
        raise RequestRefused(f"An output name is longer than {read.MAX_KEY_BYTES} bytes.")


def _user_data(operation: Fields) -> str | None:
    value = read.text(operation, "UserData")
    if value is not None and (len(value) > MAX_USER_DATA_CHARS or not _PRINTABLE.fullmatch(value)):
        raise RequestRefused(f"UserData must be at most {MAX_USER_DATA_CHARS} printable ASCII characters.")
    return value


def _callback(fields: Fields, mq_regions: tuple[str, ...]) -> CallbackRequest:
    form = read.choice(fields, "CallBackFormat", ("XML", "JSON"))
    kind = read.choice(fields, "CallBackType", ("Url", "TDMQ"))
    url = read.word(fields, "CallBack")
    if url is not None:
        url = "no" if url.lower() == "no" else read.http_url("CallBack", url)
    mq = None
    if kind == "TDMQ":
        mq = mq_config(read.container(fields, "CallBackMqConfig") or {}, mq_regions)
    return CallbackRequest(format=form, type=kind, url=url, mq=mq)


def _with_template(draft: JobSpec, operation: Fields, find_template: FindTemplate) -> JobSpec:
    template_id = read.word(operation, "TemplateId")
    if not template_id:
        return draft
    template = find_template(template_id)
    if template is None or template.tag != TAG:
        raise TemplateNotFound
    _check_names(draft.output, template.separate)
    return replace(draft, separate=template.separate, template_id=template.id, template_name=template.name)


def _number_without_effect(given: Fields, name: str) -> int | None:
    """A number that MusicMode does not use: kept for the echo where it is one."""
    try:
        return read.integer(given, name)
    except RequestRefused:
        return None
