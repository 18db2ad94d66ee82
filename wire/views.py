"""The answers: what each ``Response`` holds, and ``Error`` (docs/wire/wire.md, 3.4, 4, 5, 6 and 9).

The value of each table is a mapping. An answer leaves optional lists out when they are empty.
"""

from __future__ import annotations

from stemline.wire.additions import BATCH, BUDGET, DELIVERY, ESTIMATE, SOURCE, USAGE_ROW, WAVEFORM
from stemline.wire.elements import ADDITION, Element, Table
from stemline.wire.errors import ANSWERS
from stemline.wire.job import JOB
from stemline.wire.kinds import TEXT, Kind, integer, one_of
from stemline.wire.resources import BUCKET, QUEUE, TEMPLATE
from stemline.wire.uploads import BYTES, UPLOAD

_ID = Element("RequestId", TEXT, "request_id")
_COUNTS = (
    Element("TotalCount", integer(), "total"),
    Element("PageNumber", integer(), "page"),
    Element("PageSize", integer(), "size"),
)
_OPTIONAL_COUNTS = tuple(Element(row.name, row.kind, row.source, optional=True) for row in _COUNTS)


def _answer(*elements: Element) -> Table:
    return Table("", *elements)


_BUDGET_PERCENT = Element(
    "BudgetPercent",
    integer(),
    "budget_percent",
    documents=ADDITION,
    optional=True,
    description="How much of today's budget is spent, from 90 on.",
)


def _list(name: str, kind: Kind | Table, source: str = "items", *, optional: bool = True) -> Element:
    return Element(name, kind, source, repeated=True, optional=optional)


CREATED_JOBS = _answer(_list("JobsDetail", JOB, optional=False), _BUDGET_PERCENT)
DRY_RUN = _answer(
    _ID,
    Element("Source", SOURCE, "source", optional=True),
    _list("Estimate", ESTIMATE, optional=False),
    _BUDGET_PERCENT,
)
JOBS = _answer(_list("JobsDetail", JOB), _list("NonExistJobIds", TEXT, "missing"))
WAVEFORMS = _answer(
    _ID,
    Element("JobId", TEXT, "job_id"),
    Element("Samplerate", integer(), "samplerate"),
    _list("Waveform", WAVEFORM, optional=False),
)
JOB_LIST = _answer(
    # The Python SDK turns an empty element into an empty list (docs/wire/wire.md, 11, point 9).
    Element("JobsDetail", JOB, "items", repeated=True, blank=True),
    Element("NextToken", TEXT, "cursor"),
)
TEMPLATE_ANSWER = _answer(_ID, Element("Template", TEMPLATE, "template"))
TEMPLATE_LIST = _answer(
    _ID,
    *_OPTIONAL_COUNTS,
    _list("TemplateList", TEMPLATE),
    Element("NonExistTIDs", _answer(_list("TemplateId", TEXT, "ids")), "missing", optional=True),
)
DELETED_TEMPLATE = _answer(_ID, Element("TemplateId", TEXT, "id"))
QUEUE_ANSWER = _answer(_ID, Element("Queue", QUEUE, "queue"))
QUEUE_LIST = _answer(_ID, *_COUNTS, _list("QueueList", QUEUE), _list("NonExistPIDs", TEXT, "missing"))
BUCKET_ANSWER = _answer(_ID, Element("AsrBucket", BUCKET, "bucket"))
CLOSED_BUCKET = _answer(_ID, Element("BucketName", TEXT, "name"))
BUCKET_LIST = _answer(_ID, *_COUNTS, _list("AsrBucketList", BUCKET))
CALLBACK_LIST = _answer(_ID, *_COUNTS, _list("CallbackList", DELIVERY, optional=False))
CALLBACKS = _answer(_ID, _list("Callback", DELIVERY), _list("NonExistCallbackIds", TEXT, "missing"))
REPLAYED = _answer(_ID, Element("ReplayedCount", integer(), "count"))

BATCH_ANSWER = _answer(_ID, Element("Batch", BATCH, "batch"), _BUDGET_PERCENT)
BATCH_LIST = _answer(_ID, *_COUNTS, _list("BatchList", BATCH, optional=False))
USAGE = _answer(_ID, _list("UsageList", USAGE_ROW, optional=False), _list("Budget", BUDGET, "budgets"))
BULK = _answer(
    _ID,
    Element("MatchedCount", integer(), "matched"),
    Element("ChangedCount", integer(), "changed"),
    Element("NextToken", TEXT, "cursor", optional=True),
    _BUDGET_PERCENT,
)

UPLOAD_ANSWER = _answer(_ID, Element("Upload", UPLOAD, "upload"))
UPLOADED = _answer(_ID, Element("Key", TEXT, "upload.key"), Element("Size", BYTES, "upload.size"))

_FULL = Kind(schema={"type": "string", "minLength": 1})
ERROR = Table(
    "Error",
    Element("Code", one_of(*sorted({code for code, _ in ANSWERS.values()})), "code"),
    Element("Message", _FULL, "message"),
    Element("Resource", _FULL, "resource"),
    Element("RequestId", _FULL, "request_id"),
    Element("TraceId", _FULL, "request_id"),
)
