"""Usage by credential and day (docs/beyond-vendor.md)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import ReadContext
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.jobs.errors import RequestRefused
from stemline.jobs.policy import Operation
from stemline.jobs.usage import DAY_US, MAX_DAYS, NO_BUDGET, Usage
from stemline.wire import queries, views
from stemline.wire.additions import USAGE_ROW
from stemline.wire.elements import Document

router = Router()

_DEFAULT_DAYS = 30


@router.get("/usage", name="get_usage")
async def get_usage(context: ReadContext, request: Request) -> Response:
    """Return the usage by credential and day: only its own, if a credential may not manage the bucket."""
    return await context.of_page(request, MAX_DAYS, lambda: _usage(context))


def _usage(context: RequestContext) -> Response:
    query: dict[str, Any] = queries.USAGE.read_parameters(context.query)
    last = query.get("last", context.store.now() // DAY_US)
    first = query.get("first", last - _DEFAULT_DAYS)
    if not 0 <= last - first < MAX_DAYS:
        raise RequestRefused(f"from and to must span 1 to {MAX_DAYS} days.")
    rows = context.store.usage.read(context.tenant, first, last)
    if not context.policy.allows(Operation.BUCKETS):
        rows = [row for row in rows if row.credential == context.principal.id]
    if query.get("format") == "csv":
        return Response(_csv(rows), media_type="text/csv; charset=utf-8")
    return context.respond(views.USAGE, items=rows, budgets=_budgets(context, rows))


def _budgets(context: RequestContext, rows: Sequence[Usage]) -> list[dict[str, Any]]:
    """Return the budgets of the credentials that are shown and of the caller's, with what is spent today."""
    found = []
    for name in sorted({context.principal.id, *(row.credential for row in rows)}):
        known = context.services.principals.lookup(name)
        if known is None or known.policy.budget == NO_BUDGET:
            continue
        budget = known.policy.budget
        share = budget.share(context.store.usage.spent(name))
        audio_ms = None if budget.audio_s is None else budget.audio_s * 1000
        found.append(
            {"credential": name, "budget": budget, "audio_ms": audio_ms, "percent": int(share * 100)}
        )
    return found


def _csv(rows: Sequence[Usage]) -> str:
    """Return a table with a column for each device."""
    devices = sorted({device for row in rows for device in row.work_ms})
    names = [element.name for element in USAGE_ROW.elements if element.name != "Work"]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([*names, *(f"WorkSeconds {device}" for device in devices)])
    for row in rows:
        tree = USAGE_ROW.write(row, Document.JSON_ANSWER)
        work = [f"{row.work_ms.get(device, 0) / 1000:.3f}" for device in devices]
        writer.writerow([*(_cell(str(tree[name])) for name in names), *work])
    return file.getvalue()


def _cell(text: str) -> str:
    """Return a text that no spreadsheet interprets as a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
