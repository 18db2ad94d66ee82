"""From a ``PUT /asrqueue/<id>`` to the changes of a queue (docs/wire/wire.md, 6.1 and 6.3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from stemline.jobs.errors import RequestRefused
from stemline.jobs.queue import NotifyConfig
from stemline.wire.codec import Tree
from stemline.wire.elements import Element, Table
from stemline.wire.job import MQ_CONFIG
from stemline.wire.job_request import spelled_region
from stemline.wire.kinds import HTTP_URL, inside
from stemline.wire.resources import QUEUE

_USED_URL = Table("", Element("Url", inside("NotifyConfig", HTTP_URL), "url"))
"""The ``Url`` of notifications that are on."""


def queue_changes(fields: Tree, stored: NotifyConfig, *, mq_regions: Collection[str]) -> dict[str, Any]:
    """Return the attributes of a queue that a request changes; absent elements keep their values.

    Args:
        fields: The parsed body.
        stored: The queue's callback defaults before the change.
        mq_regions: Allowed values of ``MqRegion``.

    Raises:
        RequestRefused: A value is not valid, or a notification is on and incomplete.
    """
    changes: dict[str, Any] = QUEUE.read(fields, partial=True)
    given = {name: value for name, value in changes.pop("notify", {}).items() if value}
    if not given:
        return changes
    if "mq_region" in given:
        given["mq_region"] = spelled_region(given["mq_region"], mq_regions)
    notify = replace(stored, **given)
    # The vendor's API stores any Url while State is Off, such as one without a scheme.
    if notify.state == "On" and (notify.type == "Url" or "url" in given):
        _USED_URL.read({"Url": notify.url})
    _check_complete(notify, mq_regions)
    return {**changes, "notify": notify}


def _check_complete(notify: NotifyConfig, mq_regions: Collection[str]) -> None:
    if notify.state != "On":
        return
    if not notify.event or not notify.type:
        raise RequestRefused("NotifyConfig with State On needs Event and Type.")
    if notify.type == "Url" and not notify.url:
        raise RequestRefused("NotifyConfig with Type Url needs Url.")
    if notify.type == "TDMQ":
        target = {
            "MqRegion": notify.mq_region,
            "MqMode": notify.mq_mode or "Queue",
            "MqName": notify.mq_name,
        }
        complete = MQ_CONFIG.read({name: text for name, text in target.items() if text})
        spelled_region(complete.region, mq_regions)
