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
GIVEN = (BATCH_REQUEST, BATCH_ROW, JOB_REQUEST, TEMPLATE_REQUEST, UPLOAD_REQUEST)


def schemas() -> dict[str, Schema]:
    """Return the schemas by name."""
    return {
        **{table.name: table.schema(Document.JSON_ANSWER) for table in SHOWN},
        **{table.name: table.schema(REQUEST) for table in GIVEN},
        "TemplateUpdate": TEMPLATE_REQUEST.schema(REQUEST, partial=True),
        "QueueUpdate": QUEUE.schema(REQUEST, partial=True),
    }
