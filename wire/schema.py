"""The named JSON schemas of the interface: requests, answers and what they share, in their JSON form."""

from __future__ import annotations

from stemline.wire.additions import (
    BATCH,
    BATCH_ROW,
    BUDGET,
    DELIVERY,
    ESTIMATE,
    EVENT,
    SOURCE,
    USAGE_ROW,
    WAVEFORM,
)
from stemline.wire.batch_request import BATCH_REQUEST
from stemline.wire.elements import REQUEST, Document
from stemline.wire.job import AUDIO_CONFIG, JOB, JOB_REQUEST, OUTPUT, SEPARATE
from stemline.wire.kinds import Schema
from stemline.wire.resources import BUCKET, QUEUE, TEMPLATE, TEMPLATE_REQUEST
from stemline.wire.uploads import UPLOAD, UPLOAD_REQUEST
from stemline.wire.views import ERROR

SHARED = (AUDIO_CONFIG, SEPARATE, OUTPUT)
"""Containers that are the same in requests and answers."""
SHOWN = (
    *SHARED,
    JOB,
    TEMPLATE,
    QUEUE,
    BUCKET,
    DELIVERY,
    EVENT,
    BATCH,
    WAVEFORM,
    UPLOAD,
    USAGE_ROW,
    BUDGET,
    SOURCE,
    ESTIMATE,
    ERROR,
)


def schemas() -> dict[str, Schema]:
    """Return the schemas by name."""
    return {
        **{table.name: table.schema(Document.JSON_ANSWER) for table in SHOWN},
        "BatchRequest": BATCH_REQUEST.schema(REQUEST),
        "BatchRow": BATCH_ROW.schema(REQUEST),
        "JobRequest": JOB_REQUEST.schema(REQUEST),
        "TemplateRequest": TEMPLATE_REQUEST.schema(REQUEST),
        "TemplateUpdate": TEMPLATE_REQUEST.schema(REQUEST, partial=True),
        "UploadRequest": UPLOAD_REQUEST.schema(REQUEST),
        "QueueUpdate": QUEUE.schema(REQUEST, partial=True),
    }
