"""List, show and replay failed callbacks. Not part of the vendor's API; see docs/callbacks.md."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import ReadContext, RequestContext, WriteContext
from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.errors import IllegalTransition, RequestRefused
from stemline.jobs.store import delivery_id
from stemline.wire import params as read
from stemline.wire import views
from stemline.wire.times import format_time

router = APIRouter()

MAX_IDS = 10


@router.get("/callbacks", name="list_callbacks")
def list_callbacks(context: ReadContext) -> Response:
    """List the dead letters of the bucket, latest first; filter by host and start time."""
    number, size = read.page(context.query)
    found = context.store.outbox.dead(
        tenant=context.tenant,
        host=context.query.get("host"),
        since=read.moment(context.query, "startTime"),
        page=number,
        size=size,
    )
    tree: views.Tree = {
        "TotalCount": str(found.total),
        "PageNumber": str(number),
        "PageSize": str(size),
    }
    if found.items or context.json:
        tree["CallbackList"] = [_callback(delivery) for delivery in found.items]
    return context.respond_with_id(tree)


@router.get("/callbacks/{ids}", name="get_callbacks")
def get_callbacks(context: ReadContext, ids: str) -> Response:
    """Return callbacks in any state by their ids or the ids of their jobs; unknown ids are listed."""
    wanted = _ids(ids)
    found = _find(context, wanted)
    details = [_callback(delivery) for delivery in found if delivery is not None]
    missing = [name for name, delivery in zip(wanted, found, strict=True) if delivery is None]
    tree: views.Tree = {"Callback": details} if details else {}
    return context.respond_with_id(tree | ({"NonExistCallbackIds": missing} if missing else {}))


@router.put("/callbacks/{ids}", name="replay_callbacks")
def replay_callbacks(context: WriteContext, ids: str) -> Response:
    """Retry dead letters from the start of their schedule, all or none; ``?replay`` is optional."""
    wanted = _ids(ids)
    found = [delivery for delivery in _find(context, wanted) if delivery is not None]
    if len(found) < len(wanted):
        raise RequestRefused("One of the callbacks does not exist.")
    for delivery in found:
        if delivery.status != "dead":
            raise IllegalTransition(f"The callback {delivery.id} is {delivery.status}, not dead.")
    count = context.store.outbox.replay([delivery.id for delivery in found])
    return context.respond_with_id({"ReplayedCount": str(count)})


@router.put("/callbacks", name="replay_callbacks_where")
def replay_callbacks_where(context: WriteContext) -> Response:
    """Replay all dead letters of the bucket that match the filters of the list."""
    count = context.store.outbox.replay_where(
        tenant=context.tenant, host=context.query.get("host"), since=read.moment(context.query, "startTime")
    )
    return context.respond_with_id({"ReplayedCount": str(count)})


def _ids(text: str) -> tuple[str, ...]:
    ids = read.listed({"ids": text}, "ids")
    if not 1 <= len(ids) <= MAX_IDS:
        raise RequestRefused(f"One to {MAX_IDS} callback ids are allowed.")
    return ids


def _find(context: RequestContext, ids: Sequence[str]) -> list[Delivery | None]:
    """Return the callbacks of these ids; ``None`` where the bucket has no such callback."""
    tenant = context.tenant
    found = [context.store.outbox.get(delivery_id(i) if i.startswith("j") else i) for i in ids]
    return [delivery if delivery and delivery.tenant == tenant else None for delivery in found]


def _callback(delivery: Delivery) -> views.Tree:
    """``Callback``, and an entry of ``CallbackList``."""
    target = delivery.target
    tree: views.Tree = {
        "CallbackId": delivery.id,
        "JobId": delivery.job_id,
        "State": delivery.status.capitalize(),
        "Format": target.format,
        "Type": target.type,
    }
    if target.mq is None:
        tree["Url"] = target.shown_url
    else:
        tree["MqConfig"] = {
            "MqRegion": target.mq.region,
            "MqMode": target.mq.mode,
            "MqName": target.mq.name,
        }
    tree["CreationTime"] = format_time(delivery.created)
    tree["NextTime"] = format_time(delivery.due)
    tree["Attempt"] = [_attempt(attempt) for attempt in delivery.attempts]
    return tree


def _attempt(attempt: DeliveryAttempt) -> views.Tree:
    return {
        "Time": format_time(attempt.at),
        "Status": attempt.status,
        "DurationMs": str(attempt.duration_ms),
        "Answer": attempt.answer,
    }
