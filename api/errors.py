"""Error answers (docs/wire/wire.md, 9): one flat ``Error`` element, none of its children ever empty.

The Python SDK reports the code as ``Unknown`` when Code, Message, Resource or RequestId is missing or empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from stemline.jobs.errors import (
    BatchesFull,
    BucketBusy,
    ChangedMeanwhile,
    MethodNotAllowed,
    NoncesFull,
    NoSuchResource,
    QueueFull,
    RateLimited,
    RequestRefused,
    StemlineError,
    StoreUnavailable,
)
from stemline.wire.codec import JSON, XML, to_json, to_xml
from stemline.wire.elements import Document
from stemline.wire.errors import code_of, status_of
from stemline.wire.views import ERROR

_DECLARATION = b"<?xml version='1.0' encoding='utf-8' ?>"
MAX_RESOURCE_CHARS = 1024
_LIMITS_OF_ONE = (BatchesFull, BucketBusy, ChangedMeanwhile, NoncesFull, QueueFull, RateLimited)
"""Limits that a client reaches by itself, while others are still served."""


def body(error: StemlineError, *, resource: str, request_id: str, json: bool = False) -> bytes:
    """Return the body of an error response."""
    values = {
        "code": code_of(error),
        "message": error.message,
        "resource": resource[:MAX_RESOURCE_CHARS] or "/",
        "request_id": request_id,
    }
    if json:
        return to_json(ERROR.write(values, Document.JSON_ANSWER))
    return _DECLARATION + to_xml("Error", ERROR.write(values, Document.XML_ANSWER))


def answer(request: Request, error: StemlineError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response for an error."""
    request_id: str = request.scope["state"]["request_id"]
    json = wants_json(request)
    content = body(error, resource=resource_of(request), request_id=request_id, json=json)
    extra = {**(headers or {}), "x-ci-trace-id": request_id}
    if error.retry_after_s is not None:
        extra["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return Response(content, status_code=status_of(error), media_type=JSON if json else XML, headers=extra)


def wants_json(request: Request) -> bool:
    """Return whether the client wants JSON: by ``Accept``, or by sending JSON without an ``Accept``."""
    accept = request.headers.get("accept", "").lower()
    if JSON in accept:
        return XML not in accept or accept.index(JSON) < accept.index(XML)
    if accept.strip() not in {"", "*/*"}:
        return False
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON


def resource_of(request: Request) -> str:
    """Return ``<host><path>`` of a request, for the ``Resource`` element."""
    return request.headers.get("host", "") + str(request.scope["path"])


def refusal(request: Request, error: StemlineError | HTTPException) -> Response:
    """Return the response to a request that is refused, also for an unknown path or method."""
    if isinstance(error, HTTPException):
        known: dict[int, StemlineError] = {404: NoSuchResource(), 405: MethodNotAllowed()}
        status = error.status_code
        headers = _allow(request) if status == 405 else None
        return answer(request, known.get(status, RequestRefused()), headers)
    structlog.contextvars.bind_contextvars(code=code_of(error))
    request.state.is_limited = isinstance(error, _LIMITS_OF_ONE)
    if isinstance(error, StoreUnavailable):
        structlog.contextvars.bind_contextvars(store=error.reason)
    return answer(request, error)


def _allow(request: Request) -> dict[str, str]:
    """Return the Allow header: the methods of all routes that match the path."""
    methods: set[str] = set()
    for route in request.app.state.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods
    return {"Allow": ", ".join(sorted(methods))}
