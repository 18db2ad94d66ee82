"""What every request gets: an id, response headers (docs/wire/wire.md, 1.4), a log line and metrics."""

from __future__ import annotations

import time
from urllib.parse import unquote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemline.api import durations, errors
from stemline.api.metrics import ApiMetrics, operation
from stemline.jobs.errors import StemlineError
from stemline.wire.ids import new_request_id

log = structlog.get_logger(__name__)

#: Probes come every few seconds; their log lines are at debug level.
_PROBES = frozenset({"healthz"})
_MAX_PATH_CHARS = 200
#: An answer that is opened in a browser runs and loads nothing, whatever text a client put into it.
_FOR_BROWSERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class RequestLifecycleMiddleware:
    """Assigns request ids, adds response headers, logs, counts, and answers unexpected exceptions."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = new_request_id()
        # Routes see the path without one trailing slash; the signature covers raw_path, which stays.
        path = unquote(scope["raw_path"].decode("ascii", "replace"))
        scope["path"] = path[:-1] if len(path) > 1 and path.endswith("/") else path
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])
        began = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = dict(message.get("headers", []))
                message["headers"] = [*message.get("headers", []), *_headers(scope)]
                message["headers"] += [item for item in _FOR_BROWSERS if item[0] not in given]
            await send(message)

        try:
            try:
                await self.app(scope, durations.without_arrival(scope, receive), send_with_headers)
            except (StemlineError, HTTPException) as error:
                if status:
                    raise
                refusal = errors.refusal(Request(scope), error)
                await refusal(scope, receive, send_with_headers)
        except Exception:
            log.exception("request.crashed", method=scope["method"], path=path[:_MAX_PATH_CHARS])
            if status:
                raise
            answer = errors.answer(Request(scope), StemlineError())
            await answer(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - began
            waited_s = durations.waited_s(scope)
            self._metrics.observe(scope, status, max(0.0, seconds - waited_s))
            name = operation(scope)
            write = log.debug if name in _PROBES else log.info
            write(
                "request.answered",
                operation=name,
                method=scope["method"],
                path=path[:_MAX_PATH_CHARS],
                status=status,
                ms=round(seconds * 1000, 1),
                waited_ms=round(waited_s * 1000, 1),
            )


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    request_id = scope["state"]["request_id"].encode()
    return [(b"x-ci-request-id", request_id), (b"x-cos-request-id", request_id)]
