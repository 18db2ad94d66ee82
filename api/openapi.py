"""The description of the interface, OpenAPI 3.1, served at ``/openapi.json``.

Schemas describe the JSON form. XML has the same names, ``Request``, ``Response`` and ``Error`` as outermost
elements, and repeats an element where JSON has a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from starlette.routing import Route

from stemline.wire import queries, uploads, views
from stemline.wire.codec import JSON, XML
from stemline.wire.elements import Document, Table, reference
from stemline.wire.kinds import Schema
from stemline.wire.schema import schemas


@dataclass(frozen=True)
class Operation:
    """What an operation takes and gives."""

    answer: Table | None = None
    query: Table | None = None
    other: Table | None = None
    """What it answers to a dry run."""
    headers: Table | None = None
    request: str = ""
    """Name of the schema of the request body."""
    statuses: tuple[int, ...] = ()
    """HTTP statuses of errors beyond those that every operation has."""
    table: bool = False
    """Whether it can also answer in CSV."""
    streams: bool = False
    """Whether it answers with a stream of events, each with an ``Event`` in JSON as its data."""


OPERATIONS: Mapping[str, Operation] = {
    "create_jobs": Operation(
        views.CREATED_JOBS,
        queries.SUBMIT,
        headers=queries.SUBMIT_HEADERS,
        request="JobRequest",
        statuses=(409,),
        other=views.DRY_RUN,
    ),
    "get_jobs": Operation(views.JOBS, headers=queries.WAIT_HEADERS),
    "get_job_events": Operation(
        query=queries.EVENT_QUERY, headers=queries.EVENT_HEADERS, statuses=(404,), streams=True
    ),
    "list_events": Operation(query=queries.EVENT_QUERY, headers=queries.EVENT_HEADERS, streams=True),
    "retry_jobs": Operation(views.CREATED_JOBS, headers=queries.RETRY_HEADERS, statuses=(409,)),
    "get_waveforms": Operation(views.WAVEFORMS, statuses=(404,)),
    "list_jobs": Operation(views.JOB_LIST, queries.JOBS),
    "cancel_jobs": Operation(),
    "cancel_jobs_where": Operation(views.BULK, queries.BULK_JOBS),
    "retry_jobs_where": Operation(views.BULK, queries.BULK_JOBS),
    "send_callbacks_where": Operation(views.BULK, queries.BULK_CALLBACKS),
    "create_batch": Operation(
        views.BATCH_ANSWER, headers=queries.RETRY_HEADERS, request="BatchRequest", statuses=(409,)
    ),
    "list_batches": Operation(views.BATCH_LIST, queries.BATCHES),
    "get_batch": Operation(views.BATCH_ANSWER, statuses=(404,)),
    "pause_batch": Operation(views.BATCH_ANSWER, statuses=(404,)),
    "resume_batch": Operation(views.BATCH_ANSWER, statuses=(404,)),
    "cancel_batch": Operation(views.BATCH_ANSWER, statuses=(404,)),
    "retry_batch": Operation(views.BULK, statuses=(404,)),
    "get_usage": Operation(views.USAGE, queries.USAGE, table=True),
    "create_template": Operation(views.TEMPLATE_ANSWER, request="TemplateRequest"),
    "update_template": Operation(views.TEMPLATE_ANSWER, request="TemplateUpdate", statuses=(404,)),
    "delete_template": Operation(views.DELETED_TEMPLATE, statuses=(404,)),
    "list_templates": Operation(views.TEMPLATE_LIST, queries.TEMPLATES),
    "list_asr_queues": Operation(views.QUEUE_LIST, queries.ASR_QUEUES),
    "list_queues": Operation(views.QUEUE_LIST, queries.QUEUES),
    "update_asr_queue": Operation(views.QUEUE_ANSWER, request="QueueUpdate", statuses=(404,)),
    "update_queue": Operation(views.QUEUE_ANSWER, request="QueueUpdate", statuses=(404,)),
    "open_bucket": Operation(views.BUCKET_ANSWER),
    "close_bucket": Operation(views.CLOSED_BUCKET, statuses=(404,)),
    "list_buckets": Operation(views.BUCKET_LIST, queries.BUCKETS),
    "list_callbacks": Operation(views.CALLBACK_LIST, queries.CALLBACKS),
    "get_callbacks": Operation(views.CALLBACKS),
    "replay_callbacks": Operation(views.REPLAYED),
    "send_callbacks": Operation(views.REPLAYED),
    "create_upload": Operation(views.UPLOAD_ANSWER, request="UploadRequest"),
    "resume_upload": Operation(views.UPLOAD_ANSWER, uploads.UPLOADS, statuses=(404,)),
    "complete_upload": Operation(views.UPLOADED, uploads.UPLOADS, statuses=(404,)),
    "abort_upload": Operation(None, uploads.UPLOADS, statuses=(404,)),
    "replay_callbacks_where": Operation(views.REPLAYED, queries.DEAD_LETTERS),
}
"""Operations by the name of their route."""

_ERRORS = {
    400: "The request is refused; Code says why.",
    403: "Not signed, wrongly signed, or not allowed.",
    404: "The object in the path does not exist.",
    405: "The method is not allowed on this path.",
    409: "The Idempotency-Key was used with another body.",
    503: "Too many requests, a full queue, or the store cannot be reached: try again after Retry-After.",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description, for the routes that are served."""
    paths: dict[str, Any] = {}
    for route in routes:
        for method in sorted(route.methods or ()):
            if route.include_in_schema:
                paths.setdefault(route.path_format, {})[method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stemline",
            "version": version("stemline"),
            "description": (__doc__ or "").partition("\n\n")[2].strip(),
        },
        "security": [{"signature": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The vendor's request signature: q-sign-algorithm=sha1&q-ak=…",
                }
            },
        },
    }


def _operation(route: Route) -> Schema:
    summary = (route.endpoint.__doc__ or route.name).strip().partition("\n")[0]
    described: dict[str, Any] = {"operationId": route.name, "summary": summary}
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.param_convertors
    ]
    known = OPERATIONS.get(route.name)
    if known is None:
        return described | {
            **({"parameters": parameters} if parameters else {}),
            "security": [],
            "responses": {"default": {"description": "Not part of the wire."}},
        }
    parameters += known.query.parameters() if known.query else []
    parameters += known.headers.parameters("header") if known.headers else []
    if parameters:
        described["parameters"] = parameters
    if known.request:
        content = _content(reference(known.request), "Request")
        described["requestBody"] = {"required": True, "content": content}
    done: dict[str, Any] = {"description": "Done."}
    if known.answer:
        schema = known.answer.schema(Document.JSON_ANSWER)
        if known.other:
            schema = {"anyOf": [schema, known.other.schema(Document.JSON_ANSWER)]}
        content = _content(schema, "Response")
        done = {"description": "The answer.", "content": content}
    if known.streams:
        stream: Schema = {"type": "string", "description": "Server-sent events; see the schema Event."}
        done = {"description": "The events.", "content": {"text/event-stream": {"schema": stream}}}
    if known.table:
        done["content"]["text/csv"] = {"schema": {"type": "string"}}
    described["responses"] = {
        "200": done,
        **{
            str(status): {"description": _ERRORS[status], "content": _content(reference("Error"), "Error")}
            for status in sorted({400, 403, 405, 503, *known.statuses})
        },
    }
    return described


def _content(schema: Schema, root: str) -> Schema:
    one: Schema = {"allOf": [schema]} if "$ref" in schema else schema
    named = {**one, "xml": {"name": root}}
    return {XML: {"schema": named}, JSON: {"schema": schema}}
