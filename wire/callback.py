"""The body of a callback (docs/wire/wire.md, 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stemline.jobs.batch import Batch
from stemline.jobs.job import Job
from stemline.wire.additions import BATCH_CALLBACK_BODY
from stemline.wire.codec import JSON, XML, to_json, to_xml
from stemline.wire.elements import Document
from stemline.wire.job import CALLBACK_BODY

CONTENT_TYPES: Final[Mapping[str, str]] = {"XML": XML, "JSON": JSON}
"""``Content-Type`` by callback format."""


def body(job: Job, form: str) -> bytes:
    """Return the body in a format, ``XML`` or ``JSON``."""
    return json_body(job) if form == "JSON" else xml_body(job)


def xml_body(job: Job) -> bytes:
    """Return the XML body: compact, in UTF-8, without a declaration."""
    return to_xml("Response", CALLBACK_BODY.write(job, Document.XML_CALLBACK))


def json_body(job: Job) -> bytes:
    """Return the JSON body: no ``Response`` around it, ``JobsDetail`` a list, scalars all strings."""
    return to_json(CALLBACK_BODY.write(job, Document.JSON_CALLBACK))


def batch_body(batch: Batch, failures: Sequence[Job], form: str) -> bytes:
    """Return the body that announces the end of a batch.

    Args:
        batch: The batch.
        failures: Some of its failed rows.
        form: ``XML`` or ``JSON``.
    """
    values = {"batch": batch, "failures": failures}
    if form == "JSON":
        return to_json(BATCH_CALLBACK_BODY.write(values, Document.JSON_CALLBACK))
    return to_xml("Response", BATCH_CALLBACK_BODY.write(values, Document.XML_CALLBACK))
