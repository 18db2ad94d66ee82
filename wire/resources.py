"""Elements of templates, queues and buckets (docs/wire/wire.md, 5 and 6)."""

from __future__ import annotations

from stemline.jobs.separation import TAG
from stemline.jobs.states import QueueState
from stemline.wire import ids
from stemline.wire.additions import OVERRIDE, RESERVED, SLOTS, WEIGHT
from stemline.wire.elements import ADDITION, ANSWER, REQUEST, Element, Table, always
from stemline.wire.job import FORMATS, MQ_MODES, MQ_NAMES, QUEUE_TYPE, SEPARATE, TAGGED, TARGETS
from stemline.wire.kinds import (
    TEXT,
    TIME,
    URL_TEXT,
    WORD,
    hidden_empty,
    inside,
    integer,
    matching,
    name,
    one_of,
    shown_empty,
    subset_of,
)

_TEMPLATE_NAME = Element("Name", name(64), "name", required="Name is missing.")
TEMPLATE_REQUEST = Table("TemplateRequest", TAGGED, _TEMPLATE_NAME, *SEPARATE.elements)
"""``Request`` of a new template; in an update every element is optional."""
TEMPLATE = Table(
    "Template",
    Element("Tag", one_of(TAG), "tag"),
    Element("TemplateId", matching(ids.TEMPLATE), "id"),
    _TEMPLATE_NAME,
    Element("BucketId", TEXT, "tenant.bucket"),
    Element("Category", one_of("Custom"), always("Custom")),
    Element("VoiceSeparate", SEPARATE, "separate"),
    Element("CreateTime", TIME, "created"),
    Element("UpdateTime", TIME, "updated"),
)

_EVENTS = inside("NotifyConfig", subset_of("TaskFinish", "WorkflowFinish"))
NOTIFY_CONFIG = Table(
    "",
    Element("Url", shown_empty(inside("NotifyConfig", URL_TEXT)), "url"),
    Element("Event", _EVENTS, "event"),
    Element("Type", shown_empty(TARGETS), "type"),
    Element("State", one_of("On", "Off"), "state"),
    Element("ResultFormat", FORMATS, "result_format"),
    Element("MqMode", hidden_empty(MQ_MODES), "mq_mode", optional=True),
    Element("MqRegion", hidden_empty(WORD), "mq_region", optional=True),
    Element("MqName", hidden_empty(MQ_NAMES), "mq_name", optional=True),
)
"""The value is a ``NotifyConfig``. ``Url`` is checked where notifications are on: see queue_request.py."""
QUEUE = Table(
    "Queue",
    Element("QueueId", matching(ids.QUEUE), "id", documents=ANSWER),
    Element("Name", name(128), "name"),
    Element("State", one_of(*QueueState, make=QueueState), "state"),
    Element("NotifyConfig", NOTIFY_CONFIG, "notify"),
    Element("MaxSize", integer(1, 10_000_000), "max_size"),
    Element("MaxConcurrent", SLOTS, "max_concurrent"),
    Element(
        "Weight",
        WEIGHT,
        "weight",
        documents=REQUEST | ADDITION,
        description="Turns that the queue gets, in proportion to other queues; 100 by default.",
    ),
    Element(
        "Reserved",
        RESERVED,
        "reserved",
        documents=REQUEST | ADDITION,
        description="Of MaxConcurrent, slots that are kept for one JobLevel.",
    ),
    Element(
        "Override",
        OVERRIDE,
        "override",
        documents=REQUEST | ADDITION,
        optional=True,
        description="Limits that hold until a time, instead of the queue's own.",
    ),
    Element("UpdateTime", TIME, "updated", documents=ANSWER),
    Element("CreateTime", TIME, "created", documents=ANSWER),
    Element("BucketId", TEXT, "tenant.bucket", documents=ANSWER),
    Element("Category", one_of(QUEUE_TYPE), always(QUEUE_TYPE), documents=ANSWER),
)
"""A queue; in the ``Request`` of an update every element is optional."""
BUCKET = Table(
    "AsrBucket",
    Element("BucketId", TEXT, "tenant.bucket"),
    Element("Name", TEXT, "tenant.bucket"),
    Element("Region", TEXT, "tenant.region"),
    Element("CreateTime", TIME, "created"),
    Element("AliasBucketId", TEXT, always("")),
)
