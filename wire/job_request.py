"""From a ``POST /jobs`` to job specifications, checked in the order of docs/wire/wire.md, 3.3."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from stemline.jobs.audio import DEFAULT_CODEC
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import RequestRefused, TemplateNotFound
from stemline.jobs.job import JobSpec, Output, expand
from stemline.jobs.separation import MODE_TRACKS, TAG, AudioMode, Track, VoiceSeparate
from stemline.jobs.template import Template
from stemline.jobs.tenant import Tenant
from stemline.wire.codec import Tree
from stemline.wire.elements import REQUEST, text_of
from stemline.wire.job import JOB_REQUEST, OPERATION
from stemline.wire.kinds import MAX_KEY_BYTES, spelled

MAX_OPERATIONS = 10
MQ_REGIONS = ("sh", "bj", "gz", "cd", "hk")
_ANY_JOB_ID = "j" + "0" * 32
_NUMBER = re.compile("[0-9]{1,9}")

FindTemplate = Callable[[str], Template | None]


def job_specs(
    fields: Tree, tenant: Tenant, find_template: FindTemplate, *, mq_regions: Collection[str] = MQ_REGIONS
) -> list[JobSpec]:
    """Return one specification for each ``Operation`` of a request.

    Args:
        fields: The parsed body.
        tenant: Bucket and region of the Host header.
        find_template: From a template id to the tenant's template.
        mq_regions: Allowed values of ``MqRegion``.

    Raises:
        RequestRefused: An element is missing or not valid; says which.
        TemplateNotFound: A template does not exist.
    """
    fields = _without_unused_target(fields)
    request: dict[str, Any] = {}
    drafts: list[dict[str, Any]] = []
    for row in JOB_REQUEST.rows(REQUEST):
        if row.kind is OPERATION:
            drafts = _read_operations(fields)
        else:
            row.read(fields, request)
    given = request["spec"]
    callback = CallbackRequest(**given.pop("callback", {}))
    if callback.mq is not None:
        mq = replace(callback.mq, region=spelled_region(callback.mq.region, mq_regions))
        callback = replace(callback, mq=mq)
    return [
        JobSpec(tenant=tenant, callback=callback, **given, **_with_template(draft, find_template))
        for draft in drafts
    ]


def spelled_region(text: str, allowed: Collection[str]) -> str:
    """Return the region of a TDMQ target as it is spelled among the allowed ones; any case is accepted.

    Raises:
        RequestRefused: The region is not among the allowed ones.
    """
    region = spelled(text, allowed)
    if region is None:
        raise RequestRefused(f"MqRegion must be one of {', '.join(allowed)}.")
    return region


def without_unused_numbers(fields: Tree, mode: str) -> Tree:
    """Return the fields for the checks of a mode: MusicMode ignores numbers, so they may be any text.

    Args:
        fields: Fields that may hold an ``AudioConfig``.
        mode: The ``AudioMode`` that applies to them.
    """
    config = fields.get("AudioConfig")
    if spelled(mode, AudioMode) != AudioMode.MUSIC_MODE or not isinstance(config, dict):
        return fields
    kept = {
        name: value
        for name, value in config.items()
        if name == "Codec" or _NUMBER.fullmatch(text_of(config, name))
    }
    return {**fields, "AudioConfig": kept}


def _without_unused_target(fields: Tree) -> Tree:
    """Return the fields with the ``CallBackMqConfig`` that TDMQ needs, or without an unused one."""
    if text_of(fields, "CallBackType").upper() == "TDMQ":
        return {"CallBackMqConfig": {}, **fields}
    return {name: value for name, value in fields.items() if name != "CallBackMqConfig"}


def _read_operations(fields: Tree) -> list[dict[str, Any]]:
    """Return what each operation gives; all are read element by element, to keep the order of the checks."""
    found = fields.get("Operation")
    given = found if isinstance(found, list) else [found] if found else []
    operations = [operation for operation in given if isinstance(operation, dict)]
    if not given:
        raise RequestRefused("Operation is missing.")
    if len(given) > MAX_OPERATIONS:
        raise RequestRefused(f"A request may hold at most {MAX_OPERATIONS} operations.")
    if len(operations) < len(given):
        raise RequestRefused("Operation must be an element with children.")
    used = [_without_unused_parameters(operation) for operation in operations]
    drafts: list[dict[str, Any]] = [{} for _ in used]
    for row in OPERATION.rows(REQUEST):
        for operation, draft in zip(used, drafts, strict=True):
            row.read(operation, draft)
            if row.name == "Output":
                check_output(draft["spec"]["output"], draft["spec"].get("separate"))
    return [draft["spec"] for draft in drafts]


def _without_unused_parameters(operation: Tree) -> Tree:
    """Return the fields of an operation without parameters that a template replaces; they are not checked."""
    given = operation.get("VoiceSeparate")
    if text_of(operation, "TemplateId"):
        return {name: value for name, value in operation.items() if name != "VoiceSeparate"}
    if given is None:
        raise RequestRefused("Operation needs TemplateId or VoiceSeparate.")
    if isinstance(given, dict):
        return {**operation, "VoiceSeparate": without_unused_numbers(given, text_of(given, "AudioMode"))}
    return operation


def _with_template(draft: dict[str, Any], find_template: FindTemplate) -> dict[str, Any]:
    if "template_id" not in draft:
        return draft
    template = find_template(draft["template_id"])
    if template is None or template.tag != TAG:
        raise TemplateNotFound
    check_output(draft["output"], template.separate)
    return {**draft, "separate": template.separate, "template_name": template.name}


def check_output(output: Output, separate: VoiceSeparate | None) -> None:
    """Check that the output names an object for a track of the mode, and one object for each of its tracks.

    Without parameters, because a template decides, only check that there is a name at all.
    """
    if not any(output.name(track) for track in Track):
        raise RequestRefused("Output names no object.")
    if separate is None:
        return
    names = [name for track in MODE_TRACKS[separate.audio_mode] if (name := output.name(track))]
    if not names:
        wanted = " or ".join(f"Output.{track.value}" for track in MODE_TRACKS[separate.audio_mode])
        raise RequestRefused(f"{separate.audio_mode.value} needs {wanted}.")
    codec = separate.audio_config.codec or DEFAULT_CODEC
    keys = [expand(name, codec=codec, job_id=_ANY_JOB_ID) for name in names]
    if any(key.endswith("/") for key in keys):
        raise RequestRefused("An output name ends with /, which names a folder.")
    if len(set(keys)) != len(keys):
        raise RequestRefused("Two outputs have the same name.")
    if max(len(key.encode()) for key in keys) > MAX_KEY_BYTES:
        raise RequestRefused(f"An output name is longer than {MAX_KEY_BYTES} bytes.")
