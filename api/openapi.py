"""The description of the interface, OpenAPI 3.1, served at ``/openapi.json``.

Schemas describe the JSON form. XML has the same names, ``Request``, ``Response`` and ``Error`` as outermost
elements, and repeats an element where JSON has a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from starlette.routing import Route

from stemline.jobs.separation import TAG
from stemline.jobs.states import State
from stemline.wire.codec import JSON, XML
from stemline.wire.schema import DIGITS, TEXT, Schema, fields, listed, ref, schemas, words


def query(name: str, schema: Schema, description: str, *, required: bool = False) -> Schema:
    """A query parameter; names are compared without regard to case, an empty value counts as absent."""
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


PAGE = (
    query("pageNumber", {"type": "integer", "minimum": 1}, "From 1."),
    query("pageSize", {"type": "integer", "minimum": 1, "maximum": 100}, "10 where not given."),
)
COUNTS = {"TotalCount": DIGITS, "PageNumber": DIGITS, "PageSize": DIGITS}
QUEUES = (
    query("queueIds", TEXT, "Comma list of ids."),
    query("state", words("Active", "Paused", "All"), "All where not given."),
    *PAGE,
)
LIST = (
    query("tag", words(TAG), f"{TAG}; another tag has no jobs here.", required=True),
    query("queueId", TEXT, "Jobs of this queue; outranks queueType."),
    query("queueType", words("Speeching"), "Jobs of queues of this type."),
    query("orderByTime", words("Desc", "Asc"), "Order by creation time; Desc where not given."),
    query("nextToken", {"type": "string", "pattern": "^[0-9]{1,16}$"}, "NextToken of the page before."),
    query("size", {"type": "integer", "minimum": 1, "maximum": 100}, "Jobs on a page; 10 where not given."),
    query("states", TEXT, f"All, or a comma list of {', '.join(State)}."),
    query("startCreationTime", TEXT, "Not before, as 2026-03-01T10:20:30+0800."),
    query("endCreationTime", TEXT, "Not after."),
    query("inputObject", TEXT, "Jobs with exactly this source key."),
    query("workflowId", TEXT, "There are no workflows here: an empty list."),
    query("inventoryTriggerJobId", TEXT, "There are no inventory triggers here: an empty list."),
)
BUCKETS = (
    query("regions", TEXT, "Comma list of regions."),
    query("bucketNames", TEXT, "Comma list of names."),
    query("bucketName", TEXT, "A part of the name."),
    *PAGE,
)
TEMPLATES = (
    query("tag", words(TAG, "All"), "All where not given."),
    query("category", words("Custom", "Official"), "Custom where not given; there are no official ones."),
    query("ids", TEXT, "Comma list of ids; the other filters are then not looked at."),
    query("name", TEXT, "Beginning of the name."),
    *PAGE,
)
CALLBACKS = (
    query("host", TEXT, "Host of the URL, or MqRegion/MqName."),
    query("startTime", TEXT, "Given up at or after this time, as 2026-03-01T10:20:30+0800."),
)
REQUEST_ID = {"RequestId": TEXT}
JOBS_ANSWER = fields(["JobsDetail"], JobsDetail=listed(ref("Job")))
QUEUE_LIST = fields(
    ["RequestId", *COUNTS], **REQUEST_ID, **COUNTS, QueueList=listed(ref("Queue")), NonExistPIDs=listed(TEXT)
)
QUEUE_ANSWER = fields(["*"], **REQUEST_ID, Queue=ref("Queue"))
REPLAYED = fields(["*"], **REQUEST_ID, ReplayedCount=DIGITS)
TEMPLATE_ANSWER = fields(["*"], **REQUEST_ID, Template=ref("Template"))

#: Route name to (parameters, request schema, answer schema, further error statuses).
OPERATIONS: dict[str, tuple[tuple[Schema, ...], Schema | None, Schema | None, tuple[int, ...]]] = {
    "create_jobs": (
        (
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
                "description": "The same key and body within a day give the same jobs; another body is 409.",
            },
        ),
        ref("Submission"),
        JOBS_ANSWER,
        (409,),
    ),
    "get_jobs": ((), None, fields(JobsDetail=listed(ref("Job")), NonExistJobIds=listed(TEXT)), ()),
    "list_jobs": (LIST, None, fields(["*"], JobsDetail=listed(ref("Job")), NextToken=TEXT), ()),
    "cancel_jobs": ((), None, None, ()),
    "create_template": ((), ref("TemplateRequest"), TEMPLATE_ANSWER, ()),
    "update_template": ((), ref("TemplateUpdate"), TEMPLATE_ANSWER, (404,)),
    "delete_template": ((), None, fields(["*"], **REQUEST_ID, TemplateId=TEXT), (404,)),
    "list_templates": (
        TEMPLATES,
        None,
        fields(
            ["RequestId"],
            **REQUEST_ID,
            **COUNTS,
            TemplateList=listed(ref("Template")),
            NonExistTIDs=fields(TemplateId=listed(TEXT)),
        ),
        (),
    ),
    "list_asr_queues": (QUEUES, None, QUEUE_LIST, ()),
    "list_queues": ((*QUEUES, query("category", TEXT, "CateAll, or Speeching.")), None, QUEUE_LIST, ()),
    "update_asr_queue": ((), ref("QueueUpdate"), QUEUE_ANSWER, (404,)),
    "update_queue": ((), ref("QueueUpdate"), QUEUE_ANSWER, (404,)),
    "open_bucket": ((), None, fields(["*"], **REQUEST_ID, AsrBucket=ref("AsrBucket")), ()),
    "close_bucket": ((), None, fields(["*"], **REQUEST_ID, BucketName=TEXT), (404,)),
    "list_buckets": (
        BUCKETS,
        None,
        fields(["RequestId", *COUNTS], **REQUEST_ID, **COUNTS, AsrBucketList=listed(ref("AsrBucket"))),
        (),
    ),
    "list_callbacks": (
        (*CALLBACKS, *PAGE),
        None,
        fields(["RequestId", *COUNTS], **REQUEST_ID, **COUNTS, CallbackList=listed(ref("Callback"))),
        (),
    ),
    "get_callbacks": (
        (),
        None,
        fields(
            ["RequestId"],
            **REQUEST_ID,
            Callback=listed(ref("Callback")),
            NonExistCallbackIds=listed(TEXT),
        ),
        (),
    ),
    "replay_callbacks": ((), None, REPLAYED, ()),
    "replay_callbacks_where": (CALLBACKS, None, REPLAYED, ()),
}

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
                paths.setdefault(route.path, {})[method.lower()] = _operation(route)
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
    operation: Schema = {"operationId": route.name, "summary": summary}
    known = OPERATIONS.get(route.name)
    if known is None:
        return operation | {"security": [], "responses": {"default": {"description": "As it is."}}}
    parameters, body, answer, statuses = known
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.param_convertors
    ]
    if path or parameters:
        operation["parameters"] = [*path, *parameters]
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _content(body, "Request")}
    good: Schema = {"description": "Done." if answer is None else "The answer."}
    operation["responses"] = {
        "200": good if answer is None else good | {"content": _content(answer, "Response")},
        **{
            str(status): {"description": _ERRORS[status], "content": _content(ref("Error"), "Error")}
            for status in sorted({400, 403, 405, 503, *statuses})
        },
    }
    return operation


def _content(schema: Schema, root: str) -> Schema:
    named = (
        {"allOf": [schema], "xml": {"name": root}} if "$ref" in schema else schema | {"xml": {"name": root}}
    )
    return {XML: {"schema": named}, JSON: {"schema": schema}}
